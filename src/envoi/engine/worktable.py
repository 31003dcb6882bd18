"""Work tables: the one seam through which a population gets its SQL table (architecture §2.4).

Ordinary logged tables `wkf<workflow>_<n>`, made and filled in the activity's transaction, and dropped in the
one after which nothing needs them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg import sql as composed

from envoi.engine import sql
from envoi.kernel import clock
from envoi.kernel.errors import Invalid

_NAME = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")
_TYPES = {
    "bigint": composed.SQL("bigint"),
    "integer": composed.SQL("integer"),
    "smallint": composed.SQL("smallint"),
    "text": composed.SQL("text"),
    "boolean": composed.SQL("boolean"),
    "timestamptz": composed.SQL("timestamptz"),
    "date": composed.SQL("date"),
    "double precision": composed.SQL("double precision"),
    "numeric": composed.SQL("numeric"),
    "uuid": composed.SQL("uuid"),
}


@dataclass(frozen=True)
class Column:
    """A column of a work table; `type` is one of the plain SQL types above."""

    name: str
    type: str


def create(
    workflow_id: int,
    run_number: int,
    columns: Sequence[Column],
    key: str | None,
    shape: Mapping[str, Any] | None = None,
) -> str:
    """Create an empty work table in the caller's transaction and return its name.

    `key` may be added later, when the table is full (`add_key`). `shape` says what the table means: see
    `engine.population`. Raises Invalid for a column name or type that is not allowed.
    """
    for column in columns:
        if not _NAME.match(column.name) or column.type not in _TYPES:
            raise Invalid(f"A work table cannot have the column {column.name!r} of type {column.type!r}.")
    row = sql.one(
        """INSERT INTO xtk_work_table (name, workflow_id, run_number, created_at, columns, shape)
           SELECT 'wkf' || %(workflow)s::bigint || '_' || nextval('xtk_work_table_work_table_id_seq'),
           %(workflow)s,
             %(run)s, %(now)s, %(columns)s, %(shape)s RETURNING name""",
        {
            "workflow": workflow_id,
            "run": run_number,
            "now": clock.now(),
            "columns": sql.json([[column.name, column.type] for column in columns]),
            "shape": sql.json(dict(shape or {})),
        },
    )
    assert row is not None  # noqa: S101  RETURNING of an INSERT without conditions
    name = str(row["name"])
    parts = [composed.SQL("{} {}").format(composed.Identifier(c.name), _TYPES[c.type]) for c in columns]
    if key is not None:
        parts.append(composed.SQL("PRIMARY KEY ({})").format(composed.Identifier(key)))
    statement = composed.SQL("CREATE TABLE {} ({})").format(
        composed.Identifier(name), composed.SQL(", ").join(parts)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string())
    return name


def add_key(table: str, column: str) -> None:
    """Make a column the primary key of a filled work table: faster than keeping the key while it is
    filled.
    """
    statement = composed.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(
        composed.Identifier(table), composed.Identifier(column)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string())


def drop_table(table: str) -> None:
    """Drop the table of a name that is kept: whoever asked for the name makes the table."""
    with connection.cursor() as cursor:
        cursor.execute(composed.SQL("DROP TABLE IF EXISTS {}").format(composed.Identifier(table)).as_string())


def has_columns(table: str, columns: Sequence[tuple[str, str]]) -> bool:
    """Return whether a table is there with at least these columns, of (name, type as PostgreSQL names it)."""
    names = {"timestamptz": "timestamp with time zone"}
    found = {
        (row["name"], row["type"])
        for row in sql.rows(
            """SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
               WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped""",
            {"table": table},
        )
    }
    return all((name, names.get(kind, kind)) in found for name, kind in columns)


def analyze(table: str) -> None:
    """Compute the statistics of a work table, so that the next statements on it are planned well."""
    with connection.cursor() as cursor:
        cursor.execute(composed.SQL("ANALYZE {}").format(composed.Identifier(table)).as_string())


def history(workflow_id: int, activity: str, run_number: int, *, keep: bool = True) -> str:
    """Return the table in which an incremental query remembers the ids that it has given; made when there
    is none.

    It is held against other tasks of the activity until the transaction ends. Without `keep` it is emptied
    by the first task of each run.
    """
    own = {"workflow": workflow_id, "activity": activity, "run": run_number, "now": clock.now()}
    sql.run(
        """INSERT INTO xtk_workflow_history (name, workflow_id, activity, run_number, created_at)
           VALUES ('wkfhisto' || %(workflow)s || '_' || nextval('xtk_work_table_work_table_id_seq'),
             %(workflow)s, %(activity)s, %(run)s, %(now)s)
           ON CONFLICT (workflow_id, activity) DO NOTHING""",
        own,
    )
    row = sql.one(
        """SELECT name, run_number FROM xtk_workflow_history
           WHERE workflow_id = %(workflow)s AND activity = %(activity)s FOR UPDATE""",
        own,
    )
    assert row is not None  # noqa: S101  it was there or was made
    name = str(row["name"])
    with connection.cursor() as cursor:
        made = composed.SQL("CREATE TABLE IF NOT EXISTS {} (id bigint PRIMARY KEY, at timestamptz NOT NULL)")
        cursor.execute(made.format(composed.Identifier(name)).as_string())
        if row["run_number"] != run_number:
            if not keep:
                cursor.execute(composed.SQL("DELETE FROM {}").format(composed.Identifier(name)).as_string())
            sql.run(
                """UPDATE xtk_workflow_history SET run_number = %(run)s
                   WHERE workflow_id = %(workflow)s AND activity = %(activity)s""",
                own,
            )
    return name


def forget(name: str, before: datetime) -> None:
    """Let a history forget what it has remembered at `before` or earlier."""
    with connection.cursor() as cursor:
        statement = composed.SQL("DELETE FROM {} WHERE at <= %s").format(composed.Identifier(name))
        cursor.execute(statement.as_string(), [before])


def remember(name: str, table: str, now: datetime) -> None:
    """Add the ids of a work table to a history."""
    statement = composed.SQL(
        "INSERT INTO {} (id, at) SELECT id, %s FROM {} ON CONFLICT (id) DO UPDATE SET at = excluded.at"
    ).format(composed.Identifier(name), composed.Identifier(table))
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(), [now])


def drop_histories(workflow_id: int) -> None:
    """Drop what the incremental queries of a workflow remember, in the caller's transaction."""
    _drop(
        sql.rows(
            "DELETE FROM xtk_workflow_history WHERE workflow_id = %(id)s RETURNING name", {"id": workflow_id}
        )
    )


