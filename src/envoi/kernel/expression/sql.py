"""A tree to SQL: every value is bound, every identifier comes from the context, types are checked here."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

from envoi.kernel.expression.functions import FUNCTIONS, Function, Group, Want
from envoi.kernel.expression.kinds import Fragment, Kind
from envoi.kernel.expression.lexer import tokens
from envoi.kernel.expression.nodes import (
    Arithmetic,
    Between,
    Call,
    Compare,
    ExpressionError,
    InList,
    IsNull,
    Like,
    Literal,
    Logic,
    Negate,
    Node,
    Not,
    Path,
    Value,
    Variable,
    position,
)


class Context(Protocol):
    """Where an expression stands."""

    @property
    def now(self) -> datetime:
        """The time that GetDate gives."""
        ...

    @property
    def zone(self) -> str:
        """Name of the zone in which days are counted."""
        ...

    def column(self, path: Path) -> Fragment:
        """Return the column that a path leads to. Raises ExpressionError."""
        ...

    def variable(self, node: Variable) -> Value:
        """Return the value of a variable. Raises ExpressionError."""
        ...

    def bind(self, value: Value, sql_type: str) -> str:
        """Bind a value and return what stands for it."""
        ...


def compile_node(node: Node, context: Context) -> Fragment:
    """Return the SQL of an expression. Raises ExpressionError where kinds do not go together."""
    match node:
        case Literal():
            return _literal(node.value, context)
        case Variable():
            return _literal(context.variable(node), context)
        case Path():
            return context.column(node)
        case Negate():
            operand = _number(compile_node(node.operand, context), node.operand, "a minus sign", context)
            return replace(operand, sql=f"(-{_exact(operand)})", attribute=None)
        case Arithmetic():
            return _arithmetic(node, context)
        case Compare():
            return _compare(node, context)
        case Like():
            return _like(node, context)
        case InList():
            return _in(node.operand, node.items, node.negated, context)
        case Between():
            return _between(node, context)
        case IsNull():
            return _is_null(node, context)
        case Not():
            operand = boolean(node.operand, context)
            return replace(operand, sql=f"(NOT {operand.sql})", attribute=None)
        case Logic():
            parts = [boolean(each, context) for each in node.operands]
            return _made(f"({f' {node.operator} '.join(each.sql for each in parts)})", Kind.BOOLEAN, parts)
        case Call():
            return _call(node, context)
        case _:
            raise TypeError(f"no SQL for {type(node).__name__}")


def boolean(node: Node, context: Context) -> Fragment:
    """Return the SQL of a condition; a number holds when it is not 0."""
    found = compile_node(node, context)
    if found.kind is Kind.BOOLEAN:
        return found
    if found.kind is Kind.NULL:
        return _made("NULL::boolean", Kind.BOOLEAN, [found])
    if found.kind.is_number:
        return _made(f"({found.sql} <> 0)", Kind.BOOLEAN, [found])
    raise ExpressionError(f"expected a condition, found {found.kind}.", position=position(node))


def _made(sql: str, kind: Kind, parts: Sequence[Fragment]) -> Fragment:
    aggregate, bare = any(each.aggregate for each in parts), any(each.bare for each in parts)
    return Fragment(sql, kind, aggregate, bare)


# --- literals and conversions


def _literal(value: Value, context: Context) -> Fragment:
    if value is None:
        return Fragment("NULL", Kind.NULL)
    if isinstance(value, bool):
        return Fragment("true" if value else "false", Kind.BOOLEAN)
    if isinstance(value, int):
        small = -(2**63) <= value < 2**63
        return Fragment(context.bind(value, "bigint" if small else "numeric"), Kind.INTEGER)
    if isinstance(value, Decimal):
        return Fragment(context.bind(value, "numeric"), Kind.REAL)
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(context.zone)).astimezone(UTC)
        return Fragment(context.bind(moment, "timestamptz"), Kind.DATETIME)
    if isinstance(value, date):
        return Fragment(context.bind(value, "date"), Kind.DATE)
    return Fragment(context.bind(value, "text"), Kind.TEXT)


def _number(found: Fragment, node: Node, where: str, context: Context) -> Fragment:
    if found.kind.is_number:
        return found
    if found.kind is Kind.BOOLEAN:
        return _made(f"({found.sql})::int", Kind.INTEGER, [found])
    if found.kind is Kind.NULL:
        return _made("NULL::numeric", Kind.INTEGER, [found])
    if isinstance(node, Literal) and isinstance(node.value, str):
        # Clients write Char('36').
        return _said(node, {Kind.INTEGER}, context)
    hint = " Use AddDays or DaysDiff." if found.kind.is_moment else ""
    raise ExpressionError(f"{where} takes numbers, found {found.kind}.{hint}", position=position(node))


def _exact(found: Fragment) -> str:
    """Return a whole number as one that cannot overflow."""
    return f"({found.sql})::numeric" if found.kind is Kind.INTEGER else found.sql


def _text(found: Fragment, context: Context) -> Fragment:
    """Return anything as text."""
    sql = found.sql
    if found.kind is Kind.BOOLEAN:
        sql = f"({sql})::int::text"
    elif found.kind is Kind.INTEGER:
        sql = f"({sql})::text"
    elif found.kind is Kind.REAL:
        sql = f"trim_scale(({sql})::numeric)::text"
    elif found.kind is Kind.DATE:
        sql = f"to_char({sql}, 'YYYY-MM-DD')"
    elif found.kind is Kind.DATETIME:
        zone = context.bind(context.zone, "text")
        sql = f"to_char({sql} AT TIME ZONE {zone}, 'YYYY-MM-DD HH24:MI:SS')"
    elif found.kind is Kind.NULL:
        sql = "NULL::text"
    return _made(sql, Kind.TEXT, [found])


def _moment(found: Fragment, node: Node, context: Context, where: str) -> Fragment:
    """Return a date, a time, or a text that says one, as a timestamptz."""
    if found.kind is Kind.DATETIME:
        return found
    if found.kind is Kind.DATE:
        zone = context.bind(context.zone, "text")
        return _made(f"({found.sql}::timestamp AT TIME ZONE {zone})", Kind.DATETIME, [found])
    if found.kind is Kind.NULL:
        return _made("NULL::timestamptz", Kind.DATETIME, [found])
    if isinstance(node, Literal) and isinstance(node.value, str):
        return _moment(_literal(_dated(node), context), node, context, where)
    raise ExpressionError(f"{where} takes a date or a time, found {found.kind}.", position=position(node))


def _dated(node: Literal) -> Value:
    """Return the date or time that a text literal says."""
    try:
        value = tokens(f"#{node.value}#")[0].value
    except ExpressionError:
        value = None
    if not isinstance(value, date):
        raise ExpressionError(f"{node.value!r} is no date; write #2026-11-24#.", position=node.at)
    return value


def _argument(want: Want, node: Node, found: Fragment, context: Context, name: str) -> Fragment:
    if want is Want.TEXT:
        if found.kind is Kind.TEXT:
            return found
        if found.kind is Kind.NULL:
            return _made("NULL::text", Kind.TEXT, [found])
        raise ExpressionError(
            f"{name} takes a text, found {found.kind}; ToString makes one of it.", position=position(node)
        )
    if want is Want.NUMBER:
        return _number(found, node, name, context)
    if want is Want.INT:
        number = _number(found, node, name, context)
        sql = f"least(greatest(trunc(({number.sql})::numeric), -2147483647), 2147483647)::int"
        return _made(sql, Kind.INTEGER, [found])
    if want is Want.BIG:
        number = _number(found, node, name, context)
        limit = 2**63 - 1
        sql = f"least(greatest(trunc(({number.sql})::numeric), -{limit}), {limit})::bigint"
        return _made(sql, Kind.INTEGER, [found])
    if want is Want.MOMENT:
        return _moment(found, node, context, name)
    if want is Want.LOCAL:
        if found.kind is Kind.DATE:
            return _made(f"({found.sql})::timestamp", Kind.DATE, [found])
        moment = _moment(found, node, context, name)
        return _made(f"({moment.sql} AT TIME ZONE {context.bind(context.zone, 'text')})", Kind.DATE, [found])
    if want is Want.DATED:
        return found if found.kind is Kind.DATE else _moment(found, node, context, name)
    if found.kind is Kind.NULL:
        return _made("NULL::text", Kind.NULL, [found])
    return found


# --- operators


def _arithmetic(node: Arithmetic, context: Context) -> Fragment:
    left, right = compile_node(node.left, context), compile_node(node.right, context)
    if node.operator == "+" and Kind.TEXT in (left.kind, right.kind):
        parts = _text(left, context), _text(right, context)
        return _made(f"({parts[0].sql} || {parts[1].sql})", Kind.TEXT, parts)
    where = {"+": "a plus sign", "-": "a minus sign"}.get(node.operator, node.operator)
    left = _number(left, node.left, where, context)
    right = _number(right, node.right, where, context)
    whole = left.kind is right.kind is Kind.INTEGER
    kind = Kind.INTEGER if whole else Kind.REAL
    if node.operator == "/":
        sql = f"(({left.sql})::numeric / nullif(({right.sql})::numeric, 0))"
        return _made(sql, Kind.REAL, [left, right])
    if node.operator == "%":
        return _made(_rest("mod", left, right), Kind.INTEGER, [left, right])
    return _made(f"({_exact(left)} {node.operator} {_exact(right)})", kind, [left, right])


def _rest(function: str, left: Fragment, right: Fragment) -> str:
    return f"{function}(trunc(({left.sql})::numeric), nullif(trunc(({right.sql})::numeric), 0))"


def _compare(node: Compare, context: Context) -> Fragment:
    left, right = compile_node(node.left, context), compile_node(node.right, context)
    left, right = _together([(node.left, left), (node.right, right)], context, node.at)
    operator = "<>" if node.operator == "!=" else node.operator
    return _made(f"({left.sql} {operator} {right.sql})", Kind.BOOLEAN, [left, right])


def _together(
    pairs: Sequence[tuple[Node, Fragment]], context: Context, at: int, *, what: str = "compared"
) -> list[Fragment]:
    """Return fragments that PostgreSQL compares as their kinds mean. Raises ExpressionError."""
    model = next((f for _, f in pairs if f.attribute is not None and f.kind is not Kind.TEXT), None)
    found = [_fit(node, fragment, model, context) for node, fragment in pairs]
    kinds = {each.kind for each in found} - {Kind.NULL}
    texts = [
        index
        for index, (node, each) in enumerate(zip((n for n, _ in pairs), found, strict=True))
        if each.kind is Kind.TEXT and isinstance(node, Literal)
    ]
    others = {each.kind for index, each in enumerate(found) if index not in texts} - {Kind.NULL}
    if texts and others and Kind.TEXT not in others and what == "compared":
        for index in texts:
            found[index] = _said(pairs[index][0], others, context)
        kinds = {each.kind for each in found} - {Kind.NULL}
    if kinds == {Kind.DATE, Kind.DATETIME}:
        if kinds - {Kind.DATETIME} and _midnights(pairs):
            # Clients write a day as its midnight in UTC.
            found = [
                _literal(node.value.date(), context)
                if isinstance(node, Literal) and isinstance(node.value, datetime)
                else each
                for (node, _), each in zip(pairs, found, strict=True)
            ]
        else:
            found = [
                _moment(each, node, context, "a comparison")
                for (node, _), each in zip(pairs, found, strict=True)
            ]
        kinds = {each.kind for each in found} - {Kind.NULL}
    if Kind.BOOLEAN in kinds and any(kind.is_number for kind in kinds):
        found = [_made(f"({e.sql})::int", Kind.INTEGER, [e]) if e.kind is Kind.BOOLEAN else e for e in found]
        kinds = {each.kind for each in found} - {Kind.NULL}
    if kinds == {Kind.INTEGER, Kind.REAL}:
        kinds = {Kind.REAL}
    if len(kinds) > 1:
        names = " and ".join(sorted(kind.value for kind in kinds))
        raise ExpressionError(f"{names} cannot be {what}.", position=at)
    kind = next(iter(kinds), Kind.NULL)
    return [_made(f"NULL::{kind.sql}", kind, [each]) if each.kind is Kind.NULL else each for each in found]


def _midnights(pairs: Sequence[tuple[Node, Fragment]]) -> bool:
    """Return whether all times among these are literals of a midnight in UTC."""
    return all(
        isinstance(node, Literal)
        and isinstance(node.value, datetime)
        and node.value.tzinfo is not None
        and node.value.astimezone(UTC).time() == time()
        for node, fragment in pairs
        if fragment.kind is Kind.DATETIME
    )


def _fit(node: Node, found: Fragment, model: Fragment | None, context: Context) -> Fragment:
    """Replace the name of an enumeration's value by what is stored for it."""
    values = model.attribute.enumeration if model is not None and model.attribute is not None else None
    if values is not None and isinstance(node, Literal) and isinstance(node.value, str):
        value = values.named(node.value)
        if value is not None:
            return _literal(value.value, context)
    return found


