"""What a transition has carried: the rows of its work table, as long as that exists (engine.md §1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql as composed

from envoi.engine import access, sql
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor

_PLACE = re.compile(r"\((\d{1,10}),(\d{1,5})\)")
"""How PostgreSQL writes the place of a row in its table."""


@dataclass(frozen=True)
class Target:
    """One page of a work table, in the order in which it was filled."""

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

    Raises NotFound when the workflow or the table is not there for the actor, Invalid for a wrong `after`.
    """
    workflow = access.find(actor, name)
    if after and not _PLACE.fullmatch(after):
        raise Invalid(_("There is no page %(after)s.") % {"after": after})
    event = sql.one(
        """SELECT e.variables->>'recCount' AS count, t.name, t.workflow_id, t.columns FROM (
             SELECT variables FROM xtk_workflow_event WHERE workflow_id = %(workflow)s
               AND run_number = %(run)s AND source = %(source)s AND transition = %(transition)s
             ORDER BY event_id DESC LIMIT 1) AS e
           JOIN xtk_work_table t ON t.name = e.variables->>'tableName'""",
        {
            "workflow": workflow.workflow_id,
            "run": workflow.run_number,
            "source": activity,
            "transition": transition,
        },
    )
    # A table may be that of a sub-workflow. A script can name any: only those of workflows in sight are read.
    if event is None or not access.visible(actor).filter(pk=event["workflow_id"]).exists():
        raise NotFound(
            _("The rows of transition %(transition)s after %(activity)s are not there: they were never made,"
              " or dropped when nothing needed them any more. “Keep the result of interim populations”"
              " keeps them.")
            % {"transition": transition, "activity": activity}
        )  # fmt: skip
    columns = [str(column[0]) for column in event["columns"]]
    statement = composed.SQL(
        "SELECT ctid::text AS place, {} FROM {} WHERE ctid > {}::tid ORDER BY ctid LIMIT {}"
    ).format(
        composed.SQL(", ").join(composed.Identifier(column) for column in columns),
        composed.Identifier(event["name"]),
        composed.Literal(after or "(0,0)"),
        composed.Literal(limit + 1),
    )
    # The table may be dropped between the two statements.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [event["name"]])
        if cursor.fetchone() == (False,):
            raise NotFound(_("The rows were dropped a moment ago."))
        cursor.execute(statement.as_string())
        found = cursor.fetchall()
    count = event["count"]
    return Target(
        table=event["name"],
        columns=tuple(columns),
        rows=tuple(tuple(row[1:]) for row in found[:limit]),
        count=int(count) if count and count.isdecimal() else None,
        following=found[limit - 1][0] if len(found) > limit else "",
    )
