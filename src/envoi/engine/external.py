"""Other databases: a session behind an external account, and rows between it and our own (engine.md §6.3).

Only PostgreSQL. Rows pass from one COPY to the other in pieces of some kilobytes: neither side, nor this
process, ever holds them all. The other database is a transaction of its own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from django.db import connection
from psycopg import sql as composed

from envoi.engine.activities.base import Failed, Misconfigured, TaskContext
from envoi.engine.conversion import S
from envoi.engine.population import Column
from envoi.kernel import accounts, addresses
from envoi.kernel.accounts.network import printable
from envoi.kernel.accounts.opened import Credentials, allowed
from envoi.kernel.errors import Invalid, Refused, Retry
from envoi.kernel.registry import Type

PATIENCE_S = 10
"""For the sign-in."""
SILENCE_MS = 120_000
"""So long a server that is gone may leave what we sent without an answer."""
_FIRST, _LAST = "0001-01-02", "9999-12-30"
_KINDS = {
    "int2": Type.SHORT,
    "int4": Type.LONG,
    "int8": Type.INT64,
    "oid": Type.INT64,
    "float4": Type.DOUBLE,
    "float8": Type.DOUBLE,
    "numeric": Type.DOUBLE,
    "bool": Type.BOOLEAN,
    "date": Type.DATE,
    "timestamp": Type.DATETIME,
    "timestamptz": Type.DATETIME,
    "uuid": Type.UUID,
    "varchar": Type.STRING,
    "bpchar": Type.STRING,
    "name": Type.STRING,
}
_TABLE = re.compile(r'^(?:"((?:[^"]|"")+)"|([^".\s]+))(?:\.(?:"((?:[^"]|"")+)"|([^".\s]+)))?$')


@dataclass(frozen=True)
class Session:
    """An open session; `place` is how messages name it."""

    connection: psycopg.Connection[Any]
    account: Credentials
    place: str


@dataclass(frozen=True)
class Given:
    """A column that another database gives."""

    name: str
    type: Type
    sql_type: str


def named(ctx: TaskContext, name: str) -> Credentials:
    """Return the account of another database. Raises Misconfigured for none, or one that is not
    PostgreSQL's.
    """
    try:
        account = accounts.credentials(name, actor=ctx.actor)
    except Refused as error:
        raise Misconfigured(str(error)) from error
    if account.type != "database":
        raise Misconfigured(f"The account {name} is not of the type External database.")
    engine = account.text("engine")
    if engine != "postgresql":
        raise Misconfigured(f"The account {name} leads to {engine}. Only PostgreSQL can be reached.")
    return account


@contextmanager
def session(ctx: TaskContext, name: str, *, writes: bool = False) -> Generator[Session]:
    """Sign in to the database behind an account; what is done there is one transaction.

    Without `writes` it is read only. A running statement is cancelled when the workflow is stopped. Raises
    Misconfigured for an account that cannot be used, Failed with the server's word for whatever goes wrong
    there.
    """
    account = named(ctx, name)
    host, port = account.text("server"), account.number("port")
    place = f"{host}:{port}/{account.text('database')}"
    try:
        found = addresses.check_host(host, port, allowed=allowed())
    except (Invalid, Retry) as error:
        raise Failed(str(error)) from error
    over = threading.Event()
    try:
        with psycopg.connect(
            host=host,
            hostaddr=str(found[0]),
            port=port,
            dbname=account.text("database"),
            user=account.text("account"),
            password=account.secret("password"),
            sslmode=account.text("sslmode"),
            gssencmode="disable",
            # Without this, an empty password would be looked for in a file of the instance's user.
            passfile="/dev/null",
            connect_timeout=PATIENCE_S,
            keepalives_idle=60,
            tcp_user_timeout=SILENCE_MS,
            client_encoding="utf8",
            # Both sides must read and write dates alike.
            options="-c datestyle=ISO -c timezone=UTC -c bytea_output=hex -c extra_float_digits=1",
            application_name="envoi",
        ) as opened:

            def end() -> None:
                if not over.is_set():
                    with suppress(psycopg.Error):
                        opened.cancel_safe(timeout=PATIENCE_S)

            ctx.on_cancel(end)
            opened.read_only = not writes
            if schema := account.text("schema"):
                opened.execute(
                    "SELECT set_config('search_path', %s, false)",
                    [composed.Identifier(schema).as_string(opened)],
                )
            try:
                yield Session(opened, account, place)
            finally:
                over.set()
    except psycopg.Error as error:
        if isinstance(error, psycopg.errors.QueryCanceled) and ctx.cancelled():
            raise Failed("The activity was stopped.") from error
        own = ours()
        if own.closed or own.broken:
            raise  # our own database is gone: the task is taken up again
        said = account.concealed(printable(str(error).rpartition("FATAL:")[2]))
        # An error that ends a session must not look like the end of our own.
        ends = isinstance(error, (psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown))
        cause = ConnectionError(said) if ends else error
        raise Failed(f"The database on {place} does not do it ({said}).") from cause


def described(other: Session, query: composed.Composable) -> list[Given]:
    """Return the columns of one query, of which no row is read. Raises psycopg.Error for what is not one
    query, Failed when it has no columns or two of one name.
    """
    raw = other.connection
    # A binary answer takes the protocol that carries one statement only: no other can hide behind it, and
    # whoever closes more parentheses than these does not come so far.
    asked = raw.execute(S("SELECT * FROM ({}\n) q LIMIT 0").format(query), binary=True)
    names = [each.name for each in asked.description or ()]
    kinds = [each.type_code for each in asked.description or ()]
    if not names:
        raise Failed(f"What {other.place} is asked gives no columns; it must be a query.")
    if len(set(names)) < len(names):
        raise Failed(f"The query on {other.place} gives two columns of one name; give each its own by AS.")
    known = dict(
        raw.execute("SELECT oid::bigint, typname FROM pg_type WHERE oid = ANY(%s::bigint[]::oid[])", [kinds])
    )
    return [
        Given(name, _KINDS.get(known.get(kind, ""), Type.MEMO), known.get(kind, "text"))
        for name, kind in zip(names, kinds, strict=True)
    ]


def value(source: composed.Composable, column: Column) -> composed.Composable:
    """Return SQL of a value in the type that the column of a work table has. Dates of other calendars than
    the years 1 to 9999, which no page could show, become empty.
    """
    cast_ = S("{}::{}").format(source, S(column.sql_type))
    if column.type in (Type.DATE, Type.DATETIME):
        kept = S("CASE WHEN {x} BETWEEN {first} AND {last} THEN {x} END")
        return kept.format(x=cast_, first=composed.Literal(_FIRST), last=composed.Literal(_LAST))
    return cast_


def table_name(said: str) -> composed.Identifier:
    """Return a table as it is written: `name`, `schema.name`, each part may stand in double quotes. Raises
    Misconfigured.
    """
    found = _TABLE.match(said.strip())
    if found is None:
        raise Misconfigured(f"{said!r} names no table; write name or schema.name.")
    parts = [
        quoted.replace('""', '"') if quoted else plain
        for quoted, plain in ((found[1], found[2]), (found[3], found[4]))
        if quoted or plain
    ]
    return composed.Identifier(*parts)


def ours() -> psycopg.Connection[Any]:
    """Return the connection of the activity's own transaction."""
    return cast("psycopg.Connection[Any]", connection.connection)


def pass_rows(
    ctx: TaskContext,
    source: psycopg.Connection[Any],
    query: composed.Composable,
    target: psycopg.Connection[Any],
    table: composed.Composable,
    columns: Sequence[str],
) -> int:
    """Copy what a query gives into the columns of a table of another database; returns how many rows.

    Raises Failed when the workflow is stopped meanwhile.
    """
    # A line of its own for the parenthesis: the query may end with a comment.
    give = S("COPY ({}\n) TO STDOUT").format(query)
    take = S("COPY {} ({}) FROM STDIN").format(
        table, S(", ").join(composed.Identifier(name) for name in columns)
    )
    with psycopg.Cursor(source) as reader, psycopg.Cursor(target) as writer:
        with reader.copy(give) as given, writer.copy(take) as taken:
            for piece in given:
                if ctx.cancelled():
                    raise Failed("The activity was stopped.")
                taken.write(piece)
        return writer.rowcount
