"""The generic query editor: any schema, its conditions, columns and order, with rows, counts and the SQL.

Everything stands in the address, so that a query can be sent to a colleague, and works without script.
"""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from envoi.console.access import actor_of_request
from envoi.console.conditions import asking, fields, text, views
from envoi.console.conditions.asking import Asker
from envoi.console.navigation import Word, under
from envoi.kernel import registry
from envoi.kernel.errors import Refused
from envoi.kernel.query import explain
from envoi.kernel.registry import Schema
from envoi.kernel.rights import Actor, Right


@under(Word.EXPLORER)
@require_safe
def query_page(request: HttpRequest) -> HttpResponse:
    """Choose a schema, then ask about it."""
    actor, known = actor_of_request(request), registry.current()
    schemas = sorted(
        ((each.name, registry.translate(each.label)) for each in known if fields.readable(each, actor)),
        key=lambda pair: pair[1].casefold(),
    )
    name = request.GET.get("schema", "")
    context: dict[str, Any] = {"schemas": schemas, "schema": name}
    if name:
        views.require(known[name], actor)
        context |= _asked(request, actor, known[name])
    return render(request, "console/conditions/query_page.html", context)


def _asked(request: HttpRequest, actor: Actor, schema: Schema) -> dict[str, Any]:
    given, zone = request.GET, timezone.get_current_timezone_name()
    where, columns, order = given.get("where", ""), given.get("columns", ""), given.get("order", "")
    context: dict[str, Any] = {
        "conditions": {
            "schema": schema.name,
            "name": "where",
            "value": where,
            "zone": zone,
            "include": "#columns, #order",
        },
        "columns_text": columns or "\n".join(views.columns_of(schema, actor)),
        "order_text": order,
        "label": registry.translate(schema.label),
    }
    if not given.get("do"):
        return context
    try:
        definition = views.rows_asked(schema, actor, given, text.read(where))
        if given["do"] == "sql":
            actor.require(Right.ADMINISTRATION, to=_("see the SQL of a query"))
            found = explain(definition, actor=actor, zone=zone)
            context["sql"] = found["sql"]
            context["params"] = json.dumps(found["params"], default=str, ensure_ascii=False)
        else:
            context["found"] = views.table(asking.first(definition, Asker(actor, "", zone)), schema)
    except Refused as problem:
        context["problem"] = str(problem)
    return context
