"""Union: the rows of several populations in one (engine.md §6.1, §6.5).

XML tag: union.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.utils.translation import gettext_noop as _

from envoi.engine import combining, population, targeting
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition


class Union(ActivityType):
    """Parameters: `reconcile` ("id", "columns" for all common ones, or a list of names), `commonOnly` (keep
    the data that all have, else those that any has), `maxSize` (0: all), `order` (names of activities:
    whose rows are taken first; else as drawn).

    A row of the dimension is in the result once, with the data of the first population that has it, and
    NULL for what that one does not carry. Reconciled on columns, of rows with equal values the first stays.
    Data without a dimension are renumbered, and rows that are equal stay double unless they are reconciled
    on columns.
    """

    type = "union"
    family = "targeting"
    ways = (("result", "result"),)
    joins = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that those who come first lead here."""
        yield from known_sources(activity, definition, "order")

    def run(self, ctx: TaskContext) -> Outcome:
        """Unite."""
        inbound = targeting.in_order(ctx, population.inbound(ctx))
        wanted = [str(each) for each in targeting.listed(ctx.parameters.get("order"), "order")]
        named = targeting.sources(ctx, population.inbound(ctx))
        first = [named[name] for name in wanted if name in named]
        inbound = [*first, *(each for each in inbound if each not in first)]
        most = targeting.whole(ctx.parameters.get("maxSize") or 0, "maxSize")
        made = combining.united(
            ctx,
            inbound,
            combining.reconciled(ctx, inbound),
            common=bool(ctx.parameters.get("commonOnly")),
            most=most,
        )
        return targeting.outcome(ctx, ("result", made))


def known_sources(
    activity: Activity, definition: Definition, *fields: str
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield a problem for each activity that a parameter names and that does not lead here."""
    known = {source for source, _way in definition.inbound[activity.name]}
    for field in fields:
        said: Any = activity.parameters.get(field) or []
        names = cast("list[Any]", said if isinstance(said, list) else [said])
        for name in names:
            if str(name).partition("/")[0] not in known:
                yield (
                    _("%(field)s of activity %(activity)s names %(source)s, which does not lead to it"),
                    {
                        "field": field,
                        "source": str(name),
                    },
                )
