"""Enrichment: data for the rows of a population (engine.md §6.1, §6.5).

XML tag: enrichment (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from envoi.engine import collecting, population, targeting
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext
from envoi.engine.activities.union import known_sources
from envoi.engine.definition import Activity, Definition


class Enrichment(ActivityType):
    """Parameters: `mainSet` (activity whose population is enriched; else the one drawn first), `keepData`
    (true: what it carries is kept), and

    - `columns`: `{"expr", "alias", "label"}`, expressions on the population and its dimension;
    - `links`: `{"name", "set": activity or "schema": name, "cardinality": "0-1" | "1-1" | "1-N", "joins":
      [{"source", "destination"}], "filter", "columns"}`. 0-1 and 1-1 take the matching row with the lowest
      key and keep it as the link `name`; 1-1 leaves out rows without one. 1-N keeps all as the lines of a
      collection;
    - `collections`: `{"name", "link", "kind": "lines" | "single" | "aggregates", "columns", "filter", "sort",
      "limit", "aggregates": [{"alias", "function": count, distinct, sum, min, max or avg, "expr"}]}`, on a
      link of the dimension that has many rows, or on a collection that came along. "lines" are a second
      table, seen as the link `name`; "single" adds the columns of the first line to the row;
    - `reconciliation`: `{"dimension", "joins", "keepUnreconciled", "name"}` finds the rows of a dimension
    that data are about: the result is of that dimension, each row once (of the first line). With
    `keepUnreconciled` the rows stay what they are and get a link `name` to it.
    """

    type = "enrichment"
    family = "targeting"
    ways = (("result", "result"),)
    joins = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that sets lead here."""
        yield from known_sources(activity, definition, "mainSet")

    def run(self, ctx: TaskContext) -> Outcome:
        """Enrich."""
        found = population.inbound(ctx)
        inbound = targeting.in_order(ctx, found, str(ctx.parameters.get("mainSet") or ""))
        made = collecting.enriched(ctx, inbound[0], targeting.sources(ctx, found))
        return targeting.outcome(ctx, ("result", made))
