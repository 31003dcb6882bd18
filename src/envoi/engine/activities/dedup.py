"""Deduplication: of rows with the same keys some are kept (engine.md §6.1, §6.5).

XML tag: dedup.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import deduplicating, population, targeting
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition


class Dedup(ActivityType):
    """Parameters: `keys` (expressions; rows are doubles when all are equal, two empty values too), `keep`
    (1), `method`:

    "first" (lowest id), "random", "list" (`expr` and `values`: the value that comes first in the list),
    "nonEmpty" (`expr` is not empty), "min" or "max" of `expr`; between rows of one rank the lowest id is
    kept. `merge`: groups of data that the kept row takes from one record of its doubles: `{"columns":
    [names], "filter", "sort", "nonEmpty": all must have a value}`; where no record qualifies they stay as
    they are; only for `keep` 1. `keepZeroIds`: rows with id 0 are not left out. Way "remainder": the rows
    that were not kept. Runs once for each population that comes in.
    """

    type = "dedup"
    family = "targeting"
    ways = (("result", "result"), ("remainder", "remainder"))

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that keys and method are there."""
        said = activity.parameters
        if not said.get("keys"):
            yield _("Activity %(activity)s has no field by which rows are doubles"), {}
        method = said.get("method", "first")
        if method not in deduplicating.METHODS:
            yield (
                _("Activity %(activity)s chooses doubles by the unknown method %(method)s"),
                {"method": str(method)},
            )
        if method in ("list", "nonEmpty", "min", "max") and not said.get("expr"):
            yield _("Activity %(activity)s has no expression by which doubles are chosen"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Keep some of each."""
        source = population.inbound(ctx)[0]
        kept = deduplicating.deduplicated(ctx, source)
        rest = None
        if targeting.way_of(ctx, "remainder"):
            where = targeting.absent(kept) + deduplicating.no_zero(ctx)
            rest = targeting.copy_rows(ctx, source, where, schema=f"temp:{ctx.activity.name}_remainder")
        return targeting.outcome(ctx, ("result", kept), ("remainder", rest))
