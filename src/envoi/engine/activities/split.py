"""Split: a population in subsets (engine.md §6.1, §6.5).

XML tag: extract, its subsets extractOutput with limiter and filter.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.utils.translation import gettext_noop as _

from envoi.engine import distribution, population, splitting
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition


class Split(ActivityType):
    """Parameters: `extractOutput`, the subsets in order:

    `{"name": transition, "label", "code": segment code, "filter": conditions, "limiter": {"type": "percent"
    | "count" | "none", "percent", "count", "ofSegment", "random", "sort": [{"expr", "descending"}],
    "groupBy": expression, "values": [{"value", "percent" | "count"}]}}`; and `overlap` (a row may be in
    several subsets; else the first that takes it has it), `oneTable` (all subsets in one population, way
    "result", told apart by the segment code).

    A percentage is one of all rows that came in, rounded half up; with `ofSegment` one of the rows that the
    filter leaves to the subset. Rows are taken in the order of `sort`, at random behind it when `random`,
    else by id. The random order belongs to the task: what is repeated after a crash draws the same rows.
    `groupBy` limits each group of rows with one value, all alike, or as `values` say (a value that is not
    named gets no row). A data distribution says the same apart: `"type": "distribution", "distribution":
    {"targetingDimension", "field", "type": "percentage" | "set", "lines": [{"value", "limit", "label"}]}`.

    The way "remainder" carries the rows that no subset took. Runs once for each population that comes in.
    """

    type = "extract"
    family = "targeting"
    ways = (("subset", "extractOutput"), ("remainder", "remainder"))

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that each subset has its transition, and that limits can be read."""
        yield from subsets_fit(activity, "extractOutput")

    def run(self, ctx: TaskContext) -> Outcome:
        """Split."""
        said, source = ctx.parameters.get("extractOutput"), population.inbound(ctx)[0]
        distribution.fit(ctx, said, source.dimension)
        return splitting.split(ctx, source, splitting.subsets(said))


def subsets_fit(activity: Activity, field: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield what is wrong with the subsets of an activity."""
    said: Any = activity.parameters.get(field) or []
    subsets = cast("list[Any]", said) if isinstance(said, list) else []
    one_table = bool(activity.parameters.get("oneTable"))
    names: set[str] = set()
    for number, line in enumerate(subsets, 1):
        each = cast("Mapping[str, Any]", line if isinstance(line, Mapping) else {})
        name = str(each.get("name") or "")
        if not name or name in names:
            yield _("Subset %(number)s of activity %(activity)s has no name of its own"), {"number": number}
            continue
        names.add(name)
        if not one_table and activity.transition(name) is None:
            yield _("Subset %(subset)s of activity %(activity)s has no transition"), {"subset": name}
        if one_table and not each.get("code"):
            yield (
                _("Subset %(subset)s of activity %(activity)s has no segment code to tell it by"),
                {"subset": name},
            )
        limiter: Mapping[str, Any] = each.get("limiter") or {}
        for problem in distribution.problems(limiter, f"subset {name}"):
            yield _("A subset of activity %(activity)s is wrong: %(error)s"), {"error": problem}
        if limiter.get("type", "none") not in ("percent", "count", "none", "distribution"):
            yield (
                _("The limit of subset %(subset)s of activity %(activity)s is of an unknown type"),
                {"subset": name},
            )
    for way in activity.transitions:
        if way.enabled and way.kind == field and way.name not in names:
            yield (
                _("Transition %(transition)s of activity %(activity)s has no subset"),
                {"transition": way.name},
            )
