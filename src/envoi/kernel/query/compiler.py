"""A definition to one parameterized statement, within the rights of an actor."""

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from envoi.kernel import clock, registry
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import (
    FUNCTIONS,
    Call,
    Compare,
    ExpressionError,
    Fragment,
    IsNull,
    Kind,
    Literal,
    Logic,
    Node,
    Not,
    Path,
    Variable,
    boolean,
    compile_node,
    parse,
    walk,
)
from envoi.kernel.expression.functions import Group
from envoi.kernel.expression.kinds import OF_TYPE
from envoi.kernel.expression.nodes import Value, children
from envoi.kernel.query.definition import DEFAULT_LINES, Condition, Field, Operation, QueryDef
from envoi.kernel.query.scope import Place, Scope, Statement, lies_with, quoted
from envoi.kernel.registry import Attribute, Registry
from envoi.kernel.rights import Actor

DEEPEST = 30
_AGGREGATES = {name for name, each in FUNCTIONS.items() if each.group is Group.AGGREGATE}
_IDENTIFIER = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")
_CASTS = {
    "bigint", "integer", "smallint", "text", "boolean", "timestamptz", "date", "double precision", "numeric",
    "uuid",
}  # fmt: skip
# A bound value of this type, for the comparison with the last row of a page.
_BOUND = {
    Kind.TEXT: "text",
    Kind.INTEGER: "numeric",
    Kind.REAL: "double precision",
    Kind.BOOLEAN: "boolean",
    Kind.DATETIME: "timestamptz",
    Kind.DATE: "date",
    Kind.NULL: "text",
}


_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True)
class Column:
    """A column of a result. `attribute` is set when it is one, nothing more."""

    name: str
    expr: str
    kind: Kind
    attribute: Attribute | None = None
    analyze: bool = False

    @property
    def label(self) -> str:
        """What stands above the column, in the active language."""
        return registry.translate(self.attribute.label) if self.attribute is not None else self.name


@dataclass(frozen=True)
class Compiled:
    """A statement. Named parameters; `hidden` columns at its end serve paging alone."""

    sql: str
    params: Mapping[str, Any]
    columns: tuple[Column, ...]
    hidden: tuple[Kind, ...] = ()


def compile(
    definition: QueryDef,
    *,
    actor: Actor,
    zone: str = "UTC",
    variables: Mapping[str, Value] | None = None,
    keyset: bool = False,
    now: datetime | None = None,
    within: Registry | None = None,
) -> Compiled:
    """Return the statement of a definition, bounded by what the actor may read.

    `zone` is that of the reader: days begin at its midnight. `variables` are values of `$(…)`. With `keyset`,
    columns are added by which the next page can be asked for. Raises Invalid with the place of an expression
    that is wrong, NotFound for an unknown schema, NotAllowed for one that takes a right.
    """
    statement = _statement(actor, zone, variables, now, within)
    query = _Query(statement, definition, "queryDef", 0)
    sql, columns, hidden = query.whole(keyset=keyset or definition.after is not None)
    return Compiled(sql, statement.params, columns, hidden)


def compile_insert_select(
    definition: QueryDef,
    table: str,
    columns: Sequence[tuple[str, str]],
    *,
    actor: Actor,
    zone: str = "UTC",
    variables: Mapping[str, Value] | None = None,
    now: datetime | None = None,
    within: Registry | None = None,
) -> Compiled:
    """Return `INSERT INTO table … SELECT` of all rows of a select (or of `lineCount` ones) in one statement.

    `columns` are (name, SQL type) of the table, one for each node selected. Raises Invalid when they do not
    fit.
    """
    if definition.operation is not Operation.SELECT or len(columns) != len(definition.select):
        raise Invalid(f"A select of {len(definition.select)} nodes does not fill {len(columns)} columns.")
    for name in (table, *(name for name, _ in columns)):
        if not _IDENTIFIER.match(name):
            raise Invalid(f"{name!r} names no table and no column.")
    if wrong := [kind for _, kind in columns if kind not in _CASTS]:
        raise Invalid(f"{wrong[0]!r} is no type of a column; use one of {', '.join(sorted(_CASTS))}.")
    statement = _statement(actor, zone, variables, now, within)
    query = _Query(statement, definition, "queryDef", 0)
    sql, selected, _ = query.rows(limit=definition.line_count)
    names = ", ".join(quoted(name) for name, _ in columns)
    casts = ", ".join(f"c{index}::{kind}" for index, (_, kind) in enumerate(columns))
    whole = f"INSERT INTO {quoted(table)} ({names}) SELECT {casts} FROM ({sql}) q"  # noqa: S608 quoted names
    return Compiled(whole, statement.params, selected)


