"""What is asked: the product's queryDef as a value (soap-api.md §7)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

DEFAULT_LINES = 200
"""Rows of a select that names no number."""


class Operation(StrEnum):
    """What a query gives."""

    SELECT = "select"
    GET = "get"
    """One row; NotFound without one."""
    GET_IF_EXISTS = "getIfExists"
    COUNT = "count"
    EXISTS = "exists"


@dataclass(frozen=True)
class Field:
    """A node: an expression to select, to sort by or to group by."""

    expr: str
    alias: str = ""
    analyze: bool = False
    """Add name and label of an enumeration's value."""
    descending: bool = False
    group: bool = False


@dataclass(frozen=True)
class Condition:
    """One condition. `operator` ties it to those before it; AND binds closer than OR.

    With conditions of its own it is their group. `set_operator` makes it a question about other rows: EXISTS
    or NOT EXISTS with the path of a collection in `expr` and conditions on its rows; IN or NOT IN with a
    subquery. A condition whose `enabled_if` does not hold is left out.
    """

    expr: str = ""
    operator: str = "AND"
    """AND, OR, AND NOT or OR NOT."""
    enabled_if: str = ""
    set_operator: str = ""
    conditions: tuple["Condition", ...] = ()
    subquery: "QueryDef | None" = None


@dataclass(frozen=True)
class QueryDef:
    """A query on a schema.

    `line_count` is the greatest number of rows (a select without one gives `DEFAULT_LINES`), `start_line` how
    many are left out before. `after` is for paging by key: the values of `Result.next`.
    """

    schema: str
    operation: Operation = Operation.SELECT
    select: tuple[Field, ...] = ()
    where: tuple[Condition, ...] = ()
    order_by: tuple[Field, ...] = ()
    group_by: tuple[Field, ...] = ()
    having: tuple[Condition, ...] = ()
    distinct: bool = False
    line_count: int | None = None
    start_line: int = 0
    after: tuple[Any, ...] | None = None
