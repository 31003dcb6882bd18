"""`envoi sql`: read the database with one statement, as a role that cannot write."""

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import click

from envoi.cli.main import Context, json_option
from envoi.kernel.errors import Invalid, Refused


@click.command()
@click.argument("statement")
@click.option("--timeout", default=30.0, show_default=True, metavar="SECONDS", help="0: none.")
@json_option
@click.pass_obj
def sql(context: Context, statement: str, timeout: float, as_json: bool) -> None:
    """Print the rows of STATEMENT as JSON objects: one a line, or one list with --json.

    The statement runs in a read-only transaction of the role envoi_read.
    """
    from envoi.app import boot

    lease = boot.boot(context.home).lease
    assert lease is not None  # noqa: S101 boot with a database gives one
    if timeout < 0:
        raise Invalid("--timeout must be 0 or more seconds.")
    found = _rows(lease.dsn("envoi_read"), statement, timeout)
    rows = (json.dumps(row, ensure_ascii=False) for row in found)
    if not as_json:
        for row in rows:
            click.echo(row)
        return
    # Written as it comes: a result may be larger than the memory.
    first = next(rows, None)
    click.echo("[" if first is not None else "[]", nl=first is None)
    while first is not None:
        after = next(rows, None)
        click.echo(f"\n  {first}{',' if after is not None else ''}", nl=False)
        first = after
        if after is None:
            click.echo("\n]")


def _rows(dsn: str, statement: str, timeout: float) -> Iterator[dict[str, Any]]:
    import psycopg

    try:
        with psycopg.connect(dsn, application_name="envoi sql") as connection:
            connection.read_only = True
            limit = str(round(timeout * 1000))
            connection.execute("SELECT set_config('statement_timeout', %s, true)", (limit,))
            with connection.cursor() as cursor:
                # `stream` speaks the extended protocol, in which the server takes a single statement only.
                names: list[str] | None = None
                for row in cursor.stream(statement):  # type: ignore[arg-type]
                    names = names or _names([column.name for column in cursor.description or ()])
                    yield {name: _plain(value) for name, value in zip(names, row, strict=True)}
    except psycopg.Error as error:
        if error.sqlstate is None and "didn't produce" in str(error):
            return  # a statement without rows
        raise Refused(_message(error, statement)) from error


def _names(columns: list[str]) -> list[str]:
    """Make the names of columns different from one another: the second `id` is `id_2`."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold without loss: numbers stay numbers where that keeps every digit."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            return str(value)
        if value == value.to_integral_value() and value.as_tuple().exponent == 0:
            return int(value)
        return float(value) if Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _message(error: Any, statement: str) -> str:
    """Return what PostgreSQL says, with the place in the statement."""
    text = error.diag.message_primary or str(error).strip()
    place = error.diag.statement_position
    if place:
        before = statement[: int(place) - 1]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        text += f" (line {line}, column {column})"
    for more in (error.diag.message_detail, error.diag.message_hint):
        if more:
            text += f". {more}"
    return text
