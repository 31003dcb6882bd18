"""Conditions as a sentence, for chips and diagrams."""

from datetime import date

from babel.dates import format_date
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import words
from envoi.console.conditions import fields, operators, translating
from envoi.console.conditions.fields import Field, Sort
from envoi.console.conditions.operators import Form
from envoi.console.conditions.rows import Free, Group, Has, Join, Kept, Line, Row
from envoi.kernel import registry
from envoi.kernel.errors import Invalid
from envoi.kernel.query import Condition
from envoi.kernel.registry import Registry, Schema

SHOWN = 5
"""Values of a list that are written out."""


def sentence(conditions: tuple[Condition, ...], schema: str, *, within: Registry | None = None) -> str:
    """Return what conditions on a schema ask, in the reader's language; empty for none.

    `E-mail contains “x” and (Country is FR or Created is in the last 30 days)`. Raises NotFound for an
    unknown schema.
    """
    known = within or registry.current()
    return of_group(translating.rows_of(conditions, known[schema], known), known[schema], known)


def of_group(group: Group, schema: Schema, within: Registry) -> str:
    """Return the sentence of a group."""
    parts = [_of_row(each, schema, within) for each in group.rows]
    inner = [
        f"({part})" if isinstance(row, Group) and len(row.rows) > 1 and row.join is not Join.NONE else part
        for row, part in zip(group.rows, parts, strict=True)
        if part
    ]
    if not inner:
        return ""
    if group.join is Join.NONE:
        return _("none of: %(conditions)s") % {"conditions": "; ".join(inner)}
    said = inner[0]
    for part in inner[1:]:
        pattern = _("%(first)s and %(second)s") if group.join is Join.ALL else _("%(first)s or %(second)s")
        said = pattern % {"first": said, "second": part}
    return said


def _of_row(row: Row, schema: Schema, within: Registry) -> str:
    match row:
        case Line():
            return _of_line(row, schema, within)
        case Group():
            return of_group(row, schema, within)
        case Has():
            return _of_collection(row, schema, within)
        case Free():
            return row.expr
        case Kept():
            return _("a condition that only its text can show")


def _of_line(row: Line, schema: Schema, within: Registry) -> str:
    field = fields.find(schema, row.field, within)
    if field is None:
        return f"{row.field} …"
    try:
        operator = operators.operator_of(field, row.operator)
    except Invalid:
        return f"{field.label} …"
    if operator.form is Form.NONE:
        return _("%(field)s %(operator)s") % {"field": field.label, "operator": operator.label}
    return _("%(field)s %(operator)s %(value)s") % {
        "field": field.label,
        "operator": operator.label,
        "value": _values(field, operator.form, row.values),
    }


def _of_collection(row: Has, schema: Schema, within: Registry) -> str:
    link = fields.find(schema, row.path, within)
    if link is None or not link.target:
        return row.path
    inner = of_group(row.inner, within[link.target], within)
    said = {"link": link.label, "conditions": inner}
    if not inner:
        return _("without %(link)s") % said if row.none else _("with %(link)s") % said
    if row.none:
        return _("without %(link)s where %(conditions)s") % said
    return _("with %(link)s where %(conditions)s") % said


def _values(field: Field, form: Form, values: tuple[str, ...]) -> str:
    if form is Form.DAY:
        return day(values)
    if form is Form.DAYS:
        return _("%(first)s and %(second)s") % {"first": day(values[:2]), "second": day(values[2:])}
    if form is Form.SPAN and len(values) == 2:
        return _counted(values[0], values[1])
    said = [_value(field, each) for each in values if each]
    if form is Form.TWO and len(said) == 2:
        return _("%(first)s and %(second)s") % {"first": said[0], "second": said[1]}
    more = len(said) - SHOWN
    text = ", ".join(said[:SHOWN])
    return f"{text}, … (+{more})" if more > 0 else text or "…"


def _value(field: Field, value: str) -> str:
    if field.sort is Sort.CHOICE and field.attribute is not None and field.attribute.enumeration is not None:
        known = next((e for e in field.attribute.enumeration.values if str(e.value) == value), None)
        return registry.translate(known.label) if known else value
    if field.sort is Sort.LINK:
        return _("number %(n)s") % {"n": value}
    return _("“%(text)s”") % {"text": value} if field.sort is Sort.TEXT else value


def day(values: tuple[str, ...]) -> str:
    """Return a day as it is said: a date of the reader's language, or its distance from today."""
    way, amount = values if len(values) == 2 else ("", "")
    if way == "date":
        try:
            return format_date(date.fromisoformat(amount), "medium", locale=words.locale())
        except ValueError:
            return "…"
    if way == "today":
        return _("today")
    return f"{amount} {operators.DAYS[way]}" if way in operators.DAYS else "…"


def _counted(count: str, unit: str) -> str:
    n = int(count) if count.isascii() and count.isdigit() else 0
    said = {
        "Minutes": ngettext("%(n)s minute", "%(n)s minutes", n),
        "Hours": ngettext("%(n)s hour", "%(n)s hours", n),
        "Days": ngettext("%(n)s day", "%(n)s days", n),
        "Months": ngettext("%(n)s month", "%(n)s months", n),
        "Years": ngettext("%(n)s year", "%(n)s years", n),
    }.get(unit, "%(n)s")
    return said % {"n": count or "…"}
