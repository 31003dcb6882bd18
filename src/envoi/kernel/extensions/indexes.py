"""Indexes of added links, made beside everything else that goes on (`CREATE INDEX CONCURRENTLY`).

That cannot be part of a transaction: the row of the link says `making` until the index is whole. Whoever dies
meanwhile leaves an index that PostgreSQL calls invalid; the next one drops it and begins anew.
"""

from django.db import connection
from psycopg.sql import SQL, Composed, Identifier

from envoi.kernel import registry
from envoi.kernel.extensions.ddl import index_name
from envoi.kernel.locks import SPACE, Lock
from envoi.kernel.models import AddedField
from envoi.kernel.models.extension import IndexState


def pending() -> bool:
    """Return whether some index is yet to be made."""
    return AddedField.objects.filter(index_state=IndexState.MAKING).exists()


def make() -> int:
    """Make the indexes that are to be made and return how many; 0 while another process is at it.

    Takes as long as the tables are large, outside of any transaction, and may be killed at any moment.
    """
    if not pending() or not _alone():
        return 0
    try:
        done = 0
        for field in AddedField.objects.filter(index_state=IndexState.MAKING):
            schema = registry.fresh().schemas.get(field.schema)
            if schema is not None:
                _make(field, schema.table)
                done += 1
        return done
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [SPACE, int(Lock.SCHEMA_INDEXES)])


def _make(field: AddedField, table: str) -> None:
    name = Identifier(index_name(field))
    if not _whole(index_name(field)):
        _run(SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
        column = Identifier(field.column_name)
        _run(SQL("CREATE INDEX CONCURRENTLY {} ON {} ({})").format(name, Identifier(table), column))
    AddedField.objects.filter(pk=field.pk).update(index_state=IndexState.READY)


def _whole(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
        return cursor.fetchone() == (True,)


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [SPACE, int(Lock.SCHEMA_INDEXES)])
        return cursor.fetchone() == (True,)


def _run(statement: Composed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)  # type: ignore[arg-type]
