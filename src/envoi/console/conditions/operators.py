"""What can be asked of a field: operators by its sort, each with its expression, both ways.

Times are asked by whole days of the reader's zone. `on or before` a day is `< AddDays(day, 1)`, and so on, so
that a comparison stays one that an index serves.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import pgettext_lazy

from envoi.console.conditions.fields import Field, Sort
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import (
    Between,
    Call,
    Compare,
    InList,
    IsNull,
    Like,
    Literal,
    Logic,
    Node,
    Path,
)


class Form(StrEnum):
    """What is typed behind an operator."""

    NONE = "none"
    ONE = "one"
    MANY = "many"
    TWO = "two"
    DAY = "day"
    """A way of saying a day, and its amount: `("date", "2026-11-24")`, `("days_ago", "30")`."""
    DAYS = "days"
    """Two of them."""
    SPAN = "span"
    """A number and a unit: `("30", "Days")`."""


@dataclass(frozen=True)
class Operator:
    """One operator; `label` is translated lazily."""

    name: str
    label: Any
    form: Form = Form.ONE


EMPTY = Operator("empty", lazy("is empty"), Form.NONE)
FILLED = Operator("filled", lazy("is not empty"), Form.NONE)
_OF_DAYS = (
    Operator("on", lazy("is on"), Form.DAY),
    Operator("since", lazy("is on or after"), Form.DAY),
    Operator("after", lazy("is after"), Form.DAY),
    Operator("before", lazy("is before"), Form.DAY),
    Operator("until", lazy("is on or before"), Form.DAY),
    Operator("days", lazy("is between"), Form.DAYS),
    Operator("last", lazy("is in the last"), Form.SPAN),
    Operator("next", lazy("is in the next"), Form.SPAN),
)
IS = Operator("eq", pgettext_lazy("operator", "is"))
IS_NOT = Operator("ne", lazy("is not"))
ONE_OF = Operator("in", lazy("is one of"), Form.MANY)
NONE_OF = Operator("nin", lazy("is none of"), Form.MANY)
SAME = Operator("eq", lazy("equals"))
OTHER = Operator("ne", lazy("does not equal"))
OPERATORS: dict[Sort, tuple[Operator, ...]] = {
    Sort.TEXT: (
        SAME,
        OTHER,
        Operator("contains", lazy("contains")),
        Operator("ncontains", lazy("does not contain")),
        Operator("starts", lazy("starts with")),
        Operator("ends", lazy("ends with")),
        ONE_OF,
        NONE_OF,
        EMPTY,
        FILLED,
        Operator("like", lazy("matches the pattern")),
        Operator("nlike", lazy("does not match the pattern")),
    ),
    Sort.NUMBER: (
        SAME,
        OTHER,
        Operator("gt", lazy("is greater than")),
        Operator("gte", lazy("is at least")),
        Operator("lt", lazy("is less than")),
        Operator("lte", lazy("is at most")),
        Operator("between", lazy("is between"), Form.TWO),
        ONE_OF,
        NONE_OF,
        EMPTY,
        FILLED,
    ),
    Sort.CHOICE: (IS, IS_NOT, ONE_OF, NONE_OF, EMPTY, FILLED),
    Sort.TRUTH: (
        Operator("true", lazy("is true"), Form.NONE),
        Operator("false", lazy("is false"), Form.NONE),
        EMPTY,
        FILLED,
    ),
    Sort.DAY: (
        *_OF_DAYS,
        EMPTY,
        FILLED,
    ),
    Sort.MOMENT: (
        *_OF_DAYS,
        Operator("older", lazy("is longer ago than"), Form.SPAN),
        EMPTY,
        FILLED,
    ),
    Sort.LINK: (
        Operator("filled", lazy("is there"), Form.NONE),
        Operator("empty", lazy("is not there"), Form.NONE),
        IS,
        IS_NOT,
        ONE_OF,
        NONE_OF,
    ),
}
DAYS: dict[str, Any] = {
    "date": lazy("the date"),
    "today": lazy("today"),
    "days_ago": lazy("days ago"),
    "months_ago": lazy("months ago"),
    "years_ago": lazy("years ago"),
    "days_ahead": lazy("days from today"),
    "months_ahead": lazy("months from today"),
    "years_ahead": lazy("years from today"),
}
"""Ways of saying a day."""
UNITS: dict[str, Any] = {
    "Minutes": lazy("minutes"),
    "Hours": lazy("hours"),
    "Days": lazy("days"),
    "Months": lazy("months"),
    "Years": lazy("years"),
}
_AGO = {"days_ago": "DaysAgo", "months_ago": "MonthsAgo", "years_ago": "YearsAgo"}
_AHEAD = {"days_ahead": "AddDays", "months_ahead": "AddMonths", "years_ahead": "AddYears"}
_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,20})?", re.ASCII)
_COUNT = re.compile(r"\d{1,6}", re.ASCII)
_NOW = Call("GetDate", ())
_TODAY = Call("DaysAgo", (Literal(0),))
_SIGNS = {"eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_OF_SIGN = {sign: name for name, sign in _SIGNS.items()}
_DAY_SIGNS = {"on": "=", "since": ">=", "after": ">", "before": "<", "until": "<="}
_LIKE = {"contains": ("%", "%"), "starts": ("", "%"), "ends": ("%", "")}


def offered(field: Field) -> tuple[Operator, ...]:
    """Return the operators of a field, the usual one first."""
    return OPERATORS[field.sort]


def operator_of(field: Field, name: str) -> Operator:
    """Return an operator of a field. Raises Invalid for one that it has not."""
    for each in offered(field):
        if each.name == name:
            return each
    raise Invalid(_("%(field)s cannot be asked this.") % {"field": field.label})


def units_of(field: Field) -> dict[str, Any]:
    """Return the units in which a span of a field is counted."""
    few = ("Days", "Months", "Years")
    return {name: label for name, label in UNITS.items() if field.sort is Sort.MOMENT or name in few}


# --- values to an expression


def build(field: Field, name: str, values: Sequence[str]) -> Node:
    """Return the expression of a line. Raises Invalid when a value is missing or is none of the field's."""
    operator = operator_of(field, name)
    path = field.path
    match name:
        case "empty" | "filled":
            return IsNull(path, name == "filled")
        case "true" | "false":
            return Compare("=", path, Literal(name == "true"))
        case "in" | "nin":
            each = tuple(_literal(field, value) for value in _given(field, _lines(values)))
            return InList(path, each, name == "nin")
        case "between":
            low, high = (_literal(field, value) for value in _given(field, values, 2))
            return Between(path, low, high)
        case "contains" | "ncontains" | "starts" | "ends":
            (text,) = _given(field, values, 1)
            before, after = _LIKE[name.removeprefix("n")]
            return Like(path, Literal(f"{before}{_escaped(text)}{after}"), name == "ncontains")
        case "like" | "nlike":
            (text,) = _given(field, values, 1)
            return Like(path, Literal(text), name == "nlike")
        case _ if operator.form is Form.ONE:
            (text,) = _given(field, values, 1)
            return Compare(_SIGNS[name], path, _literal(field, text))
        case _:
            return _dated(field, name, values)


