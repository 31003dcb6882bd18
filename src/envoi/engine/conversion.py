"""SQL that turns the text of a file's cell into a value, and says what is wrong with it (engine.md §6.5).

Casts are guarded, so that no text ends the statement; words that a cast would take for the time of the server
("now") are no values. Every condition is NULL for a NULL text: an empty cell is never wrong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import LiteralString, Protocol, cast

from django.utils.translation import gettext as _
from psycopg import sql
from psycopg.types.json import Jsonb

from envoi.kernel import registry
from envoi.kernel.registry.schema import Enumeration
from envoi.kernel.registry.types import Type

NUMBERS = {
    Type.BYTE: "smallint",
    Type.SHORT: "smallint",
    Type.LONG: "integer",
    Type.INT64: "bigint",
    Type.TIMESPAN: "bigint",
}
TRUE = ("1", "t", "true", "y", "yes", "on", "o", "oui", "vrai", "ja", "x", "예", "是")
FALSE = ("0", "f", "false", "n", "no", "off", "non", "faux", "nej", "아니요", "否")
CASES = ("", "first", "upper", "lower")
DATES = ("ymd", "dmy", "mdy")
_BLANK = " \t\u00a0\u3000"
Converted = tuple[sql.Composable, sql.Composable, str, str]
"""SQL of the value; SQL of a condition that is true when the text does not fit; the reason; the SQL type."""


class Null(StrEnum):
    """What an empty cell means."""

    DEFAULT = "default"
    """An error for numbers, else the column's own default."""
    ALLOWED = "allowed"
    NEVER = "never"


class Error(StrEnum):
    """What becomes of a value that does not fit."""

    REJECT = "reject"
    IGNORE = "ignore"
    """The line is taken without the value, with a warning."""
    DEFAULT = "default"


class Rule(Protocol):
    """How the cells of one column are read."""

    @property
    def null(self) -> Null:
        """What an empty cell means."""
        ...

    @property
    def error(self) -> Error:
        """What becomes of a value that does not fit."""
        ...

    @property
    def default(self) -> str:
        """What stands instead, as a text; "" for nothing."""
        ...

    @property
    def case(self) -> str:
        """One of `CASES`."""
        ...

    @property
    def trim(self) -> bool:
        """Whether blanks around a value are none of it."""
        ...

    @property
    def date(self) -> str:
        """One of `DATES`."""
        ...

    @property
    def decimal(self) -> str:
        """What stands before the fraction of a number."""
        ...

    @property
    def values(self) -> Mapping[str, str]:
        """What the file says -> what is meant."""
        ...


def I(name: str) -> sql.Identifier:  # noqa: E743, N802 as short as what it stands for
    """Return the name of a table or column, quoted."""
    return sql.Identifier(name)


def S(text: str) -> sql.SQL:  # noqa: N802
    """Return SQL; whatever is not written in the code goes in as an identifier or a literal."""
    return sql.SQL(cast("LiteralString", text))


def text_of(cell: sql.Composable, rule: Rule, *, blanks: bool = True) -> sql.Composable:
    """SQL of a cell's text as it is meant: trimmed, in its case, mapped; NULL when it is empty."""
    if rule.trim and blanks:
        cell = S("btrim({}, {})").format(cell, _BLANK)
    cell = S("nullif({}, '')").format(cell)
    if rule.values:
        cell = S("coalesce({}::jsonb ->> {}, {})").format(Jsonb(dict(rule.values)), cell, cell)
        cell = S("nullif({}, '')").format(cell)
    if rule.case:
        name = {"first": "initcap", "upper": "upper", "lower": "lower"}[rule.case]
        cell = S("{}({})").format(S(name), cell)
    return cell


