"""What the buttons of an editor do to its rows. A place is the way to one: `0.2`, the third of the first."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from django.utils.translation import gettext as _

from envoi.console.conditions import fields, operators
from envoi.console.conditions.fields import Field, Sort
from envoi.console.conditions.operators import Form
from envoi.console.conditions.rows import Free, Group, Has, Join, Line, Row
from envoi.kernel.errors import Invalid
from envoi.kernel.registry import Registry, Schema

Place = tuple[int, ...]
_EMPTY: dict[Form, tuple[str, ...]] = {
    Form.NONE: (),
    Form.ONE: ("",),
    Form.MANY: (),
    Form.TWO: ("", ""),
    Form.DAY: ("date", ""),
    Form.DAYS: ("date", "", "date", ""),
    Form.SPAN: ("30", "Days"),
}


def place_of(text: str) -> Place:
    """Return a place from its text; "" is the whole. Raises Invalid."""
    if not re.fullmatch(r"(\d{1,4}(\.\d{1,4}){0,40})?", text, re.ASCII):
        raise Invalid(_("There is no such row."))
    return tuple(int(each) for each in text.split(".")) if text else ()


def change(
    group: Group, do: str, at: Place, field: str, schema: Schema, within: Registry
) -> tuple[Group, Place | None]:
    """Return the rows after a change, and the place where work goes on; None: where it was.

    `add`, `group` and `expression` put a row into the group at a place, `field` says what a line is about,
    `remove` takes a row away, `up` and `down` move it; anything else only tidies values. Raises Invalid for a
    place or a field that is not there.
    """
    match do:
        case "add" | "group" | "expression":
            base = schema_at(group, at, schema, within)
            added = _added(do, field, group, at, base, within)
            place = (*at, len(_inside(_at(group, at))))
            return tidy(_put(group, at, lambda row: _grown(row, added)), schema, within), place
        case "field":
            base = schema_at(group, at[:-1], schema, within)
            chosen = _chosen(field, base, within, before=_at(group, at))
            return tidy(_put(group, at, lambda _row: (chosen,)), schema, within), at
        case "remove":
            if not at:
                return Group(), ()
            return tidy(_put(group, at, lambda _row: ()), schema, within), at[:-1]
        case "up" | "down":
            return tidy(_moved(group, at, -1 if do == "up" else 1), schema, within), at
        case _:
            return tidy(group, schema, within), None


def schema_at(group: Group, at: Place, schema: Schema, within: Registry) -> Schema:
    """Return the schema that rows directly below a place ask about."""
    row: Row = group
    for index in (*at, None):
        if isinstance(row, Has):
            link = fields.find(schema, row.path, within)
            if link is None or not link.target:
                raise Invalid(_("There is no such row."))
            schema = within[link.target]
        if index is not None:
            row = _child(row, index)
    return schema


def _at(group: Group, at: Place) -> Row:
    row: Row = group
    for index in at:
        row = _child(row, index)
    return row


def _child(row: Row, index: int) -> Row:
    inside = _inside(row)
    if index >= len(inside):
        raise Invalid(_("There is no such row."))
    return inside[index]


def _inside(row: Row) -> tuple[Row, ...]:
    if isinstance(row, Has):
        return row.inner.rows
    return row.rows if isinstance(row, Group) else ()


def _with(row: Row, inside: Sequence[Row]) -> Row:
    if isinstance(row, Has):
        return replace(row, inner=replace(row.inner, rows=tuple(inside)))
    if isinstance(row, Group):
        return replace(row, rows=tuple(inside))
    raise Invalid(_("There is no such row."))


def _put(group: Group, at: Place, by: Callable[[Row], tuple[Row, ...]]) -> Group:
    """Return the group with the row at a place replaced by some."""

    def inner(row: Row, rest: Place) -> tuple[Row, ...]:
        if not rest:
            return by(row)
        inside = _inside(row)
        _child(row, rest[0])
        made = inner(inside[rest[0]], rest[1:])
        return (_with(row, (*inside[: rest[0]], *made, *inside[rest[0] + 1 :])),)

    found = inner(group, at)
    return found[0] if found and isinstance(found[0], Group) else Group()


def _grown(row: Row, added: Row) -> tuple[Row, ...]:
    return (_with(row, (*_inside(row), added)),)


def _moved(group: Group, at: Place, by: int) -> Group:
    parent, index = _at(group, at[:-1]), at[-1] if at else 0
    inside = list(_inside(parent))
    if 0 <= index + by < len(inside) and index < len(inside):
        inside[index], inside[index + by] = inside[index + by], inside[index]
        return _put(group, at[:-1], lambda row: (_with(row, inside),))
    return group


def _added(do: str, field: str, group: Group, at: Place, base: Schema, within: Registry) -> Row:
    if do == "expression":
        return Free("")
    if do == "group":
        row = _at(group, at)
        join = row.inner.join if isinstance(row, Has) else row.join if isinstance(row, Group) else Join.ALL
        return Group(Join.ALL if join is Join.ANY else Join.ANY, ())
    return _chosen(field, base, within, before=None)


def _chosen(text: str, schema: Schema, within: Registry, *, before: Row | None) -> Row:
    field = fields.find(schema, text, within)
    if field is None:
        raise Invalid(_("%(schema)s has no field %(path)s.") % {"schema": schema.name, "path": text})
    if field.links and field.sort is Sort.LINK and field.links[-1].collection:
        return Has(field.text, none=False, inner=Group())
    usual = operators.offered(field)[0]
    if isinstance(before, Line):
        # What was asked of the former field is asked of the new one where that makes sense.
        old = fields.find(schema, before.field, within)
        if old is not None and old.sort is field.sort and field.sort not in (Sort.CHOICE, Sort.LINK):
            return Line(field.text, before.operator, before.values)
    return Line(field.text, usual.name, _EMPTY[usual.form])


def tidy(row: Group, schema: Schema, within: Registry) -> Group:
    """Return rows with values in the shape of their operators, so that each can be drawn."""
    found = _tidied(row, schema, within)
    return found if isinstance(found, Group) else row


def _tidied(row: Row, schema: Schema, within: Registry) -> Row:
    match row:
        case Line():
            field = fields.find(schema, row.field, within)
            return _fitted(row, field) if field is not None else row
        case Group():
            return replace(row, rows=tuple(_tidied(each, schema, within) for each in row.rows))
        case Has():
            link = fields.find(schema, row.path, within)
            if link is None or not link.target:
                return row
            return replace(row, inner=tidy(row.inner, within[link.target], within))
        case _:
            return row


def _fitted(row: Line, field: Field) -> Line:
    offered = {each.name: each for each in operators.offered(field)}
    operator = offered.get(row.operator) or operators.offered(field)[0]
    return Line(row.field, operator.name, fitted(operator.form, row.values))


def fitted(form: Form, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return values in the shape of a form, keeping what fits."""
    day = len(values) in (2, 4) and values[0] in operators.DAYS
    match form:
        case Form.NONE:
            return ()
        case Form.ONE if values and not day and values[-1] not in operators.UNITS:
            return (values[0].partition("\n")[0],)
        case Form.MANY:
            return tuple(line for each in values for line in each.replace("\r", "").split("\n") if line)
        case Form.TWO if values:
            return (values[0], values[1] if len(values) > 1 else "")
        case Form.DAY if day:
            return (values[0], _amount(*values[:2]))
        case Form.DAYS if day:
            high = values[2:] if len(values) == 4 and values[2] in operators.DAYS else ("today", "")
            return (values[0], _amount(*values[:2]), high[0], _amount(*high))
        case Form.SPAN if len(values) == 2 and values[1] in operators.UNITS:
            return values
        case _:
            return _EMPTY[form]


def _amount(way: str, amount: str) -> str:
    """Return the amount of a way of saying a day, when it can be one."""
    if way == "today":
        return ""
    if way == "date":
        return amount if "-" in amount else ""
    return amount if amount.isascii() and amount.isdigit() else "30"