def _said(node: Node, kinds: set[Kind], context: Context) -> Fragment:
    """Return a text literal as the number, date or truth value that it says."""
    if not isinstance(node, Literal):
        raise TypeError("only literals say something")
    text = str(node.value)
    if all(kind.is_moment for kind in kinds):
        return _literal(_dated(node), context)
    if all(kind.is_number or kind is Kind.BOOLEAN for kind in kinds):
        if re.fullmatch(r"\s*[-+]?\d{1,40}(\.\d{1,20})?\s*", text, re.ASCII):
            number = Decimal(text.strip())
            return _literal(int(number) if number == int(number) else number, context)
        raise ExpressionError(f"{text!r} is no number, and no value of an enumeration.", position=node.at)
    raise ExpressionError(f"a text cannot be compared with {' and '.join(kinds)}.", position=node.at)


def _like(node: Like, context: Context) -> Fragment:
    operand = _argument(Want.TEXT, node.operand, compile_node(node.operand, context), context, "LIKE")
    pattern = _argument(Want.TEXT, node.pattern, compile_node(node.pattern, context), context, "LIKE")
    sql = pattern.sql
    if isinstance(node.pattern, Literal) and isinstance(node.pattern.value, str):
        text = node.pattern.value
        trailing = len(text) - len(text.rstrip("\\"))
        sql = context.bind(text + "\\" * (trailing % 2), "text")
    else:
        # A pattern that is put together has no last character to look at: its backslash escapes where it can.
        sql = f"regexp_replace({sql}, '(?<!\\\\)((?:\\\\\\\\)*)\\\\$', '\\1\\\\\\\\')"
    word = "NOT LIKE" if node.negated else "LIKE"
    return _made(f"({operand.sql} {word} {sql})", Kind.BOOLEAN, [operand, pattern])