def converted(
    kind: Type, x: sql.Composable, rule: Rule, *, zone: str, length: int | None = None
) -> Converted:
    """Return how the text `x` becomes a value of a type; `length` is a string's, `zone` that of times without
    one.
    """
    if kind in NUMBERS:
        name = S(NUMBERS[kind])
        digits = S("replace(replace({}, ' ', ''), {}, '')").format(x, "\u00a0")
        fits = S("({0} ~ '^[+-]?[0-9]+$' AND pg_input_is_valid({0}, {1}))").format(digits, NUMBERS[kind])
        value = S("CASE WHEN {} THEN {}::{} END").format(fits, digits, name)
        return value, S("NOT {}").format(fits), _("it is no whole number of this size"), NUMBERS[kind]
    if kind in (Type.FLOAT, Type.DOUBLE):
        digits = S("replace(replace({}, ' ', ''), {}, '')").format(x, "\u00a0")
        if rule.decimal == ",":
            digits = S("replace(replace({}, '.', ''), ',', '.')").format(digits)
        fits = S(
            "({0} ~ '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$'"
            " AND pg_input_is_valid({0}, 'double precision'))"
        ).format(digits)
        value = S("CASE WHEN {} THEN {}::double precision END").format(fits, digits)
        return value, S("NOT {}").format(fits), _("it is no number"), "double precision"
    if kind is Type.BOOLEAN:
        value = S(
            "CASE WHEN lower({0}) = ANY({1}) THEN true WHEN lower({0}) = ANY({2}) THEN false END"
        ).format(x, list(TRUE), list(FALSE))
        known = S("lower({}) = ANY({})").format(x, [*TRUE, *FALSE])
        return value, S("NOT {}").format(known), _("it is neither yes nor no"), "boolean"
    if kind in (Type.DATE, Type.DATETIME):
        return _moment(kind, x, rule, zone)
    if kind is Type.UUID:
        fits = S("pg_input_is_valid({}, 'uuid')").format(x)
        return (
            S("CASE WHEN {} THEN {}::uuid END").format(fits, x),
            S("NOT {}").format(fits),
            _("it is no UUID"),
            "uuid",
        )
    reason = _("it is longer than %(most)d characters") % {"most": length or 0}
    # Bytes are counted at once, characters one by one.
    most = length
    wrong = S("(octet_length({0}) > {1} AND length({0}) > {1})").format(x, most) if most else S("false")
    return x, wrong, reason, "text"


def _moment(kind: Type, x: sql.Composable, rule: Rule, zone: str) -> Converted:
    date = {
        "ymd": (r"^([0-9]{4})[-/.]?([0-9]{1,2})[-/.]?([0-9]{1,2})", r"\1-\2-\3"),
        "dmy": (r"^([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})", r"\3-\2-\1"),
        "mdy": (r"^([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})", r"\3-\1-\2"),
    }[rule.date]
    iso = S("regexp_replace({}, {}, {})").format(x, date[0], date[1])
    clock = "([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?"
    day = "^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    if kind is Type.DATE:
        fits = S("({0} ~ {1} AND pg_input_is_valid({0}, 'date'))").format(
            iso, f"{day}([T ]00:00(:00([.]0+)?)?)?$"
        )
        value = S("CASE WHEN {} THEN {}::date END").format(fits, iso)
        return value, S("NOT {}").format(fits), _("it is no date of this form"), "date"
    bare = S("({0} ~ {1} AND pg_input_is_valid({0}, 'timestamp'))").format(iso, f"{day}{clock}$")
    zoned = S("({0} ~ {1} AND pg_input_is_valid({0}, 'timestamptz'))").format(
        iso, f"{day}{clock.removesuffix('?')} ?(Z|[+-][0-9]{{2}}:?([0-9]{{2}})?)$"
    )
    value = S("CASE WHEN {0} THEN {1}::timestamp AT TIME ZONE {2} WHEN {3} THEN {1}::timestamptz END").format(
        bare, iso, zone, zoned
    )
    return value, S("NOT ({} OR {})").format(bare, zoned), _("it is no time of this form"), "timestamptz"


def enumerated(kind: Type, x: sql.Composable, enumeration: Enumeration) -> Converted:
    """Values of an enumeration, by what is stored, by name or by label in any language."""
    known: dict[str, str] = {}
    for each in enumeration.values:
        labels = (
            registry.translate(each.label, language) for language in ("en", "fr", "sv", "ko", "zh-hant")
        )
        for text in (str(each.value), each.name, *labels):
            known.setdefault(text.lower(), str(each.value))
    sql_type = NUMBERS.get(kind, "boolean" if kind is Type.BOOLEAN else "text")
    found = S("({}::jsonb ->> lower({}))").format(Jsonb(known), x)
    value = S("{}::{}").format(found, S(sql_type))
    return (
        value,
        S("{} IS NOT NULL AND {} IS NULL").format(x, found),
        _("it is no value of the list"),
        sql_type,
    )