def _given(field: Field, values: Sequence[str], count: int | None = None) -> Sequence[str]:
    """Return the values, when so many are there and none is empty."""
    if not values or (count is not None and len(values) != count) or not all(values):
        raise Invalid(_("%(field)s: fill in the value.") % {"field": field.label})
    return values


def _lines(values: Sequence[str]) -> list[str]:
    return [line for value in values for line in value.replace("\r", "").split("\n") if line]


def _literal(field: Field, text: str) -> Literal:
    if field.sort is Sort.TEXT:
        return Literal(text)
    if field.sort is Sort.CHOICE and field.attribute is not None and field.attribute.enumeration is not None:
        for each in field.attribute.enumeration.values:
            if str(each.value) == text:
                return Literal(each.value)
        raise Invalid(_("%(field)s: %(text)s is none of its values.") % {"field": field.label, "text": text})
    text = text.strip()
    if not _NUMBER.fullmatch(text) or (field.sort is Sort.LINK and not text.isdigit()):
        raise Invalid(_("%(field)s: %(text)s is no number.") % {"field": field.label, "text": text})
    number = Decimal(text)
    return Literal(number if "." in text else int(text))


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _dated(field: Field, name: str, values: Sequence[str]) -> Node:
    path, whole = field.path, field.sort is Sort.DAY
    if name in ("last", "next", "older"):
        count, unit = _span(field, values)
        return _spanned(path, name, count, unit, whole=whole)
    if name == "days":
        low, high = _day(field, values[:2]), _day(field, values[2:])
        if whole:
            return Between(path, low, high)
        return Logic("AND", (Compare(">=", path, low), Compare("<", path, _following(high))))
    day = _day(field, values)
    if whole:
        return Compare(_DAY_SIGNS[name], path, day)
    if name == "on":
        return Logic("AND", (Compare(">=", path, day), Compare("<", path, _following(day))))
    sign = {"since": ">=", "after": ">=", "before": "<", "until": "<"}[name]
    return Compare(sign, path, _following(day) if name in ("after", "until") else day)


def _following(day: Node) -> Node:
    return Call("AddDays", (day, Literal(1)))