def _in(operand: Node, items: Sequence[Node], negated: bool, context: Context) -> Fragment:
    nodes = (operand, *items)
    found = _together([(node, compile_node(node, context)) for node in nodes], context, position(operand))
    word = "NOT IN" if negated else "IN"
    return _made(
        f"({found[0].sql} {word} ({', '.join(each.sql for each in found[1:])}))", Kind.BOOLEAN, found
    )


def _between(node: Between, context: Context) -> Fragment:
    nodes = (node.operand, node.low, node.high)
    found = _together([(each, compile_node(each, context)) for each in nodes], context, node.at)
    word = "NOT BETWEEN" if node.negated else "BETWEEN"
    sql = f"({found[0].sql} {word} {found[1].sql} AND {found[2].sql})"
    return _made(sql, Kind.BOOLEAN, found)


def _is_null(node: IsNull, context: Context) -> Fragment:
    found = compile_node(node.operand, context)
    if found.kind is Kind.TEXT:
        sql = f"(coalesce({found.sql}, '') = '')"
    else:
        sql = f"({found.sql} IS NULL)"
    return _made(f"(NOT {sql})" if node.negated else sql, Kind.BOOLEAN, [found])


# --- functions


def _call(node: Call, context: Context) -> Fragment:
    function = FUNCTIONS[node.name]
    if node.name == "Case":
        return _case(node, context)
    if node.name in ("When", "Else"):
        raise ExpressionError(f"{node.name} stands in Case only.", position=node.at)
    if node.name == "In":
        return _in(node.arguments[0], node.arguments[1:], False, context)
    found = [
        boolean(each, context)
        if want is Want.CONDITION
        else _argument(want, each, compile_node(each, context), context, node.name)
        for want, each in zip(_wants(function, len(node.arguments)), node.arguments, strict=True)
    ]
    if function.group is Group.AGGREGATE and any(each.aggregate for each in found):
        raise ExpressionError(f"{node.name} cannot hold another aggregate.", position=node.at)
    own = _OWN.get(node.name)
    if own is not None:
        made = own(node, found, context)
    else:
        if function.result is None:
            raise TypeError(f"{node.name} says neither its kind nor its SQL")
        made = _made(_filled(function.sql, found, context), function.result, found)
    return replace(made, aggregate=True, bare=False) if function.group is Group.AGGREGATE else made


