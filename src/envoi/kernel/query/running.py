"""Runs queries on the instance's database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import DataError, ProgrammingError, connection, transaction
from psycopg.errors import UndefinedColumn, UndefinedTable

from envoi.kernel import registry
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.expression import Kind
from envoi.kernel.expression.nodes import Value
from envoi.kernel.query.compiler import Column, Compiled, compile
from envoi.kernel.query.definition import Operation, QueryDef
from envoi.kernel.rights import Actor


@dataclass(frozen=True)
class Result:
    """Rows of a query: a tuple each, in the order of `columns`."""

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    next: tuple[Any, ...] | None = None
    """Where the next page begins (`QueryDef.after`); None at the end, or without paging by key."""

    def dicts(self) -> list[dict[str, Any]]:
        """Return each row as name of the column -> value."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def run(
    definition: QueryDef,
    *,
    actor: Actor,
    zone: str = "UTC",
    variables: Mapping[str, Value] | None = None,
    keyset: bool = False,
    within: registry.Registry | None = None,
) -> Result:
    """Return the rows of a query that the actor may read; see `compile` for what is raised.

    `get` raises NotFound without a row, `getIfExists` gives none. A value that cannot be calculated (a date
    beyond the calendar, a number beyond its type) raises Invalid; the caller's transaction stays usable.
    """
    compiled = compile(definition, actor=actor, zone=zone, variables=variables, keyset=keyset, within=within)
    found = _fetch(compiled)
    if definition.operation is Operation.GET and not found:
        raise NotFound(f"There is no {definition.schema} with these properties.")
    shown, rows = len(compiled.columns), [_values(row, compiled) for row in found]
    following: tuple[Any, ...] | None = None
    if compiled.hidden and rows and len(rows) == (definition.line_count or len(rows)):
        following = rows[-1][shown:]
    return _analyzed(compiled.columns, [row[:shown] for row in rows], following)


def count(definition: QueryDef, *, actor: Actor, zone: str = "UTC") -> int:
    """Return how many rows a select would give, whatever operation it names."""
    result = run(replace(definition, operation=Operation.COUNT), actor=actor, zone=zone)
    return int(result.rows[0][0])


def exists(definition: QueryDef, *, actor: Actor, zone: str = "UTC") -> bool:
    """Return whether a select would give any row."""
    return bool(run(replace(definition, operation=Operation.EXISTS), actor=actor, zone=zone).rows[0][0])


def estimate(definition: QueryDef, *, actor: Actor, zone: str = "UTC") -> int:
    """Return about how many rows a select would give, from statistics: at once, on a table of any size."""
    most = replace(definition, operation=Operation.SELECT, order_by=(), start_line=0, line_count=2**31)
    compiled = compile(most, actor=actor, zone=zone)
    plan = _fetch(replace(compiled, sql=f"EXPLAIN (FORMAT JSON) {compiled.sql}"))[0][0]
    return int((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])


def explain(definition: QueryDef, *, actor: Actor, zone: str = "UTC") -> dict[str, Any]:
    """Return what a query means: its SQL, its values, its columns with their types and labels."""
    compiled = compile(definition, actor=actor, zone=zone)
    return {
        "sql": compiled.sql,
        "params": dict(compiled.params),
        "columns": [
            {
                "name": column.name,
                "expr": column.expr,
                "type": column.attribute.type.value if column.attribute else column.kind.name.lower(),
                "label": column.label,
            }
            for column in compiled.columns
        ],
    }


def _fetch(compiled: Compiled) -> list[tuple[Any, ...]]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(compiled.sql, dict(compiled.params))
            return cursor.fetchall()
    except DataError as error:
        reason = str(error).partition("\n")[0]
        raise Invalid(f"The query meets a value that it cannot calculate with: {reason}.") from error
    except ProgrammingError as error:
        if not isinstance(error.__cause__, (UndefinedColumn, UndefinedTable)):
            raise
        raise Conflict("A field or table of the query was taken away just now. Ask again.") from error


def _values(row: tuple[Any, ...], compiled: Compiled) -> tuple[Any, ...]:
    """Return a row with numbers in the Python type of their kind: exact arithmetic comes back as Decimal."""
    kinds = (*(column.kind for column in compiled.columns), *compiled.hidden)
    return tuple(
        (_whole(value) if kind is Kind.INTEGER else float(value)) if isinstance(value, Decimal) else value
        for value, kind in zip(row, kinds, strict=True)
    )


def _whole(value: Decimal) -> int | float:
    return int(value) if value.is_finite() else float(value)


def _analyzed(
    columns: tuple[Column, ...], rows: list[tuple[Any, ...]], following: tuple[Any, ...] | None
) -> Result:
    """Add name and label beside each value of an enumeration that is to be analyzed."""
    wanted = [
        (index, column, column.attribute.enumeration)
        for index, column in enumerate(columns)
        if column.analyze and column.attribute is not None and column.attribute.enumeration is not None
    ]
    if not wanted:
        return Result(columns, rows, following)
    added = [
        replace(column, name=f"{column.name}{suffix}", kind=Kind.TEXT, attribute=None)
        for _, column, _ in wanted
        for suffix in ("Name", "Label")
    ]
    wider: list[tuple[Any, ...]] = []
    for row in rows:
        more: list[str] = []
        for index, _, enumeration in wanted:
            value = enumeration.valued(row[index])
            more += [value.name, registry.translate(value.label)] if value else ["", ""]
        wider.append((*row, *more))
    return Result((*columns, *added), wider, following)