def _span(field: Field, values: Sequence[str]) -> tuple[int, str]:
    if len(values) != 2 or values[1] not in units_of(field) or not _COUNT.fullmatch(values[0].strip()):
        raise Invalid(_("%(field)s: say how many, as a whole number.") % {"field": field.label})
    return int(values[0]), values[1]


def _spanned(path: Path, name: str, count: int, unit: str, *, whole: bool) -> Node:
    if whole:
        today = Call("ToDate", (_NOW,))
        edge = Call(f"Add{unit}", (today, Literal(count if name == "next" else -count)))
        return Between(path, today, edge) if name == "next" else Between(path, edge, today)
    edge = Call(f"Add{unit}", (_NOW, Literal(count if name == "next" else -count)))
    if name == "older":
        return Compare("<", path, edge)
    return Between(path, _NOW, edge) if name == "next" else Between(path, edge, _NOW)


def _day(field: Field, values: Sequence[str]) -> Node:
    way, amount = values if len(values) == 2 else ("", "")
    if way == "today":
        return _TODAY
    if way == "date":
        try:
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", amount, re.ASCII):
                raise ValueError
            return Literal(date.fromisoformat(amount))
        except ValueError as error:
            raise Invalid(_("%(field)s: choose a day.") % {"field": field.label}) from error
    if not _COUNT.fullmatch(amount.strip()):
        raise Invalid(_("%(field)s: say how many, as a whole number.") % {"field": field.label})
    count = int(amount)
    if way in _AGO:
        return Call(_AGO[way], (Literal(count),))
    if way in _AHEAD:
        return Call(_AHEAD[way], (Call("ToDate", (_NOW,)), Literal(count)))
    raise Invalid(_("%(field)s: choose a day.") % {"field": field.label})


# --- an expression to values


Found = tuple[str, tuple[str, ...]]
"""Name of an operator and its values."""


def match(field: Field, node: Node) -> Found | None:
    """Return operator and values of an expression over a field, or None when no operator says the same.

    `build` of what is returned gives an expression that means the same as `node`.
    """
    for read in _READERS:
        found = read(field, node)
        if found is not None and any(each.name == found[0] for each in offered(field)):
            return found if _rebuilds(field, found) else None
    return None


def _rebuilds(field: Field, found: Found) -> bool:
    try:
        build(field, *found)
    except Invalid:
        return False
    return True


def _said(field: Field, node: Node) -> str | None:
    """Return the text that a form shows for a literal."""
    if not isinstance(node, Literal):
        return None
    value = node.value
    if field.sort is Sort.TEXT:
        return value if isinstance(value, str) and value and not re.search(r"[\r\n]", value) else None
    if field.sort is Sort.CHOICE and field.attribute is not None and field.attribute.enumeration is not None:
        values = field.attribute.enumeration
        known = values.named(value) if isinstance(value, str) else None
        known = known or (None if isinstance(value, bool) else values.valued(value))
        return str(known.value) if known is not None else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _read_null(_field: Field, node: Node) -> Found | None:
    return ("filled" if node.negated else "empty", ()) if isinstance(node, IsNull) else None


def _read_truth(field: Field, node: Node) -> Found | None:
    if field.sort is not Sort.TRUTH:
        return None
    if isinstance(node, Path):
        return "true", ()
    if isinstance(node, Compare) and node.operator == "=" and isinstance(node.right, Literal):
        said = {"True": "true", "1": "true", "False": "false", "0": "false"}.get(str(node.right.value))
        return (said, ()) if said else None
    return None


def _read_compare(field: Field, node: Node) -> Found | None:
    if not isinstance(node, Compare) or field.sort in (Sort.DAY, Sort.MOMENT, Sort.TRUTH):
        return None
    said = _said(field, node.right)
    return (_OF_SIGN[node.operator], (said,)) if said is not None else None


def _read_list(field: Field, node: Node) -> Found | None:
    if not isinstance(node, InList):
        return None
    said = [_said(field, each) for each in node.items]
    if any(each is None for each in said):
        return None
    return "nin" if node.negated else "in", tuple(each for each in said if each is not None)


def _read_like(field: Field, node: Node) -> Found | None:
    if not isinstance(node, Like):
        return None
    pattern = _said(field, node.pattern)
    if pattern is None:
        return None
    for name, (before, after) in _LIKE.items():
        if node.negated and name != "contains":
            continue
        text = pattern.removeprefix(before).removesuffix(after)
        plain = re.sub(r"\\([\\%_])", r"\1", text)
        if plain and f"{before}{_escaped(plain)}{after}" == pattern:
            return f"n{name}" if node.negated else name, (plain,)
    return "nlike" if node.negated else "like", (pattern,)


def _read_between(field: Field, node: Node) -> Found | None:
    if not isinstance(node, Between) or node.negated or field.sort is not Sort.NUMBER:
        return None
    low, high = _said(field, node.low), _said(field, node.high)
    return ("between", (low, high)) if low is not None and high is not None else None