def select_all(schema: str, *, actor: Actor, within: Registry | None = None) -> tuple[Field, ...]:
    """Return every attribute of a schema that the actor may read, in the order of its declaration."""
    found = (within or registry.fresh())[schema]
    return tuple(
        Field(each.xpath)
        for each in found.attributes.values()
        if not each.right or each.right in {right.value for right in actor.rights} or actor.is_administrator
    )


def _statement(
    actor: Actor,
    zone: str,
    variables: Mapping[str, Value] | None,
    now: datetime | None,
    within: Registry | None,
) -> Statement:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"There is no time zone {zone!r}.") from error
    return Statement(within or registry.fresh(), actor, now or clock.now(), zone, variables or {})


class _Query:
    """One SELECT, the whole statement or part of it."""

    def __init__(self, statement: Statement, definition: QueryDef, place: str, depth: int) -> None:
        if depth > DEEPEST:
            raise Invalid(f"{place}: queries are nested more than {DEEPEST} deep.")
        self.statement, self.definition, self.place, self.depth = statement, definition, place, depth
        self.scope = Scope.of(statement, definition.schema)

    def whole(self, *, keyset: bool) -> tuple[str, tuple[Column, ...], tuple[Kind, ...]]:
        definition = self.definition
        match definition.operation:
            case Operation.SELECT:
                limit = DEFAULT_LINES if definition.line_count is None else definition.line_count
                return self.rows(limit=limit, keyset=keyset)
            case Operation.GET | Operation.GET_IF_EXISTS:
                return self.rows(limit=1)
            case Operation.COUNT:
                sql = f"SELECT count(*) FROM ({self.counted()}) q"  # noqa: S608 quoted names
                return sql, (Column("@count", "CountAll()", Kind.INTEGER),), ()
            case Operation.EXISTS:
                sql = f"SELECT EXISTS ({self.counted()})"
                return sql, (Column("@exists", "", Kind.BOOLEAN),), ()

    def counted(self) -> str:
        """Return a statement with the same rows, as few columns as that takes."""
        definition = self.definition
        if not (definition.distinct or definition.group_by or definition.having or self._grouped()):
            definition = replace(definition, select=(), order_by=())
        self.definition = definition
        sql, _, _ = self.rows(limit=definition.line_count, counting=True)
        return sql

    def _grouped(self) -> bool:
        return any(
            isinstance(node, Call) and node.name in _AGGREGATES
            for each in (*self.definition.select, *self.definition.order_by)
            for node in walk(_parsed(each.expr, f"{self.place}/select"))
        ) or any(each.group for each in self.definition.select)

    # --- the parts of a SELECT

    def rows(
        self, *, limit: int | None, keyset: bool = False, counting: bool = False
    ) -> tuple[str, tuple[Column, ...], tuple[Kind, ...]]:
        definition, root = self.definition, self.scope.root
        if not definition.select and not counting:
            raise Invalid(f"{self.place}/select: name at least one node.")
        selected = [
            self._node(each, f"{self.place}/select/node[{index}]")
            for index, each in enumerate(definition.select, 1)
        ]
        keys = [
            self._node(each, f"{self.place}/groupBy/node[{index}]")
            for index, each in enumerate(definition.group_by, 1)
        ] + [pair for pair, each in zip(selected, definition.select, strict=True) if each.group]
        order = [
            (*self._node(each, f"{self.place}/orderBy/node[{index}]"), each.descending)
            for index, each in enumerate(definition.order_by, 1)
        ]
        where = self.conditions(definition.where, root, f"{self.place}/where", self.depth)
        having = self.conditions(definition.having, root, f"{self.place}/having", self.depth)
        self._check_groups(selected, keys, order, where, having)
        if definition.distinct:
            for node, _, _ in order:
                if node not in [each for each, _ in selected]:
                    raise Invalid(
                        f"{self.place}/orderBy: distinct rows can be sorted by what is selected only."
                    )
        hidden: list[tuple[Fragment, bool]] = []
        if keyset:
            hidden = self._paging(
                order, bool(keys or definition.distinct or any(f.aggregate for _, f in selected))
            )
        columns = tuple(
            Column(each.alias or str(node), each.expr, fragment.kind, fragment.attribute, each.analyze)
            for each, (node, fragment) in zip(definition.select, selected, strict=True)
        )
        shown = [f"{fragment.sql} AS c{index}" for index, (_, fragment) in enumerate(selected)]
        shown += [f"{fragment.sql} AS k{index}" for index, (fragment, _) in enumerate(hidden)]
        bounds = self.scope.conditions() + ([where.sql] if where else [])
        if definition.after is not None and hidden:
            bounds.append(self._after(hidden, definition.after))
        parts = [
            f"SELECT {'DISTINCT ' if definition.distinct else ''}{', '.join(shown) or '1'}",
            f"FROM {self.scope.from_clause()}",
        ]
        if bounds:
            parts.append(f"WHERE {' AND '.join(bounds)}")
        if keys:
            moving = [fragment.sql for _, fragment in keys if fragment.bare]
            parts.append(f"GROUP BY {', '.join(dict.fromkeys(moving)) or '()'}")
        if having:
            parts.append(f"HAVING {having.sql}")
        sorting = hidden or [(f, desc) for _, f, desc in order if f.bare or f.aggregate]
        if sorting:
            parts.append(f"ORDER BY {', '.join(f.sql + (' DESC' if desc else '') for f, desc in sorting)}")
        if limit is not None:
            parts.append(f"LIMIT {self.statement.bind(limit, 'bigint')}")
        if definition.start_line and definition.operation is not Operation.EXISTS:
            parts.append(f"OFFSET {self.statement.bind(definition.start_line, 'bigint')}")
        return " ".join(parts), columns, tuple(fragment.kind for fragment, _ in hidden)

    def _node(self, each: Field, place: str) -> tuple[Node, Fragment]:
        node = _parsed(each.expr, place)
        return node, _compiled(node, each.expr, self.scope.root, place)

    def _check_groups(
        self,
        selected: Sequence[tuple[Node, Fragment]],
        keys: Sequence[tuple[Node, Fragment]],
        order: Sequence[tuple[Node, Fragment, bool]],
        where: Fragment | None,
        having: Fragment | None,
    ) -> None:
        """Refuse what has no one value for a group, before PostgreSQL does in its own words."""
        if where is not None and where.aggregate:
            raise Invalid(f"{self.place}/where: aggregates stand in having, not in where.")
        if any(fragment.aggregate for _, fragment in keys):
            raise Invalid(f"{self.place}/groupBy: rows cannot be grouped by an aggregate.")
        said = [(node, fragment) for node, fragment in selected] + [(node, f) for node, f, _ in order]
        if not (keys or having is not None or any(fragment.aggregate for _, fragment in said)):
            return
        known = [node for node, _ in keys]
        for node, _ in said:
            _covered(node, known, self.place)
        for index, each in enumerate(self.definition.having, 1):
            for node in _expressions(each):
                _covered(node, known, f"{self.place}/having/condition[{index}]")

    def _paging(
        self, order: Sequence[tuple[Node, Fragment, bool]], grouped: bool
    ) -> list[tuple[Fragment, bool]]:
        """Return what rows are sorted by, the key last, so that each has its place."""
        if grouped or self.scope.multiplied:
            raise Invalid(
                f"{self.place}: pages by key need single rows: no groups, distinct rows or collections."
            )
        alias, key = self.scope.alias, self.scope.schema.key
        found = [(fragment, descending) for _, fragment, descending in order]
        attributes = {each: self.scope.schema.attribute_of(each) for each in key}
        kinds = {each: OF_TYPE[own.type] if own else Kind.INTEGER for each, own in attributes.items()}
        return [
            *found,
            *((Fragment(f"{alias}.{quoted(each)}", kind, bare=True), False) for each, kind in kinds.items()),
        ]

    def _after(self, sorting: Sequence[tuple[Fragment, bool]], last: Sequence[Any]) -> str:
        """Return the condition that a row comes behind the last one of a page."""
        if len(last) != len(sorting):
            raise Invalid(f"{self.place}: the place to go on from does not belong to this query.")
        equal: list[str] = []
        ways: list[str] = []
        for (fragment, descending), value in zip(sorting, last, strict=True):
            sql = fragment.sql
            if value is None:
                # NULLs come last when rising, first when falling.
                behind = f"{sql} IS NOT NULL" if descending else ""
                same = f"{sql} IS NULL"
            else:
                bound = self.statement.bind(value, _BOUND[fragment.kind])
                behind = f"{sql} < {bound}" if descending else f"({sql} > {bound} OR {sql} IS NULL)"
                same = f"{sql} = {bound}"
            if behind:
                ways.append(f"({' AND '.join([*equal, behind])})")
            equal.append(same)
        return f"({' OR '.join(ways) or 'false'})"

    # --- conditions

    def conditions(self, found: Sequence[Condition], at: Place, place: str, depth: int) -> Fragment | None:
        """Return conditions as one, AND before OR; None when none is enabled."""
        if depth > DEEPEST:
            raise Invalid(f"{place}: conditions are nested more than {DEEPEST} deep.")
        ways: list[list[Fragment]] = []
        for index, each in enumerate(found, 1):
            where = f"{place}/condition[{index}]"
            if each.enabled_if and not self._enabled(each.enabled_if, at, where):
                continue
            made = self._condition(each, at, where, depth + 1)
            if made is None:
                continue
            if each.operator.endswith("NOT"):
                made = replace(made, sql=f"(NOT {made.sql})")
            if not ways or each.operator.startswith("OR"):
                ways.append([])
            ways[-1].append(made)
        if not ways:
            return None
        every = [fragment for way in ways for fragment in way]
        sql = " OR ".join(f"({' AND '.join(fragment.sql for fragment in way)})" for way in ways)
        return Fragment(f"({sql})", Kind.BOOLEAN, any(f.aggregate for f in every), any(f.bare for f in every))

    def _condition(self, each: Condition, at: Place, place: str, depth: int) -> Fragment | None:
        if each.set_operator in ("EXISTS", "NOT EXISTS"):
            return self._exists(each, at, place, depth)
        if each.set_operator:
            return self._within(each, at, place, depth)
        if each.subquery is not None:
            raise Invalid(f"{place}: a subquery needs a setOperator.")
        inner = self.conditions(each.conditions, at, place, depth)
        if not each.expr.strip():
            return inner
        own = _condition_of(each.expr, at, f"{place}/expr")
        if inner is None:
            return own
        both = f"({own.sql} AND {inner.sql})"
        return Fragment(both, Kind.BOOLEAN, own.aggregate or inner.aggregate, own.bare or inner.bare)

    def _exists(self, each: Condition, at: Place, place: str, depth: int) -> Fragment:
        if each.subquery is not None and not each.expr.strip():
            sql = _Query(self.statement, each.subquery, f"{place}/subQuery", depth).counted()
            return Fragment(f"({each.set_operator} ({sql}))", Kind.BOOLEAN)
        node = _parsed(each.expr, f"{place}/expr")
        if not isinstance(node, Path) or not node.steps or node.attribute or each.subquery is not None:
            raise Invalid(f"{place}/expr: EXISTS takes the path of a link, such as task.")
        try:
            start = at.walk(replace(node, steps=node.steps[:-1])).before(node.steps[-1])
            link = start.link(node.steps[-1], node.at)
        except ExpressionError as error:
            raise _placed(error, each.expr, f"{place}/expr") from error
        inside = Scope.of(self.statement, link.target)
        inner = self.conditions(each.conditions, inside.root, place, depth)
        bounds = [f"{inside.alias}.{quoted(t)} = {start.alias}.{quoted(o)}" for o, t in link.join]
        if not lies_with(start.schema, link, inside.schema):
            bounds += inside.conditions()
        bounds += [inner.sql] if inner else []
        sql = f"({each.set_operator} (SELECT 1 FROM {inside.from_clause()} WHERE {' AND '.join(bounds)}))"  # noqa: S608 quoted names
        return Fragment(sql, Kind.BOOLEAN, bare=True)

    def _within(self, each: Condition, at: Place, place: str, depth: int) -> Fragment:
        if each.subquery is None or len(each.subquery.select) != 1:
            raise Invalid(f"{place}: {each.set_operator} takes a subquery that selects one node.")
        node = _parsed(each.expr, f"{place}/expr")
        own = _compiled(node, each.expr, at, f"{place}/expr")
        query = _Query(self.statement, each.subquery, f"{place}/subQuery", depth)
        sql, columns, _ = query.rows(limit=each.subquery.line_count)
        theirs = columns[0].kind
        same = own.kind is theirs or (own.kind.is_number and theirs.is_number)
        if not same:
            raise Invalid(f"{place}: {own.kind} cannot be in a list where each is {theirs}.")
        made = f"({own.sql} {each.set_operator} ({sql}))"
        return Fragment(made, Kind.BOOLEAN, own.aggregate, own.bare)

    def _enabled(self, text: str, at: Place, place: str) -> bool:
        try:
            return _holds(parse(text), at)
        except ExpressionError as error:
            raise _placed(error, text, f"{place}/enabledIf") from error


