"""The rows of an editor as values, and the document in which a browser sends them.

A line asks about one field, a group ties rows together, `Has` asks about the rows of a collection, `Free` is
an expression as it was typed, and `Kept` is a condition that no row can show: it is carried along unchanged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.kernel.query import Condition, from_json, to_json
from envoi.kernel.query.definition import QueryDef
from envoi.kernel.query.reading import DEEPEST, MOST

LONGEST = 20_000
"""Characters of one value."""


class Join(StrEnum):
    """How the rows of a group are tied."""

    ALL = "all"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True)
class Line:
    """`field` is an expression path (`[folder/@name]`); what `values` are is said by the operator's form."""

    field: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Rows, of which all, any or none hold."""

    join: Join = Join.ALL
    rows: "tuple[Row, ...]" = ()


@dataclass(frozen=True)
class Has:
    """Some row of a collection, or none, for which a group holds; its fields are those of the target."""

    path: str
    none: bool
    inner: Group


@dataclass(frozen=True)
class Free:
    """An expression."""

    expr: str


@dataclass(frozen=True)
class Kept:
    """A condition that has no other row; its operator is AND."""

    condition: Condition


Row = Line | Group | Has | Free | Kept


def from_document(document: object) -> Group:
    """Return the rows that a browser sent. Raises Invalid for what is no such document."""
    found = _Reader().row(document, 0)
    if not isinstance(found, Group):
        raise Invalid(_("These are no conditions: the document has no rows."))
    return found


class _Reader:
    def __init__(self) -> None:
        self.count = 0

    def row(self, document: object, depth: int) -> Row:
        self.count += 1
        if depth > DEEPEST or self.count > MOST:
            raise Invalid(_("The conditions are nested too deep, or there are too many of them."))
        if not isinstance(document, Mapping):
            raise Invalid(_("These are no conditions: a row is no object."))
        found = cast("Mapping[str, Any]", document)
        if "field" in found:
            return Line(_text(found["field"]), _text(found.get("op", "")), _texts(found.get("values", [])))
        if "has" in found:
            none = found.get("none") in (True, "1", "none")
            return Has(_text(found["has"]), none, self.group(found, depth))
        if "expr" in found:
            return Free(_text(found["expr"]))
        if "kept" in found:
            return Kept(self.kept(found["kept"]))
        return self.group(found, depth)

    def group(self, found: Mapping[str, Any], depth: int) -> Group:
        try:
            join = Join(found.get("join", "all"))
        except ValueError as error:
            raise Invalid(_("Rows are tied by all, any or none.")) from error
        inside = found.get("rows", [])
        if not isinstance(inside, list):
            raise Invalid(_("These are no conditions: the rows are no list."))
        return Group(join, tuple(self.row(each, depth + 1) for each in cast("list[object]", inside)))

    def kept(self, document: object) -> Condition:
        definition = from_json({"schema": "x", "where": {"condition": [document]}})
        return definition.where[0]


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise Invalid(_("A value of the conditions is no text, or too long."))
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Invalid(_("A value of the conditions is no text, or too long."))
    return tuple(_text(each) for each in cast("list[object]", value))


def to_document(row: Row) -> dict[str, Any]:
    """Return the document of a row; `from_document` of a group's gives an equal one."""
    match row:
        case Line():
            return {"field": row.field, "op": row.operator, "values": list(row.values)}
        case Has():
            return {"has": row.path, "none": row.none, **to_document(row.inner)}
        case Free():
            return {"expr": row.expr}
        case Kept():
            return {"kept": condition_document(row.condition)}
        case Group():
            return {"join": row.join.value, "rows": [to_document(each) for each in row.rows]}


def condition_document(condition: Condition) -> dict[str, Any]:
    """Return the document of one condition as query definitions have it."""
    return to_json(QueryDef("x", where=(condition,)))["where"]["condition"][0]
