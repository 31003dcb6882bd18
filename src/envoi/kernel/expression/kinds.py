"""Kinds of values: what an expression can be, as far as rules and SQL differ."""

from dataclasses import dataclass
from enum import StrEnum

from envoi.kernel.registry.schema import Attribute
from envoi.kernel.registry.types import Type


class Kind(StrEnum):
    """What an expression gives. The value is how messages name it."""

    TEXT = "a text"
    INTEGER = "a whole number"
    REAL = "a number"
    BOOLEAN = "true or false"
    DATETIME = "a time"
    DATE = "a date"
    NULL = "nothing"

    @property
    def sql(self) -> str:
        """A PostgreSQL type that holds every value of the kind."""
        return _SQL[self]

    @property
    def is_number(self) -> bool:
        """True for whole and other numbers."""
        return self in (Kind.INTEGER, Kind.REAL)

    @property
    def is_moment(self) -> bool:
        """True for dates and times."""
        return self in (Kind.DATE, Kind.DATETIME)


_SQL = {
    Kind.TEXT: "text",
    Kind.INTEGER: "numeric",
    Kind.REAL: "numeric",
    Kind.BOOLEAN: "boolean",
    Kind.DATETIME: "timestamptz",
    Kind.DATE: "date",
    Kind.NULL: "text",
}

OF_TYPE = {
    Type.BYTE: Kind.INTEGER,
    Type.SHORT: Kind.INTEGER,
    Type.LONG: Kind.INTEGER,
    Type.INT64: Kind.INTEGER,
    Type.FLOAT: Kind.REAL,
    Type.DOUBLE: Kind.REAL,
    Type.STRING: Kind.TEXT,
    Type.MEMO: Kind.TEXT,
    Type.DATETIME: Kind.DATETIME,
    Type.DATE: Kind.DATE,
    Type.TIMESPAN: Kind.INTEGER,
    Type.BOOLEAN: Kind.BOOLEAN,
    Type.UUID: Kind.TEXT,
    Type.JSON: Kind.TEXT,
}
AS_TEXT = frozenset({Type.UUID, Type.JSON})
"""Types whose columns are cast to text before anything else."""


@dataclass(frozen=True)
class Fragment:
    """SQL of one expression, safe to stand anywhere: an atom or in parentheses."""

    sql: str
    kind: Kind
    aggregate: bool = False
    """It holds an aggregate."""
    bare: bool = False
    """It holds a column outside of any aggregate."""
    attribute: Attribute | None = None
    """The attribute that it is, when it is nothing more."""
