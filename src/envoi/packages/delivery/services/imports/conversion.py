"""SQL that turns the text of a file into a value of a column, and says what is wrong with it.

Each function gets a `Sink` and SQL for the text (NULL when it is empty), and gives `Value`: SQL of the
value, and SQL of a condition that is true when the text does not fit, with the reason. Casts are guarded,
so that no text ends the statement; words that a cast would take for the time of the server ("now") are no
values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from psycopg import sql
from psycopg.types.json import Jsonb

from envoi.kernel import registry
from envoi.kernel.registry.schema import Enumeration
from envoi.kernel.registry.types import Type
from envoi.packages.delivery.services.imports.cleaning import SHORT
from envoi.packages.delivery.services.imports.plan import Null, Sink, Treatment
from envoi.packages.delivery.services.imports.tables import I, S

NUMBERS = {
    Type.BYTE: "smallint",
    Type.SHORT: "smallint",
    Type.LONG: "integer",
    Type.INT64: "bigint",
    Type.TIMESPAN: "bigint",
}
TRUE = ("1", "t", "true", "y", "yes", "on", "o", "oui", "vrai", "ja", "x", "예", "是")
FALSE = ("0", "f", "false", "n", "no", "off", "non", "faux", "nej", "아니요", "否")
_BLANK = " \t\u00a0\u3000"


@dataclass(frozen=True)
class Forms:
    """What values are that need no library: the pattern of usual addresses, the codes of countries."""

    email: str = "^$"
    countries: Sequence[str] = ()


@dataclass(frozen=True)
class Value:
    """How one column is made. `wrong` is NULL or false when all is well; `given` is false for an empty
    cell.
    """

    sink: Sink
    text: sql.Composable
    value: sql.Composable
    wrong: sql.Composable
    reason: str
    fallback: sql.Composable
    """What stands where the cell is empty or left out."""
    sql_type: str


def text_of(sink: Sink) -> sql.Composable:
    """SQL of a cell's text as it is meant: trimmed, in its case, mapped; NULL when it is empty."""
    target = sink.target
    cell: sql.Composable = S("s.{}").format(I(sink.raw))
    if target.trim:
        cell = S("btrim({}, {})").format(cell, _BLANK)
    cell = S("nullif({}, '')").format(cell)
    if target.values:
        cell = S("coalesce({}::jsonb ->> {}, {})").format(Jsonb(dict(target.values)), cell, cell)
        cell = S("nullif({}, '')").format(cell)
    if target.case:
        name = {"first": "initcap", "upper": "upper", "lower": "lower"}[target.case]
        cell = S("{}({})").format(S(name), cell)
    return cell


def value_of(sink: Sink, x: sql.Composable, *, zone: str, forms: Forms) -> Value:
    """Return how the text `x` becomes the value of a column."""
    value, wrong, reason, kind = _converted(sink, x, zone=zone, forms=forms)
    return Value(sink, x, value, wrong, reason, _fallback(sink, kind, zone, forms), kind)


def _fallback(sink: Sink, kind: str, zone: str, forms: Forms) -> sql.Composable:
    if sink.target.default and sink.target.null is not Null.NEVER:
        given = S("{}::text").format(sql.Literal(sink.target.default))
        value, wrong, _reason, _kind = _converted(sink, given, zone=zone, forms=forms)
        return S("CASE WHEN ({}) IS NOT TRUE THEN {} END").format(wrong, value)
    if sink.treatment is Treatment.COUNTRY:
        return S("'XX'")
    if sink.type in (Type.STRING, Type.MEMO) and sink.linked is None:
        return S("''")
    if sink.enumeration is not None and sink.linked is None and kind in ("smallint", "integer", "bigint"):
        return S("0::{}").format(S(kind)) if sink.enumeration.valued(0) else S("NULL::{}").format(S(kind))
    return S("NULL::{}").format(S(kind))


