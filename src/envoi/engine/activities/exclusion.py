"""Exclusion: the main population less others (engine.md §6.1, §6.5).

XML tag: exclusion (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import combining, population, targeting
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.activities.union import known_sources
from envoi.engine.definition import Activity, Definition


class Exclusion(ActivityType):
    """Parameters: `mainSet` (activity; else the one drawn first) and `rules`, one for each other population:
    `{"set": activity, "kind": "id" | "dimension" | "join", "link": path, "joins": [{"source",
    "destination"}]}`.

    Without a rule a population is excluded by id, and has to be of the same dimension. "dimension": `link`
    leads from the main population to the dimension of the other. "join": all pairs of expressions (source
    on the main population, destination on the other) must be equal; an empty value equals nothing. The
    complement is the main population less the result; both keep the main population's dimension and data.
    """

    type = "exclusion"
    family = "targeting"
    ways = (("result", "result"), ("remainder", "remainder"))
    joins = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that sets lead here and that rules are whole."""
        yield from known_sources(activity, definition, "mainSet")
        for rule in activity.parameters.get("rules") or ():
            kind = rule.get("kind", "id")
            if kind not in ("id", "dimension", "join"):
                yield (
                    _("A rule of activity %(activity)s is of the unknown kind %(kind)s"),
                    {"kind": str(kind)},
                )
            if kind == "dimension" and not rule.get("link"):
                yield _("A rule of activity %(activity)s changes the dimension without a link"), {}
            if kind == "join" and not rule.get("joins"):
                yield _("A rule of activity %(activity)s joins without a pair of fields"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Exclude."""
        found = population.inbound(ctx)
        inbound = targeting.in_order(ctx, found, str(ctx.parameters.get("mainSet") or ""))
        named = targeting.sources(ctx, found)
        main, others = inbound[0], inbound[1:]
        conditions: list[str] = []
        params: dict[str, Any] = {}
        rules: dict[str, Mapping[str, Any]] = {}
        for rule in targeting.listed(ctx.parameters.get("rules"), "rules"):
            name = str(rule.get("set") or "")
            if name not in named:
                raise Misconfigured(
                    f"A rule of activity {ctx.activity.name} is about {name!r}: no such set arrives."
                )
            rules[named[name].table] = rule
        for number, other in enumerate(others):
            made = combining.exclusion(ctx, main, other, rules.get(other.table, {}), f"x{number}_")
            conditions.append(made.sql)
            params |= made.params
        kept = targeting.copy_rows(ctx, main, " AND ".join(conditions) or "true", params)
        rest = None
        if targeting.way_of(ctx, "remainder"):
            rest = targeting.copy_rows(ctx, main, targeting.absent(kept))
        return targeting.outcome(ctx, ("result", kept), ("remainder", rest))
