"""Intersection: the rows that all populations have (engine.md §6.1, §6.5).

XML tag: intersection (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from envoi.engine import combining, population, targeting
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext
from envoi.engine.activities.union import known_sources
from envoi.engine.definition import Activity, Definition


class Intersection(ActivityType):
    """Parameters: `reconcile` and `commonOnly` as in the union, `mainSet` (whose data come first; else as
    drawn).

    Reconciled on columns, a row of the main set stays when every other population has one with equal
    values. The complement (way "remainder") is the union of all less the result.
    """

    type = "intersection"
    family = "targeting"
    ways = (("result", "result"), ("remainder", "remainder"))
    joins = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that the main set leads here."""
        yield from known_sources(activity, definition, "mainSet")

    def run(self, ctx: TaskContext) -> Outcome:
        """Intersect."""
        inbound = targeting.in_order(ctx, population.inbound(ctx), str(ctx.parameters.get("mainSet") or ""))
        keys = combining.reconciled(ctx, inbound)
        common = bool(ctx.parameters.get("commonOnly"))
        made = combining.intersected(ctx, inbound, keys, common=common)
        rest = None
        if targeting.way_of(ctx, "remainder"):
            rest = combining.united(ctx, inbound, keys, common=common, less=made)
        return targeting.outcome(ctx, ("result", made), ("remainder", rest))