def _converted(
    sink: Sink, x: sql.Composable, *, zone: str, forms: Forms
) -> tuple[sql.Composable, sql.Composable, str, str]:
    """Return (value, wrong, reason, type), all NULL for a NULL text."""
    if sink.linked is not None:
        return _linked(sink, x)
    if sink.enumeration is not None:
        return _enumerated(sink, x, sink.enumeration)
    match sink.treatment:
        case Treatment.EMAIL:
            clean = S(
                "CASE WHEN lower({0}) ~ {1} AND length({0}) <= {2} THEN lower({0}) ELSE n.{3} END"
            ).format(x, forms.email, SHORT, I(sink.raw))
            return (
                clean,
                S("{0} IS NOT NULL AND ({1}) IS NULL").format(x, clean),
                _("it is no e-mail address"),
                "text",
            )
        case Treatment.PHONE:
            clean = S("n.{}").format(I(sink.raw))
            return (
                clean,
                S("{} IS NOT NULL AND {} IS NULL").format(x, clean),
                _("it is no phone number"),
                "text",
            )
        case Treatment.COUNTRY:
            clean = S("CASE WHEN upper({0}) = ANY({1}) THEN upper({0}) ELSE n.{2} END").format(
                x, list(forms.countries), I(sink.raw)
            )
            return clean, S("{} IS NOT NULL AND {} IS NULL").format(x, clean), _("it is no country"), "text"
        case _:
            return _plain(sink, x, zone)


def _plain(sink: Sink, x: sql.Composable, zone: str) -> tuple[sql.Composable, sql.Composable, str, str]:
    kind = sink.type
    if kind in NUMBERS:
        name = S(NUMBERS[kind])
        digits = S("replace(replace({}, ' ', ''), {}, '')").format(x, "\u00a0")
        fits = S("({0} ~ '^[+-]?[0-9]+$' AND pg_input_is_valid({0}, {1}))").format(digits, NUMBERS[kind])
        value = S("CASE WHEN {} THEN {}::{} END").format(fits, digits, name)
        return value, S("NOT {}").format(fits), _("it is no whole number of this size"), NUMBERS[kind]
    if kind in (Type.FLOAT, Type.DOUBLE):
        digits = S("replace(replace({}, ' ', ''), {}, '')").format(x, "\u00a0")
        if sink.target.decimal == ",":
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
        return _moment(sink, x, zone)
    if kind is Type.UUID:
        fits = S("pg_input_is_valid({}, 'uuid')").format(x)
        return (
            S("CASE WHEN {} THEN {}::uuid END").format(fits, x),
            S("NOT {}").format(fits),
            _("it is no UUID"),
            "uuid",
        )
    reason = _("it is longer than %(most)d characters") % {"most": sink.length or 0}
    # Bytes are counted at once, characters one by one.
    most = sink.length
    wrong = S("(octet_length({0}) > {1} AND length({0}) > {1})").format(x, most) if most else S("false")
    return x, wrong, reason, "text"


def _moment(sink: Sink, x: sql.Composable, zone: str) -> tuple[sql.Composable, sql.Composable, str, str]:
    date = {
        "ymd": (r"^([0-9]{4})[-/.]?([0-9]{1,2})[-/.]?([0-9]{1,2})", r"\1-\2-\3"),
        "dmy": (r"^([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})", r"\3-\2-\1"),
        "mdy": (r"^([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})", r"\3-\1-\2"),
    }[sink.target.date]
    iso = S("regexp_replace({}, {}, {})").format(x, date[0], date[1])
    clock = "([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?)?"
    day = "^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    if sink.type is Type.DATE:
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


def _enumerated(
    sink: Sink, x: sql.Composable, enumeration: Enumeration
) -> tuple[sql.Composable, sql.Composable, str, str]:
    """Values of an enumeration, by what is stored, by name or by label in any language."""
    known: dict[str, str] = {}
    for each in enumeration.values:
        labels = (
            registry.translate(each.label, language) for language in ("en", "fr", "sv", "ko", "zh-hant")
        )
        for text in (str(each.value), each.name, *labels):
            known.setdefault(text.lower(), str(each.value))
    kind = NUMBERS.get(sink.type, "boolean" if sink.type is Type.BOOLEAN else "text")
    found = S("({}::jsonb ->> lower({}))").format(Jsonb(known), x)
    value = S("{}::{}").format(found, S(kind))
    return value, S("{} IS NOT NULL AND {} IS NULL").format(x, found), _("it is no value of the list"), kind


def _linked(sink: Sink, x: sql.Composable) -> tuple[sql.Composable, sql.Composable, str, str]:
    table, column, key = sink.linked or ("", "", "")
    found = S("(SELECT min(l.{}) FROM {} l WHERE l.{} = {})").format(I(key), I(table), I(column), x)
    if sink.to_folder:
        found = S("(SELECT f.id FROM imp_folder f WHERE f.name = {})").format(x)
    kind = NUMBERS.get(sink.type, "bigint")
    reason = (
        _("there is none of this name that you may write to")
        if sink.to_folder
        else _("there is none of this name")
    )
    return found, S("{} IS NOT NULL AND {} IS NULL").format(x, found), reason, kind
