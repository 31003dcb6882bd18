"""Definitions from JSON and to it, in the structure of the product's XML."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from envoi.kernel.errors import Invalid
from envoi.kernel.query.definition import Condition, Field, Operation, QueryDef

_OPERATORS = ("AND", "OR", "AND NOT", "OR NOT")
_SETS = ("", "IN", "NOT IN", "EXISTS", "NOT EXISTS")
_IGNORED = {"xtkschema", "noSqlBind", "firstRows", "label", "internalId", "expandParam", "dataType"}
DEEPEST = 30
MOST = 2_000
"""Nodes and conditions of one definition."""

Json = Mapping[str, Any]


def from_json(document: Json) -> QueryDef:
    """Return the definition that a document says.

    `{"schema": …, "select": {"node": […]}, "where": {"condition": […]}}`; a single node or condition may be
    there without its list.

    Raises Invalid with the place (`where/condition[2]/expr`), also for a name that is not known.
    """
    return _Reader().query(document, "queryDef", 0)


class _Reader:
    def __init__(self) -> None:
        self.count = 0

    def query(self, document: object, place: str, depth: int) -> QueryDef:
        known = {
            "schema", "operation", "select", "where", "orderBy", "groupBy", "having",
            "distinct", "lineCount", "startLine",
        }  # fmt: skip
        found = self.object(document, place, known, depth)
        operation = self.text(found, "operation", place) or "select"
        if operation not in list(Operation):
            raise Invalid(f"{place}/operation: {operation!r} is none of {', '.join(Operation)}.")
        schema = self.text(found, "schema", place)
        if not schema:
            raise Invalid(f"{place}/schema: say which schema the query is about.")
        return QueryDef(
            schema=schema,
            operation=Operation(operation),
            select=self.fields(found, "select", place, depth),
            where=self.conditions(found, "where", place, depth),
            order_by=self.fields(found, "orderBy", place, depth),
            group_by=self.fields(found, "groupBy", place, depth),
            having=self.conditions(found, "having", place, depth),
            distinct=self.truth(found, "distinct", place),
            line_count=self.number(found, "lineCount", place),
            start_line=self.number(found, "startLine", place) or 0,
        )

    def fields(self, parent: Json, name: str, place: str, depth: int) -> tuple[Field, ...]:
        known = {"expr", "alias", "analyze", "sortDesc", "groupBy"}
        found: list[Field] = []
        for where, each in self.many(parent, name, "node", place, depth):
            node = self.object(each, where, known, depth + 1)
            found.append(
                Field(
                    expr=self.text(node, "expr", where),
                    alias=self.text(node, "alias", where),
                    analyze=self.truth(node, "analyze", where),
                    descending=self.truth(node, "sortDesc", where),
                    group=self.truth(node, "groupBy", where),
                )
            )
        return tuple(found)

    def conditions(self, parent: Json, name: str, place: str, depth: int) -> tuple[Condition, ...]:
        where = f"{place}/{name}"
        inside = parent.get(name)
        if inside is None or inside == "":
            return ()
        group = self.object(inside, where, {"condition", "displayFilter", "filterName"}, depth)
        return self.inner(group, where, depth + 1)

    def inner(self, parent: Json, place: str, depth: int) -> tuple[Condition, ...]:
        known = {"expr", "boolOperator", "bool-operator", "enabledIf", "setOperator", "condition", "subQuery"}
        found: list[Condition] = []
        for where, each in self.list(parent.get("condition"), f"{place}/condition"):
            node = self.object(each, where, known, depth)
            operator = self.text(node, "boolOperator", where) or self.text(node, "bool-operator", where)
            chosen = self.text(node, "setOperator", where).upper()
            subquery = node.get("subQuery")
            found.append(
                Condition(
                    expr=self.text(node, "expr", where),
                    operator=self.choice(operator.upper() or "AND", _OPERATORS, f"{where}/boolOperator"),
                    enabled_if=self.text(node, "enabledIf", where),
                    set_operator=self.choice(chosen, _SETS, f"{where}/setOperator"),
                    conditions=self.inner(node, where, depth + 1),
                    subquery=None
                    if subquery is None
                    else self.query(subquery, f"{where}/subQuery", depth + 1),
                )
            )
        return tuple(found)

    # --- values

    def many(
        self, parent: Json, name: str, item: str, place: str, depth: int
    ) -> Iterable[tuple[str, object]]:
        inside = parent.get(name)
        if inside is None or inside == "":
            return ()
        found = self.object(inside, f"{place}/{name}", {item}, depth)
        return self.list(found.get(item), f"{place}/{name}/{item}")

    def list(self, value: object, place: str) -> Iterable[tuple[str, object]]:
        if value is None:
            return ()
        if isinstance(value, (list, tuple)):
            items = cast("list[object]", value)
            return [(f"{place}[{index}]", each) for index, each in enumerate(items, 1)]
        return [(place, value)]

    def object(self, value: object, place: str, known: set[str], depth: int) -> Json:
        self.count += 1
        if depth > DEEPEST or self.count > MOST:
            raise Invalid(f"{place}: the definition is nested too deep, or has more than {MOST} parts.")
        if not isinstance(value, Mapping):
            raise Invalid(f"{place}: expected an object, found {type(value).__name__}.")
        found = cast("Json", value)
        for name in found:
            if name not in known and name not in _IGNORED:
                close = difflib.get_close_matches(str(name), sorted(known), n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
                raise Invalid(f"{place}: nothing is called {name!r}; {hint}")
        return found

    def text(self, found: Json, name: str, place: str) -> str:
        value = found.get(name, "")
        if not isinstance(value, str):
            raise Invalid(f"{place}/{name}: expected a text, found {value!r}.")
        return value

    def truth(self, found: Json, name: str, place: str) -> bool:
        value = found.get(name, False)
        known = {"true": True, "1": True, "false": False, "0": False, "": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, (str, int)) and str(value).lower() in known:
            return known[str(value).lower()]
        raise Invalid(f"{place}/{name}: expected true or false, found {value!r}.")

    def number(self, found: Json, name: str, place: str) -> int | None:
        value = found.get(name)
        if value is None or value == "":
            return None
        text = str(value)
        if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Invalid(f"{place}/{name}: expected a whole number, found {value!r}.")
        return int(text)

    def choice(self, value: str, known: tuple[str, ...], place: str) -> str:
        if value not in known:
            raise Invalid(f"{place}: {value!r} is none of {', '.join(filter(None, known))}.")
        return value


def to_json(definition: QueryDef) -> dict[str, Any]:
    """Return the document of a definition; `from_json` of it gives an equal one. `after` is no part of it."""
    found: dict[str, Any] = {"schema": definition.schema, "operation": definition.operation.value}
    for name, nodes in (
        ("select", definition.select),
        ("orderBy", definition.order_by),
        ("groupBy", definition.group_by),
    ):
        if nodes:
            found[name] = {"node": [_field(each) for each in nodes]}
    for name, conditions in (("where", definition.where), ("having", definition.having)):
        if conditions:
            found[name] = {"condition": [_condition(each) for each in conditions]}
    if definition.distinct:
        found["distinct"] = True
    if definition.line_count is not None:
        found["lineCount"] = definition.line_count
    if definition.start_line:
        found["startLine"] = definition.start_line
    return found


def _field(node: Field) -> dict[str, Any]:
    said = {
        "expr": node.expr,
        "alias": node.alias,
        "analyze": node.analyze,
        "sortDesc": node.descending,
        "groupBy": node.group,
    }
    return {name: value for name, value in said.items() if value}


def _condition(node: Condition) -> dict[str, Any]:
    said: dict[str, Any] = {
        "expr": node.expr,
        "boolOperator": "" if node.operator == "AND" else node.operator,
        "enabledIf": node.enabled_if,
        "setOperator": node.set_operator,
        "condition": [_condition(each) for each in node.conditions],
        "subQuery": None if node.subquery is None else to_json(node.subquery),
    }
    return {name: value for name, value in said.items() if value}
