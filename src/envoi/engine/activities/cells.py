"""Cells: a split whose subsets are written as a table, one condition a line (engine.md §6.1).

XML tag: cells (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from envoi.engine import population, splitting
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext
from envoi.engine.activities.split import subsets_fit
from envoi.engine.definition import Activity, Definition


class Cells(ActivityType):
    """Parameters: `cell`, a list of `{"name": transition, "label", "code", "filter"}`, and `oneTable`, as
    in the split: a row belongs to the first cell whose condition it meets; way "remainder" carries the
    others.
    """

    type = "cells"
    family = "targeting"
    ways = (("cell", "cell"), ("remainder", "remainder"))

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that each cell has its transition."""
        yield from subsets_fit(activity, "cell")

    def run(self, ctx: TaskContext) -> Outcome:
        """Split by the cells' conditions."""
        cells = splitting.subsets(ctx.parameters.get("cell"))
        return splitting.split(ctx, population.inbound(ctx)[0], cells)