def _parsed(text: str, place: str) -> Node:
    try:
        return parse(text)
    except ExpressionError as error:
        raise _placed(error, text, place) from error


def _compiled(node: Node, text: str, at: Place, place: str) -> Fragment:
    try:
        return compile_node(node, at)
    except ExpressionError as error:
        raise _placed(error, text, place) from error


def _condition_of(text: str, at: Place, place: str) -> Fragment:
    try:
        return boolean(parse(text), at)
    except ExpressionError as error:
        raise _placed(error, text, place) from error


def _placed(error: ExpressionError, text: str, place: str) -> Invalid:
    inner = error.within(text)
    return ExpressionError(f"{inner.problem} ({place})", position=inner.position, text=inner.text)


def _expressions(condition: Condition) -> Iterable[Node]:
    if condition.expr.strip() and not condition.set_operator.endswith("EXISTS"):
        yield parse(condition.expr)
    if not condition.set_operator:
        for each in condition.conditions:
            yield from _expressions(each)


def _covered(node: Node, keys: Sequence[Node], place: str) -> None:
    if node in keys or (isinstance(node, Call) and node.name in _AGGREGATES):
        return
    if isinstance(node, Path):
        raise Invalid(
            f"{place}: {node} has several values in a group; group by it, or take an aggregate of it."
        )
    for each in children(node):
        _covered(each, keys, place)


def _holds(node: Node, at: Place) -> bool:
    """Return whether an `enabledIf` holds: constants, variables, comparisons; known before the query."""

    def value(each: Node) -> Any:
        if isinstance(each, Literal):
            return each.value
        if isinstance(each, Variable):
            return at.variable(each)
        raise ExpressionError(
            "enabledIf compares variables with values only.", position=getattr(each, "at", 0)
        )

    match node:
        case Logic():
            return (all if node.operator == "AND" else any)(_holds(each, at) for each in node.operands)
        case Not():
            return not _holds(node.operand, at)
        case IsNull():
            return (value(node.operand) in (None, "")) is not node.negated
        case Compare():
            left, right = value(node.left), value(node.right)
            if node.operator in ("=", "!="):
                return (str(left) == str(right)) is (node.operator == "=")
            try:
                return bool(_ORDERS[node.operator](left, right))
            except TypeError:
                raise ExpressionError("these two cannot be compared.", position=node.at) from None
        case _:
            return bool(value(node))
