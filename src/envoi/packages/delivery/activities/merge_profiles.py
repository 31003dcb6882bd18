"""Merge profiles: of recipients that are one person, one profile is made (engine.md §6.5, update and merge
collections).

XML tag: mergeProfiles (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine import population, targeting
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext, wait
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Population
from envoi.kernel.query import Field, QueryDef
from envoi.packages.delivery.activities.list_update import RECIPIENT, passed_on
from envoi.packages.delivery.services import recipients

BATCH = 200
"""Profiles that one transaction merges."""


class MergeProfiles(ActivityType):
    """Parameters: `keys` (expressions: profiles with equal values, none of them empty, are one person) and
    `sort` (the first in this order stays; else the lowest id).

    The one that stays takes over lists, subscriptions with their history, consents and the values that it
    lacks; a refusal of contact of either holds. The others are deleted. Takes the right MERGE. Done in
    transactions of a few hundred profiles. Has no way out of its own; one that is drawn carries the
    population on.
    """

    type = "mergeProfiles"
    family = "action"
    label = lazy("Merge of profiles")
    icon = "join"
    ways = ()
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is something to know a person by."""
        if not activity.parameters.get("keys"):
            yield _("Activity %(activity)s has no field by which profiles are one person"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Merge one batch."""
        source = population.inbound(ctx)[0]
        if source.dimension != RECIPIENT:
            raise Misconfigured(f"Activity {ctx.activity.name} merges recipients, and gets others.")
        pairs = _pairs(ctx, source, int(ctx.memory.get("last", 0)))
        for kept, gone in pairs:
            recipients.merge(kept, gone, actor=ctx.actor)
        ctx.memory["merged"] = int(ctx.memory.get("merged", 0)) + len(pairs)
        if len(pairs) == BATCH:
            ctx.memory["last"] = pairs[-1][1]
            return wait(ctx.now)
        ctx.info(_("%(count)s profile(s) merged into others"), count=ctx.memory["merged"])
        return passed_on(ctx)


def _pairs(ctx: TaskContext, source: Population, last: int) -> list[tuple[int, int]]:
    """Return (profile that stays, profile that goes), the latter above `last` and in order.

    A profile that has gone in a batch before reads as nothing, so it belongs to nobody any more.
    """
    keys = [Field(str(each)) for each in targeting.listed(ctx.parameters.get("keys"), "keys")]
    if not keys:
        raise Misconfigured(f"Activity {ctx.activity.name} has no field by which profiles are one person.")
    order = targeting.sorting(ctx.parameters.get("sort"), "sort")
    select = (Field("@id"), *keys, *(Field(each.expr) for each in order))
    within = population.registry([source])
    definition = QueryDef(source.schema, select=select)
    if targeting.multiplies(definition, within):
        raise Misconfigured(f"Activity {ctx.activity.name} knows profiles by a link with many rows.")
    found = targeting.select(ctx, definition, within=within, prefix="m_")
    by = ", ".join(f"c{1 + number}" for number in range(len(keys)))
    ranks = [
        *(
            f"c{1 + len(keys) + number}{' DESC' if each.descending else ''} NULLS LAST"
            for number, each in enumerate(order)
        ),
        "c0",
    ]
    filled = " AND ".join(f"coalesce(c{1 + number}::text, '') <> ''" for number in range(len(keys)))
    first = f"first_value(c0) OVER (PARTITION BY {by} ORDER BY {', '.join(ranks)})"
    statement = (
        f"SELECT kept, c0 FROM (SELECT c0, {first} AS kept FROM ({found.sql}) q WHERE {filled}) q"  # noqa: S608
        " WHERE kept <> c0 AND c0 > %(last)s ORDER BY c0 LIMIT %(most)s"
    )
    params = {**found.params, "last": last, "most": BATCH}
    ctx.log_sql(statement, params)
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [(int(kept), int(gone)) for kept, gone in cursor.fetchall()]
