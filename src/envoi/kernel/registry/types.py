"""Types of attributes, under the names by which clients of the product know them (soap-api.md §6.1)."""

from enum import StrEnum


class Type(StrEnum):
    """What an attribute holds."""

    BYTE = "byte"
    SHORT = "short"
    LONG = "long"
    INT64 = "int64"
    FLOAT = "float"
    DOUBLE = "double"
    STRING = "string"
    MEMO = "memo"
    DATETIME = "datetime"
    DATE = "date"
    TIMESPAN = "timespan"
    """A whole number of seconds."""
    BOOLEAN = "boolean"
    UUID = "uuid"
    JSON = "json"
    """A document; read as text."""

    @property
    def sql(self) -> str:
        """The PostgreSQL type of a column of this type; a string's length is the caller's to add."""
        return _SQL[self]


_SQL = {
    Type.BYTE: "smallint",
    Type.SHORT: "smallint",
    Type.LONG: "integer",
    Type.INT64: "bigint",
    Type.FLOAT: "double precision",
    Type.DOUBLE: "double precision",
    Type.STRING: "character varying",
    Type.MEMO: "text",
    Type.DATETIME: "timestamp with time zone",
    Type.DATE: "date",
    Type.TIMESPAN: "bigint",
    Type.BOOLEAN: "boolean",
    Type.UUID: "uuid",
    Type.JSON: "jsonb",
}