def _wants(function: Function, count: int) -> tuple[Want, ...]:
    missing = max(0, count - len(function.wants))
    return (*function.wants[:count], *(function.wants[-1:] * missing))


def _filled(template: str, found: Sequence[Fragment], context: Context) -> str:
    names: dict[str, str] = {}
    if "{now}" in template:
        names["now"] = context.bind(context.now, "timestamptz")
    if "{zone}" in template:
        names["zone"] = context.bind(context.zone, "text")
    return template.format(*(f"({each.sql})" for each in found), **names)


def _case(node: Call, context: Context) -> Fragment:
    conditions: list[Fragment] = []
    values: list[tuple[Node, Fragment]] = []
    for each in node.arguments:
        if not isinstance(each, Call):
            raise ExpressionError("Case holds When and Else only.", position=node.at)
        if each.name == "When":
            conditions.append(boolean(each.arguments[0], context))
        value = each.arguments[-1]
        values.append((value, compile_node(value, context)))
    return _choice(conditions, values, context, node.at)


def _choice(
    conditions: Sequence[Fragment], values: Sequence[tuple[Node, Fragment]], context: Context, at: int
) -> Fragment:
    """Return CASE with a value for each condition, and one more for none of them."""
    found = _together(values, context, at, what="values of one expression")
    kind = Kind.REAL if any(each.kind is Kind.REAL for each in found) else found[0].kind
    arms = [f"WHEN {c.sql} THEN {v.sql}" for c, v in zip(conditions, found, strict=False)]
    last = f" ELSE {found[-1].sql}" if len(found) > len(conditions) else ""
    return _made(f"(CASE {' '.join(arms)}{last} END)", kind, [*conditions, *found])


