"""What a transition has carried: the rows of its work table, as long as that exists (engine.md §1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.engine import access, population, sql
from envoi.engine.population import Population
from envoi.kernel import query
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Registry, Schema
from envoi.kernel.rights import Actor

_PLACE = re.compile(r"-?\d{1,18}")
"""The id of the last row of a page."""


@dataclass(frozen=True)
class Target:
    """One page of a work table, in the order of its ids."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    count: int | None
    """Of the whole population, as the transition counted it."""
    following: str
    """What to ask the next page with; empty at the end."""


def carried(actor: Actor, name: str) -> set[tuple[str, str]]:
    """Return (activity, transition) of those whose last firing in this run left a table that exists."""
    workflow = access.find(actor, name)
    rows = sql.rows(
        """SELECT last.source, last.transition FROM (
             SELECT DISTINCT ON (source, transition) source, transition, variables->>'tableName' AS name
             FROM xtk_workflow_event WHERE workflow_id = %(workflow)s AND run_number = %(run)s
             ORDER BY source, transition, event_id DESC) AS last
           JOIN xtk_work_table t ON t.name = last.name""",
        {"workflow": workflow.workflow_id, "run": workflow.run_number},
    )
    return {(row["source"], row["transition"]) for row in rows}


def page(
    actor: Actor, name: str, activity: str, transition: str, *, after: str = "", limit: int = 100
) -> Target:
    """Return rows of what a transition carried last. `after`: `following` of the page before.

    Of a population only those rows and columns are there that the actor may read where they come from, with
    the text of each row first. Raises NotFound when the workflow or the table is not there for the actor,
    NotAllowed without the right that reading the targeting dimension takes, Invalid for a wrong `after`.
    """
    workflow = access.find(actor, name)
    if after and not _PLACE.fullmatch(after):
        raise Invalid(_("There is no page %(after)s.") % {"after": after})
    event = sql.one(
        """SELECT e.count, e.schema, e.called, t.name, t.workflow_id FROM (
             SELECT variables->>'recCount' AS count, variables->>'tableName' AS name,
               variables->>'schema' AS schema, coalesce(variables->>'targetSchema', '') AS called
             FROM xtk_workflow_event WHERE workflow_id = %(workflow)s
               AND run_number = %(run)s AND source = %(source)s AND transition = %(transition)s
             ORDER BY event_id DESC LIMIT 1) AS e
           JOIN xtk_work_table t ON t.name = e.name""",
        {
            "workflow": workflow.workflow_id,
            "run": workflow.run_number,
            "source": activity,
            "transition": transition,
        },
    )
    # A table may be that of a sub-workflow. A script can name any: only those of workflows in sight are read.
    seen = event is not None and access.visible(actor).filter(pk=event["workflow_id"]).exists()
    found = population.stored(event["name"], event["called"]) if event is not None and seen else None
    if event is None or found is None:
        raise NotFound(
            _("The rows of transition %(transition)s after %(activity)s are not there: they were never made,"
              " or dropped when nothing needed them any more. “Keep the result of interim populations”"
              " keeps them.")
            % {"transition": transition, "activity": activity}
        )  # fmt: skip
    # What a table of a script is about, only the event says.
    carried = replace(found[0], dimension=found[0].dimension or event["schema"] or "")
    definition, within = _definition(carried, actor)
    last = (int(after),) if after else None
    # The table may be dropped between the statements.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [carried.table])
        if cursor.fetchone() == (False,):
            raise NotFound(_("The rows were dropped a moment ago."))
        result = query.run(
            replace(definition, line_count=limit, after=last), actor=actor, keyset=True, within=within
        )
    count = event["count"]
    return Target(
        table=carried.table,
        columns=tuple(column.name.removeprefix("@") for column in result.columns),
        rows=tuple(result.rows),
        count=int(count) if count and count.isdecimal() else None,
        following=str(result.next[0]) if result.next else "",
    )


def _definition(carried: Population, actor: Actor) -> tuple[QueryDef, Registry]:
    """Return the query of all that the actor may read of a population, and where it is asked."""
    within = population.registry((carried,))
    columns = query.select_all(carried.schema, actor=actor, within=within)
    dimension = within.schemas.get(carried.dimension)
    if dimension is None:
        return QueryDef(carried.schema, select=columns), within
    text = (Field(dimension.text, "@target"),) if dimension.text not in ("", "@id") else ()
    there = Condition(f"[{population.TARGET}/@{_key_of(dimension)}] IS NOT NULL")
    return QueryDef(carried.schema, select=(columns[0], *text, *columns[1:]), where=(there,)), within


def _key_of(dimension: Schema) -> str:
    attribute = dimension.attribute_of(dimension.key[0])
    return attribute.name if attribute else "id"