def _read_day(field: Field, node: Node) -> Found | None:
    """Read a comparison with a day, a range of days, or a span up to now."""
    if field.sort not in (Sort.DAY, Sort.MOMENT):
        return None
    whole = field.sort is Sort.DAY
    if isinstance(node, Between) and not node.negated:
        return _read_span(node, whole=whole) or (_read_range(node.low, node.high) if whole else None)
    if isinstance(node, Compare):
        return _read_whole_day(node) if whole else _read_moment(node)
    if isinstance(node, Logic) and not whole and node.operator == "AND" and len(node.operands) == 2:
        first, second = node.operands
        if not isinstance(first, Compare) or not isinstance(second, Compare):
            return None
        high = _before_following(second.right)
        if first.operator != ">=" or second.operator != "<" or high is None:
            return None
        found = _read_range(first.right, high)
        if found is not None and found[1][:2] == found[1][2:]:
            return "on", found[1][:2]
        return found
    return None


def _read_range(low: Node, high: Node) -> Found | None:
    first, second = _said_day(low), _said_day(high)
    return ("days", (*first, *second)) if first and second else None


def _read_whole_day(node: Compare) -> Found | None:
    name = next((name for name, sign in _DAY_SIGNS.items() if sign == node.operator), "")
    day = _said_day(node.right)
    return (name, day) if name and day else None


def _read_moment(node: Compare) -> Found | None:
    before = _before_following(node.right)
    shifted = _said_day(before) if before is not None else None
    plain = _said_day(node.right)
    if node.operator == ">=" and (shifted or plain):
        return ("after", shifted) if shifted else ("since", plain or ())
    if node.operator == "<":
        if shifted or plain:
            return ("until", shifted) if shifted else ("before", plain or ())
        count, unit = _shift(node.right, _NOW)
        return ("older", (str(-count), unit)) if unit and count <= 0 else None
    return None


def _read_span(node: Between, *, whole: bool) -> Found | None:
    now: Node = Call("ToDate", (_NOW,)) if whole else _NOW
    if node.high == now:
        count, unit = _shift(node.low, now)
        return ("last", (str(-count), unit)) if unit and count <= 0 else None
    if node.low == now:
        count, unit = _shift(node.high, now)
        return ("next", (str(count), unit)) if unit and count >= 0 else None
    return None


def _shift(node: Node, base: Node) -> tuple[int, str]:
    """Return by how much a time is away from `base`, and the unit; no unit when it is something else."""
    if isinstance(node, Call) and len(node.arguments) == 2 and node.arguments[0] == base:
        amount = node.arguments[1]
        word, unit = node.name[:3], node.name[3:]
        if isinstance(amount, Literal) and type(amount.value) is int and unit in UNITS:
            return (amount.value, unit) if word == "Add" else (-amount.value, unit)
    return 0, ""


def _before_following(node: Node) -> Node | None:
    """Return the day of which a node is the following one."""
    if isinstance(node, Call) and node.name == "AddDays" and node.arguments[1] == Literal(1):
        day = node.arguments[0]
        # A day from today is a way of saying a day by itself.
        return day if _said_day(day) and day != Call("ToDate", (_NOW,)) else None
    return None


def _said_day(node: Node) -> tuple[str, ...] | None:
    if isinstance(node, Literal) and isinstance(node.value, date) and not isinstance(node.value, datetime):
        return "date", node.value.isoformat()
    if not isinstance(node, Call):
        return None
    if node == _TODAY or node == Call("ToDate", (_NOW,)):
        return "today", ""
    for ways, first in ((_AGO, ()), (_AHEAD, (Call("ToDate", (_NOW,)),))):
        for way, function in ways.items():
            amount = node.arguments[-1] if node.arguments else None
            if node.name == function and node.arguments[:-1] == first and isinstance(amount, Literal):
                value = amount.value
                if type(value) is int and 0 <= value < 1_000_000:
                    return way, str(value)
    return None


_READERS: tuple[Callable[[Field, Node], Found | None], ...] = (
    _read_null,
    _read_truth,
    _read_compare,
    _read_list,
    _read_like,
    _read_between,
    _read_day,
)


def asked_of(node: Node) -> Path | None:
    """Return the path that a comparison is about, or None."""
    match node:
        case Path():
            return node
        case Compare() if isinstance(node.left, Path):
            return node.left
        case Like() | InList() | Between() | IsNull() if isinstance(node.operand, Path):
            return node.operand
        case Logic() if node.operator == "AND" and len(node.operands) == 2:
            first, second = (asked_of(each) for each in node.operands)
            return first if first is not None and first == second else None
        case _:
            return None