Own = Callable[[Call, list[Fragment], Context], Fragment]


def _iif(node: Call, found: list[Fragment], context: Context) -> Fragment:
    return _choice(found[:1], list(zip(node.arguments[1:], found[1:], strict=True)), context, node.at)


def _equals(node: Call, found: list[Fragment], context: Context) -> Fragment:
    pairs = list(zip(node.arguments, found, strict=True))
    left, right = _together(pairs[:2], context, node.at)
    condition = _made(f"({left.sql} = {right.sql})", Kind.BOOLEAN, [left, right])
    return _choice([condition], pairs[2:], context, node.at)


def _virtual(node: Call, found: list[Fragment], context: Context) -> Fragment:
    pairs = list(zip(node.arguments, found, strict=True))
    left, right = _together(pairs[1:], context, node.at)
    condition = _made(f"({left.sql} = {right.sql})", Kind.BOOLEAN, [left, right])
    return _choice([condition], pairs[:1], context, node.at)


def _empty(node: Call, found: list[Fragment], context: Context) -> Fragment:
    condition = _made(f"(coalesce({found[0].sql}, '') = '')", Kind.BOOLEAN, found[:1])
    return _choice([condition], list(zip(node.arguments[1:], found[1:], strict=True)), context, node.at)


def _coalesce(node: Call, found: list[Fragment], context: Context) -> Fragment:
    pairs = list(zip(node.arguments, found, strict=True))
    same = _together(pairs, context, node.at, what="values of one expression")
    kind = Kind.REAL if any(each.kind is Kind.REAL for each in same) else same[0].kind
    return _made(f"coalesce({', '.join(each.sql for each in same)})", kind, same)


