"""Make, drop and exchange databases: done as the owner of the cluster, which the product itself never is."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from envoi.postgres.errors import DatabaseRefused, InUse
from envoi.postgres.passwords import OWNER, READER, USER

if TYPE_CHECKING:
    from envoi.postgres.lease import Lease

MAINTENANCE = "postgres"
TRIES = 20
LOCK = 0x656E76


def create_database(lease: Lease, name: str, *, template: str | None = None) -> None:
    """Make database `name`, owned by the product's role, empty or as a copy of `template`.

    On the embedded server envoi_read may connect to it. Raises DatabaseRefused when it exists, when somebody
    is connected to the template, or when the role of an external server may not make databases.
    """
    try:
        with _maintenance(lease) as session:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
            if lease.embedded:
                statement += sql.SQL(" OWNER {}").format(sql.Identifier(USER))
            session.execute(statement)
            if lease.embedded:
                _open_to_product_only(session, name)
    except psycopg.Error as error:
        raise DatabaseRefused(
            f"database {name}: cannot be made ({_one_line(error)}). Choose another name, end the sessions on "
            "the template, or give the role the right CREATEDB."
        ) from error


def drop_database(lease: Lease, name: str) -> None:
    """Drop database `name` and end the sessions on it; one that is not there is no error.

    Raises DatabaseRefused for the database of the lease itself and when the server refuses.
    """
    if name == lease.dbname:
        raise DatabaseRefused(f"database {name}: is the product's own; remove the instance instead.")
    try:
        with _maintenance(lease) as session:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise DatabaseRefused(
            f"database {name}: cannot be dropped ({_one_line(error)}). Drop it as its owner."
        ) from error


@contextmanager
def replacing(lease: Lease) -> Generator[tuple[str, str]]:
    """Be the only one who replaces the lease's database; yields two free names, for the new one and the old.

    What a killed predecessor left under such names is dropped first, and again at the end. Raises InUse.
    """
    prefix = f"{lease.dbname}_replaced_"
    with _maintenance(lease) as session:
        row = session.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [LOCK, prefix]).fetchone()
        if row is None or not row[0]:
            raise InUse(f"database {lease.dbname}: another restore is at work. Wait for its end.")
        _drop_all(lease, session, prefix)
        try:
            yield f"{prefix}new", f"{prefix}old"
        finally:
            _drop_all(lease, session, prefix)


def _drop_all(lease: Lease, session: psycopg.Connection[tuple[object, ...]], prefix: str) -> None:
    rows = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
    for row in rows.fetchall():
        drop_database(lease, str(row[0]))


def sessions_on(lease: Lease, name: str) -> list[str]:
    """What other clients are connected to database `name`: "user application pid" each."""
    with _maintenance(lease) as session:
        rows = session.execute(
            "SELECT concat_ws(' ', usename, nullif(application_name, ''), pid) FROM pg_stat_activity"
            " WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
            [name],
        ).fetchall()
    return [str(row[0]) for row in rows]


def exchange_database(lease: Lease, name: str, replacement: str, aside: str) -> None:
    """Give `name` to the database `replacement`; the one that had it becomes `aside`. All or nothing.

    Sessions on `name` are ended. Raises InUse when new ones keep coming, DatabaseRefused when the server
    refuses.
    """
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    try:
        with _maintenance(lease) as session:
            for _ in range(TRIES):
                session.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
                    [[name, replacement]],
                )
                try:
                    with session.transaction():
                        session.execute(rename.format(sql.Identifier(name), sql.Identifier(aside)))
                        session.execute(rename.format(sql.Identifier(replacement), sql.Identifier(name)))
                except psycopg.errors.ObjectInUse:
                    time.sleep(0.1)
                    continue
                return
    except psycopg.Error as error:
        raise DatabaseRefused(
            f"database {name}: cannot be replaced ({_one_line(error)}). Its role needs the right CREATEDB."
        ) from error
    raise InUse(f"database {name}: new sessions keep coming. Stop the processes of the instance first.")


def _maintenance(lease: Lease) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(lease.dsn(OWNER, MAINTENANCE), connect_timeout=10, autocommit=True)


def _open_to_product_only(session: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    database = sql.Identifier(name)
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    session.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(READER)))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
