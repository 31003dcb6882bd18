"""What the editor asks the server: its rows after a change, fields to choose from, how many rows there are.

Each request carries the text of the editor, its schema, the name of its field, the zone, and a key of its own
(`_schema`, `_name`, `_zone`, `_key`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_GET, require_POST

from envoi.console.access import actor_of_request
from envoi.console.conditions import asking, changing, drawing, fields, text
from envoi.console.conditions.asking import Asker, Number
from envoi.console.records import columns
from envoi.kernel import registry
from envoi.kernel.errors import Invalid, Refused
from envoi.kernel.expression import FUNCTIONS, ExpressionError, Function
from envoi.kernel.expression.functions import Group
from envoi.kernel.query import Condition, Field, Operation, QueryDef, Result, compile
from envoi.kernel.registry import Schema
from envoi.kernel.rights import Actor, Right


@dataclass(frozen=True)
class _Asked:
    """What every request of an editor says."""

    actor: Actor
    given: QueryDict
    schema: Schema
    name: str
    zone: str
    key: str

    @property
    def text(self) -> str:
        return self.given.get(self.name, "")

    @property
    def asker(self) -> Asker:
        return Asker(self.actor, self.key, self.zone)

    @property
    def definition(self) -> QueryDef:
        key = self.schema.attribute_of(self.schema.key[0])
        select = (Field(key.xpath if key is not None else "1"),)
        return QueryDef(self.schema.name, select=select, where=text.read(self.text))


def _asked(request: HttpRequest) -> _Asked:
    given = request.POST if request.method == "POST" else request.GET
    actor = actor_of_request(request)
    schema = registry.current()[given.get("_schema", "")]
    require(schema, actor)
    return _Asked(
        actor=actor,
        given=given,
        schema=schema,
        name=given.get("_name", "where"),
        zone=given.get("_zone") or "UTC",
        key=given.get("_key", ""),
    )


def require(schema: Schema, actor: Actor) -> None:
    """Raise NotAllowed unless an actor may ask about a schema."""
    if schema.reading:
        actor.require(Right(schema.reading), to=_("read %(schema)s") % {"schema": schema.name})


@require_POST
def edit(request: HttpRequest) -> HttpResponse:
    """Return the rows after a change, or as the text says them when it was written by hand (`_do=text`)."""
    asked = _asked(request)
    do = asked.given.get("_do", "")
    common: dict[str, Any] = {"actor": asked.actor, "zone": asked.zone, "key": asked.key}
    try:
        group = text.rows_in(asked.text, asked.schema.name)
        at = changing.place_of(asked.given.get("_at", ""))
        chosen = asked.given.get("_field", "")
        changed, place = changing.change(group, do, at, chosen, asked.schema, registry.current())
    except Invalid as problem:
        editor = drawing.editor(asked.schema.name, asked.name, asked.text, **common)
        context = {"editor": editor, "problem": str(problem)}
        return render(request, "console/conditions/box.html", context)
    editor = drawing.of_rows(asked.schema.name, asked.name, changed, focus=place, **common)
    return render(request, "console/conditions/box.html", {"editor": editor})


@require_GET
def choose(request: HttpRequest) -> HttpResponse:
    """Return one level of the fields behind `_path`, or those that `_q` finds."""
    asked = _asked(request)
    known, actor = registry.current(), asked.actor
    base = known[asked.given.get("_base", "") or asked.schema.name]
    steps = tuple(filter(None, asked.given.get("_path", "").split("/")))
    wanted = asked.given.get("_q", "").strip()
    context: dict[str, Any] = {
        "at": asked.given.get("_at", ""),
        "do": asked.given.get("_do", "field"),
        "base": base.name,
        "query": wanted,
        "path": "/".join(steps),
        "box": asked.given.get("_box", ""),
        "whole": not steps and "_q" not in asked.given,
    }
    if wanted:
        context["fields"] = list(fields.search(base, wanted, actor, known))
        return render(request, "console/conditions/fields.html", context)
    here = base
    for step in steps:
        link = here.links.get(step)
        if link is None or link.target not in known or not fields.readable(known[link.target], actor):
            raise Invalid(_("%(schema)s has no field %(path)s.") % {"schema": here.name, "path": step})
        here = known[link.target]
    require(here, actor)
    if context["whole"] and context["do"] == "insert":
        context["functions"] = list(functions().items())
    if steps:
        context["itself"] = str(fields.path_to(steps, None))
    context["attributes"] = [
        (registry.translate(each.label), str(fields.path_to(steps, each)))
        for each in fields.attributes(here, actor)
    ]
    context["links"] = [
        {
            "label": registry.translate(link.label),
            "name": link.name,
            "collection": link.collection,
            "text": str(fields.path_to((*steps, link.name), None)),
            "path": "/".join((*steps, link.name)),
        }
        for link in fields.links(here, actor, known)
    ]
    return render(request, "console/conditions/fields.html", context)


@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """Return what is wrong with the expression `_expr`, with its place; nothing when it is right."""
    asked = _asked(request)
    base = asked.given.get("_base", "") or asked.schema.name
    return render(request, "console/conditions/checked.html", checked(asked, base))


def checked(asked: _Asked, base: str) -> dict[str, Any]:
    """Return problem, line with the place, and the caret under it."""
    expr = asked.given.get("_expr", "")
    if not expr.strip():
        return {}
    query = QueryDef(base, operation=Operation.COUNT, where=(Condition(expr=expr),))
    try:
        compile(query, actor=asked.actor, zone=asked.zone)
    except ExpressionError as error:
        at = min(error.position, len(expr))
        begin, end = max(0, at - 30), at + 30
        line = expr[begin:end].replace("\n", " ").replace("\t", " ")
        return {
            # The place in the query says nothing to somebody who looks at the expression.
            "problem": error.problem.partition(" (queryDef/")[0],
            "line": line,
            "caret": " " * (at - begin) + "^",
            "position": at,
            "number": at + 1,
        }
    except Refused as error:
        return {"problem": str(error)}
    return {"right": True}


@require_POST
def estimate(request: HttpRequest) -> HttpResponse:
    """Return about how many rows the conditions hold for."""
    return _counted(request, lambda asked: {"number": asking.about(asked.definition, asked.asker)})


@require_POST
def count(request: HttpRequest) -> HttpResponse:
    """Return how many rows the conditions hold for."""
    return _counted(request, lambda asked: {"number": Number(asking.exactly(asked.definition, asked.asker))})


def _counted(request: HttpRequest, ask: Callable[[_Asked], dict[str, Any]]) -> HttpResponse:
    asked = _asked(request)
    try:
        context = ask(asked)
    except Refused as problem:
        context = {"problem": str(problem)}
    return render(request, "console/conditions/counted.html", context)


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """Return the first rows that the conditions hold for; `columns` and `order` have an expression a line."""
    asked = _asked(request)
    try:
        definition = rows_asked(asked.schema, asked.actor, asked.given, text.read(asked.text))
        context: dict[str, Any] = table(asking.first(definition, asked.asker), asked.schema)
    except Refused as problem:
        context = {"problem": str(problem)}
    return render(request, "console/conditions/preview.html", context)


@require_POST
def stop(request: HttpRequest) -> HttpResponse:
    """Cancel what the editor waits for; the request that waits tells of it."""
    asking.stop(_asked(request).asker)
    return HttpResponse(status=204)


def rows_asked(schema: Schema, actor: Actor, given: QueryDict, where: tuple[Condition, ...]) -> QueryDef:
    """Return the query for the first rows, with the columns and the order that a request names."""
    return QueryDef(
        schema.name,
        select=tuple(Field(each) for each in _lines(given.get("columns")) or columns_of(schema, actor)),
        where=where,
        order_by=tuple(_ordered(each) for each in _lines(given.get("order"))),
        line_count=asking.ROWS,
    )


def _lines(given: str | None) -> list[str]:
    return [line.strip() for line in (given or "").splitlines() if line.strip()]


def _ordered(line: str) -> Field:
    path, _space, direction = line.rpartition(" ")
    if path and direction.lower() in ("asc", "desc"):
        return Field(path, descending=direction.lower() == "desc")
    return Field(line)


def columns_of(schema: Schema, actor: Actor) -> list[str]:
    """Return the columns that a preview shows when none are chosen: those of a list of the schema."""
    return columns.usual(schema, actor)


def table(result: Result, schema: Schema) -> dict[str, Any]:
    """Return rows as the preview shows them, cells drawn, with a label above each column."""
    rows = [
        [columns.shown(column.attribute, value) for value, column in zip(row, result.columns, strict=True)]
        for row in result.rows
    ]
    labels = [(each.expr, columns.column(each.expr, schema).label) for each in result.columns]
    return {"columns": labels, "rows": rows, "full": len(rows) >= asking.ROWS}


GROUPS = {
    Group.AGGREGATE: lazy("Aggregates"),
    Group.DATE: lazy("Dates"),
    Group.NUMBER: lazy("Numbers"),
    Group.TEXT: lazy("Texts"),
    Group.OTHER: lazy("Other functions"),
}


def functions() -> dict[Any, list[Function]]:
    """Return the functions of the expression language by the label of their group."""
    found: dict[Any, list[Function]] = {}
    for each in FUNCTIONS.values():
        found.setdefault(GROUPS[each.group], []).append(each)
    return found