def _no_null(node: Call, found: list[Fragment], _context: Context) -> Fragment:
    value = found[0]
    instead = {Kind.TEXT: "''", Kind.INTEGER: "0", Kind.REAL: "0", Kind.BOOLEAN: "false", Kind.NULL: "''"}
    if value.kind not in instead:
        raise ExpressionError("NoNull takes a text or a number; use Coalesce.", position=node.at)
    kind = Kind.TEXT if value.kind is Kind.NULL else value.kind
    return _made(f"coalesce({value.sql}, {instead[value.kind]})", kind, found)


def _same_kind(sql: str) -> Own:
    def made(node: Call, found: list[Fragment], context: Context) -> Fragment:
        kind = Kind.REAL if any(each.kind is Kind.REAL for each in found) else found[0].kind
        return _made(_filled(sql, [replace(f, sql=_exact(f)) for f in found], context), kind, found)

    return made


def _extreme(function: str) -> Own:
    def made(node: Call, found: list[Fragment], _context: Context) -> Fragment:
        value = found[0]
        if value.kind is Kind.BOOLEAN:
            value = _made(f"({value.sql})::int", Kind.INTEGER, found)
        return _made(f"{function}({value.sql})", value.kind, found)

    return made


def _count(_node: Call, found: list[Fragment], _context: Context) -> Fragment:
    return _made(f"count({found[0].sql})" if found else "count(*)", Kind.INTEGER, found)


def _shifted(unit: str, sign: str) -> Own:
    def made(node: Call, found: list[Fragment], context: Context) -> Fragment:
        base, count = found
        step = f"make_interval({unit} => {sign}{count.sql})"
        if base.kind is Kind.DATE and unit in ("years", "months", "days"):
            return _made(f"({base.sql} + {step})::date", Kind.DATE, found)
        moment = _moment(base, node.arguments[0], context, node.name)
        if unit in ("years", "months", "days"):
            zone = context.bind(context.zone, "text")
            sql = f"(({moment.sql} AT TIME ZONE {zone} + {step}) AT TIME ZONE {zone})"
        else:
            sql = f"({moment.sql} + {step})"
        return _made(sql, Kind.DATETIME, found)

    return made


def _rounded(function: str) -> Own:
    def made(_node: Call, found: list[Fragment], _context: Context) -> Fragment:
        places = f"least(greatest({found[1].sql}, -100), 100)" if len(found) > 1 else "0"
        return _made(f"{function}(({found[0].sql})::numeric, {places})", Kind.REAL, found)

    return made


def _divided(function: str) -> Own:
    def made(_node: Call, found: list[Fragment], _context: Context) -> Fragment:
        return _made(_rest(function, *found), Kind.INTEGER, found)

    return made


_NUMBER = r"'^\s*[-+]?\d{1,40}(\.\d{0,40})?\s*$'"
_DAY = r"'^\s*\d{4}-\d{1,2}-\d{1,2}\s*$'"
_MOMENT = (
    r"'^\s*\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?\s*(Z|[-+]\d{2}(:?\d{2})?)?)?\s*$'"
)