def drop(name: str) -> None:
    """Drop one work table in the caller's transaction: what an activity needed on the way to its result."""
    _drop(sql.rows("DELETE FROM xtk_work_table WHERE name = %(name)s RETURNING name", {"name": name}))


def drop_all(workflow_id: int) -> int:
    """Drop every work table of a workflow in the caller's transaction; returns how many there were."""
    return _drop(
        sql.rows("DELETE FROM xtk_work_table WHERE workflow_id = %(id)s RETURNING name", {"id": workflow_id})
    )


def drop_unneeded(workflow_id: int) -> int:
    """Drop, in the caller's transaction, the tables that nothing of a workflow will read again (A20).

    Needed is what the variables of an open task, of an event that feeds one, or of the instance name. Events
    that wait for a target are there only while the workflow is paused, and then nothing is dropped. Where
    results are kept, and in the copy of a sub-workflow, the last table of each transition stays too. The
    lines of a collection stay with their population. Returns how many were dropped.
    """
    return _drop(
        sql.rows(
            """WITH w AS (SELECT workflow_id, run_number, variables,
                   keep_results OR parent_task_id IS NOT NULL AS keeps
                   FROM xtk_workflow WHERE workflow_id = %(workflow)s),
                 open AS (SELECT t.task_id, t.variables || t.memory AS variables
                   FROM w JOIN xtk_workflow_task t ON t.workflow_id = w.workflow_id
                     AND t.run_number = w.run_number AND t.status IN (0, 2, 5, 6)),
                 named AS (
                   SELECT variables FROM w
                   UNION ALL SELECT variables FROM open
                   UNION ALL SELECT e.variables FROM open JOIN xtk_workflow_event e
                     ON e.task_id = open.task_id
                   UNION ALL SELECT last.variables FROM w, LATERAL (
                     SELECT DISTINCT ON (source, transition) variables FROM xtk_workflow_event e
                     WHERE w.keeps AND e.workflow_id = w.workflow_id AND e.run_number = w.run_number
                     ORDER BY source, transition, event_id DESC) AS last),
               needed AS (
                 SELECT t.name, t.shape FROM xtk_work_table t WHERE t.name IN (
                   SELECT v.value FROM named, jsonb_each_text(named.variables) AS v))
               DELETE FROM xtk_work_table t WHERE t.workflow_id = %(workflow)s
                 AND NOT EXISTS (SELECT 1 FROM needed WHERE needed.name = t.name)
                 AND NOT EXISTS (SELECT 1 FROM needed, jsonb_each_text(needed.shape->'beside') AS v
                   WHERE v.value = t.name)
               RETURNING name""",
            {"workflow": workflow_id},
        )
    )


def hand_over(from_workflow: int, to_workflow: int, run_number: int, variables: Mapping[str, Any]) -> None:
    """Make the tables that `variables` name those of another workflow: of the parent of a sub-workflow."""
    sql.run(
        """UPDATE xtk_work_table SET workflow_id = %(to)s, run_number = %(run)s
           WHERE workflow_id = %(from)s AND (name = ANY(%(names)s) OR name IN (
             SELECT v.value FROM xtk_work_table t, jsonb_each_text(t.shape->'beside') AS v
             WHERE t.name = ANY(%(names)s)))""",
        {
            "from": from_workflow,
            "to": to_workflow,
            "run": run_number,
            "names": [value for value in variables.values() if isinstance(value, str)],
        },
    )


def missing(task_id: int) -> str:
    """Return the name of a work table that fed a task and is gone, "" when it has all that it was given."""
    row = sql.one(
        """SELECT e.variables->>'tableName' AS name FROM xtk_workflow_event e
           WHERE e.task_id = %(task)s AND e.variables->>'tableName' ~ '^wkf[0-9]+_[0-9]+$'
             AND NOT EXISTS (SELECT 1 FROM xtk_work_table t WHERE t.name = e.variables->>'tableName')
           LIMIT 1""",
        {"task": task_id},
    )
    return str(row["name"]) if row else ""


def _drop(found: Sequence[sql.Row]) -> int:
    with connection.cursor() as cursor:
        for row in found:
            drop = composed.SQL("DROP TABLE IF EXISTS {}").format(composed.Identifier(row["name"]))
            cursor.execute(drop.as_string())
    return len(found)
