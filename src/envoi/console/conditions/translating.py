"""Conditions to rows, and rows to conditions.

Whatever conditions hold comes back: what has no row of its own stays an expression, or is kept as it is.
Rows that say the same in another shape (`a AND b` in one expression, `NOT` before a condition) become the
rows that people build; the rows that come back from those are equal.
"""

from dataclasses import replace

from django.utils.translation import gettext as _

from envoi.console.conditions import fields, operators
from envoi.console.conditions.rows import Free, Group, Has, Join, Kept, Line, Row
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import ExpressionError, Logic, Node, Not, parse
from envoi.kernel.query import Condition
from envoi.kernel.registry import Registry, Schema

# --- rows to conditions


def conditions_of(group: Group, schema: Schema, within: Registry) -> tuple[Condition, ...]:
    """Return the conditions of rows. Groups without rows are left out.

    Raises Invalid for a line without a value, or about a field that the schema has not.
    """
    inner = tuple(made for row in group.rows if (made := _condition(row, schema, within)) is not None)
    if not inner:
        return ()
    if group.join is Join.ALL:
        return inner
    ways = (inner[0], *(replace(each, operator=each.operator.replace("AND", "OR")) for each in inner[1:]))
    return ways if group.join is Join.ANY else (Condition(operator="AND NOT", conditions=ways),)


def _condition(row: Row, schema: Schema, within: Registry) -> Condition | None:
    match row:
        case Kept():
            return row.condition
        case Free():
            if not row.expr.strip():
                raise Invalid(_("An expression is empty: write it, or remove its line."))
            return Condition(expr=row.expr)
        case Line():
            return Condition(expr=str(_node(row, schema, within)))
        case Has():
            link = fields.find(schema, row.path, within)
            if link is None or not link.target:
                raise Invalid(_not_there(schema, row.path))
            return Condition(
                expr=link.text,
                set_operator="NOT EXISTS" if row.none else "EXISTS",
                conditions=conditions_of(row.inner, within[link.target], within),
            )
        case Group():
            inner = conditions_of(row, schema, within)
            if not inner:
                return None
            return inner[0] if row.join is Join.NONE else Condition(conditions=inner)


def _node(row: Line, schema: Schema, within: Registry) -> Node:
    field = fields.find(schema, row.field, within)
    if field is None:
        raise Invalid(_not_there(schema, row.field))
    return operators.build(field, row.operator, row.values)


def _not_there(schema: Schema, path: str) -> str:
    return _("%(schema)s has no field %(path)s.") % {"schema": schema.name, "path": path}


# --- conditions to rows


def rows_of(conditions: tuple[Condition, ...], schema: Schema, within: Registry) -> Group:
    """Return the rows of conditions."""
    ways: list[list[Row]] = []
    for each in conditions:
        row = _row(each, schema, within)
        if row is None:
            continue
        if each.operator.endswith("NOT"):
            row = _negated(row)
        if not ways or each.operator.startswith("OR"):
            ways.append([])
        ways[-1].append(row)
    if len(ways) > 1:
        rows = tuple(way[0] if len(way) == 1 else Group(Join.ALL, tuple(way)) for way in ways)
        return Group(Join.ANY, rows)
    rows = tuple(ways[0]) if ways else ()
    if len(rows) == 1 and isinstance(rows[0], Group):
        return rows[0]
    return Group(Join.ALL, rows)


def _row(condition: Condition, schema: Schema, within: Registry) -> Row | None:
    if condition.enabled_if or condition.subquery is not None:
        return Kept(replace(condition, operator="AND"))
    if condition.set_operator:
        link = fields.find(schema, condition.expr, within)
        if link is None or not link.target or condition.set_operator not in ("EXISTS", "NOT EXISTS"):
            return Kept(replace(condition, operator="AND"))
        inner = rows_of(condition.conditions, within[link.target], within)
        return Has(link.text, condition.set_operator == "NOT EXISTS", inner)
    own = _of_expression(condition.expr, schema, within) if condition.expr.strip() else None
    if not condition.conditions:
        return own
    inner = rows_of(condition.conditions, schema, within)
    if own is None:
        return inner if inner.rows else None
    return Group(Join.ALL, (own, inner)) if inner.rows else own


def _of_expression(text: str, schema: Schema, within: Registry) -> Row:
    try:
        return _of_node(parse(text), text, schema, within)
    except ExpressionError:
        return Free(text)


def _of_node(node: Node, text: str, schema: Schema, within: Registry) -> Row:
    asked = operators.asked_of(node)
    field = fields.of_node(schema, asked, within) if asked is not None else None
    found = operators.match(field, node) if field is not None else None
    if field is not None and found is not None:
        return Line(field.text, *found)
    if isinstance(node, Logic):
        join = Join.ANY if node.operator == "OR" else Join.ALL
        return Group(join, tuple(_of_node(each, str(each), schema, within) for each in node.operands))
    if isinstance(node, Not):
        return _negated(_of_node(node.operand, str(node.operand), schema, within))
    return Free(text)


def _negated(row: Row) -> Row:
    if isinstance(row, Group) and (row.join is Join.ANY or (row.join is Join.ALL and len(row.rows) == 1)):
        return Group(Join.NONE, row.rows)
    return Group(Join.NONE, (row,))