def _numbered(whole: bool) -> Own:
    def made(node: Call, found: list[Fragment], context: Context) -> Fragment:
        value = found[0]
        if value.kind is Kind.TEXT:
            sql = f"(CASE WHEN {value.sql} ~ {_NUMBER} THEN ({value.sql})::numeric END)"
        else:
            sql = f"({_number(value, node.arguments[0], node.name, context).sql})::numeric"
        kind = Kind.INTEGER if whole else Kind.REAL
        return _made(f"trunc({sql})" if whole else sql, kind, found)

    return made


def _to_date(node: Call, found: list[Fragment], context: Context) -> Fragment:
    value = found[0]
    if value.kind is Kind.TEXT:
        head = rf"left(btrim(replace({value.sql}, '/', '-')), 10)"
        sql = f"(CASE WHEN {head} ~ {_DAY} AND pg_input_is_valid({head}, 'date') THEN ({head})::date END)"
        return _made(sql, Kind.DATE, found)
    if value.kind is Kind.DATE:
        return value
    moment = _moment(value, node.arguments[0], context, node.name)
    return _made(f"({moment.sql} AT TIME ZONE {context.bind(context.zone, 'text')})::date", Kind.DATE, found)


def _to_time(node: Call, found: list[Fragment], context: Context) -> Fragment:
    value = found[0]
    if value.kind is not Kind.TEXT:
        return _moment(value, node.arguments[0], context, node.name)
    text, zone = f"btrim(replace({value.sql}, '/', '-'))", context.bind(context.zone, "text")
    with_zone = rf"{text} ~ '(Z|[-+]\d{{2}}(:?\d{{2}})?)$' AND {text} ~ ':'"
    sql = (
        f"(CASE WHEN {text} ~ {_MOMENT} AND pg_input_is_valid({text}, 'timestamptz') THEN"
        f" CASE WHEN {with_zone} THEN ({text})::timestamptz"
        f" ELSE ({text})::timestamp AT TIME ZONE {zone} END END)"
    )
    return _made(sql, Kind.DATETIME, found)


def _to_string(node: Call, found: list[Fragment], context: Context) -> Fragment:
    if len(found) == 1:
        return _text(found[0], context)
    number = _number(found[0], node.arguments[0], "ToString with decimals", context)
    places = f"least(greatest({found[1].sql}, 0), 100)"
    return _made(f"round(({number.sql})::numeric, {places})::text", Kind.TEXT, found)


_OWN: dict[str, Own] = {
    "Count": _count,
    "Min": _extreme("min"),
    "Max": _extreme("max"),
    "Sum": _same_kind("sum({0})"),
    "Abs": _same_kind("abs({0})"),
    "Greatest": _same_kind("greatest({0}, {1})"),
    "Least": _same_kind("least({0}, {1})"),
    "Round": _rounded("round"),
    "Trunc": _rounded("trunc"),
    "Mod": _divided("mod"),
    "Div": _divided("div"),
    "Iif": _iif,
    "IfEquals": _equals,
    "Decode": _equals,
    "VirtualLink": _virtual,
    "VirtualLinkStr": _virtual,
    "IsEmptyString": _empty,
    "Coalesce": _coalesce,
    "NoNull": _no_null,
    "ToInteger": _numbered(whole=True),
    "ToInt64": _numbered(whole=True),
    "ToDouble": _numbered(whole=False),
    "ToDate": _to_date,
    "ToDateTime": _to_time,
    "ToString": _to_string,
    **{
        f"{word}{unit}": _shifted({"Minutes": "mins", "Seconds": "secs"}.get(unit, unit.lower()), sign)
        for word, sign in (("Add", ""), ("Sub", "-"))
        for unit in ("Years", "Months", "Days", "Hours", "Minutes", "Seconds")
    },
}
