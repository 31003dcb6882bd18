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

from envoi.engine import conversion
from envoi.engine.conversion import NUMBERS, I, S
from envoi.kernel.registry.types import Type
from envoi.packages.delivery.services.imports.cleaning import SHORT
from envoi.packages.delivery.services.imports.plan import Null, Sink, Treatment


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


def text_of(sink: Sink, *, blanks: bool = True) -> sql.Composable:
    """SQL of a cell's text as it is meant: trimmed, in its case, mapped; NULL when it is empty."""
    return conversion.text_of(S("s.{}").format(I(sink.raw)), sink.target, blanks=blanks)


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
        return conversion.enumerated(sink.type, x, sink.enumeration)
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
            return conversion.converted(sink.type, x, sink.target, zone=zone, length=sink.length)


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
