"""The tables that an import makes for itself: rows as they are in the file, values in their form, doubles.

They are UNLOGGED, since all of it can be read again from the file: after a crash of the server they are
empty, which `staged` notices. What changed rows held before is in a logged table, since only that can undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import psycopg
from django.db import connection
from psycopg import sql

from envoi.engine import files
from envoi.engine.conversion import I, S
from envoi.packages.delivery.models import Import


def cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    """Return a cursor of the driver on Django's connection and transaction."""
    connection.ensure_connection()
    raw = cast("psycopg.Connection[Any]", connection.connection)
    return psycopg.Cursor(raw)


def run(statement: sql.Composable) -> int:
    """Carry out a statement without parameters; return how many rows it touched."""
    with cursor() as at:
        return at.execute(cast("Any", statement)).rowcount


def one(statement: sql.Composable) -> tuple[Any, ...]:
    """Return the only row of a statement."""
    with cursor() as at:
        row = at.execute(cast("Any", statement)).fetchone()
    assert row is not None  # noqa: S101  statements that always give one
    return row


def values(job: Import) -> str:
    """Name of the table of values in their form, by line."""
    return f"{job.staging}_clean"


def doubles(job: Import) -> str:
    """Name of the table of lines that another line of the file stands for."""
    return f"{job.staging}_double"


def before(job: Import) -> str:
    """Name of the table of what changed and deleted rows held."""
    return job.before


def make_staging(job: Import, columns: int) -> None:
    """Make the tables anew, empty. A row's line is counted by the server where the file's bytes are passed
    on.
    """
    drop_staging(job)
    run(S("CREATE UNLOGGED TABLE {} ({})").format(I(job.staging), files.columns(columns)))


def make_values(job: Import, columns: Sequence[str]) -> None:
    """Make the table of values in their form."""
    run(S("DROP TABLE IF EXISTS {}").format(I(values(job))))
    run(
        S("CREATE UNLOGGED TABLE {} (line bigint, {})").format(
            I(values(job)), S(", ").join(S("{} text").format(I(each)) for each in columns)
        )
    )


def drop_staging(job: Import) -> None:
    """Drop everything that can be read from the file again."""
    for name in (job.staging, values(job), doubles(job)):
        run(S("DROP TABLE IF EXISTS {}").format(I(name)))


def drop_before(job: Import) -> None:
    """Drop what an undo would need."""
    run(S("DROP TABLE IF EXISTS {}").format(I(job.before)))


def note_blanks(job: Import) -> None:
    """Note with the staging table that cells of it may have blanks around them."""
    run(S("COMMENT ON TABLE {} IS 'blanks'").format(I(job.staging)))


def has_blanks(job: Import) -> bool:
    """Return whether cells of the staging table may have blanks around them."""
    with cursor() as at:
        row = at.execute("SELECT obj_description(to_regclass(quote_ident(%s)))", (job.staging,)).fetchone()
    return row is not None and row[0] is not None


def exists(name: str) -> bool:
    """Return whether a table is there."""
    with cursor() as at:
        row = at.execute("SELECT to_regclass(quote_ident(%s)) IS NOT NULL", (name,)).fetchone()
    return row is not None and row[0] is True


def staged(job: Import) -> bool:
    """Return whether the staging table still holds what the row of the import says."""
    if not exists(job.staging):
        return False
    if not job.last_line:
        return True
    # The table is filled in order, and all of it goes or nothing.
    last = S("SELECT EXISTS (SELECT 1 FROM {} WHERE line = {})").format(I(job.staging), job.last_line)
    return bool(one(last)[0])
