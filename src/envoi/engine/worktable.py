"""Work tables: the one seam through which a population gets its SQL table (architecture §2.4).

Ordinary logged tables `wkf<workflow>_<n>`, made and filled in the activity's transaction, dropped when
nothing needs them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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


def create(workflow_id: int, run_number: int, columns: Sequence[Column], key: str | None) -> str:
    """Create an empty work table in the caller's transaction and return its name.

    Raises Invalid for a column name or type that is not allowed.
    """
    for column in columns:
        if not _NAME.match(column.name) or column.type not in _TYPES:
            raise Invalid(f"A work table cannot have the column {column.name!r} of type {column.type!r}.")
    row = sql.one(
        """INSERT INTO xtk_work_table (name, workflow_id, run_number, created_at, columns)
           SELECT 'wkf' || %(workflow)s::bigint || '_' || nextval('xtk_work_table_work_table_id_seq'),
           %(workflow)s,
             %(run)s, %(now)s, %(columns)s RETURNING name""",
        {
            "workflow": workflow_id,
            "run": run_number,
            "now": clock.now(),
            "columns": sql.json([[column.name, column.type] for column in columns]),
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


def drop_all(workflow_id: int) -> int:
    """Drop every work table of a workflow in the caller's transaction; returns how many there were."""
    found = sql.rows(
        "DELETE FROM xtk_work_table WHERE workflow_id = %(id)s RETURNING name", {"id": workflow_id}
    )
    with connection.cursor() as cursor:
        for row in found:
            drop = composed.SQL("DROP TABLE IF EXISTS {}").format(composed.Identifier(row["name"]))
            cursor.execute(drop.as_string())
    return len(found)
