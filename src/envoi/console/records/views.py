"""Saved views of a list: kept under a name, renamed, shared, deleted."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from envoi.console import sign_in
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.console.records import asked as asking_for
from envoi.console.records import lists
from envoi.kernel import query, registry, saved_views
from envoi.kernel.errors import Refused
from envoi.kernel.query import QueryDef
from envoi.kernel.registry import translate


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def save(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Ask for a name (GET), and keep the list's columns, filter and order under it (POST)."""
    schema = registry.find(f"{namespace}:{name}")
    asked = asking_for.read(request, schema)
    given = request.POST if request.method == "POST" else request.GET
    problem = ""
    if request.method == "POST":
        try:
            # What the query does not take is refused before it is kept.
            query.compile(asked.definition(), actor=asked.actor, zone=asked.zone)
            where = query.to_json(QueryDef(schema.name, where=asked.conditions)).get("where", {})
            view = saved_views.save(
                schema.name,
                given.get("name", ""),
                actor=asked.actor,
                columns=[each.expr for each in asked.columns],
                filter=where.get("condition", []),
                sort=asked.sort,
                shared="shared" in given,
                opens="opens" in given,
            )
            messages.success(request, _("The view %(name)s is kept.") % {"name": view.name})
            folder = f"&folder={asked.folder.folder_id}" if asked.folder else ""
            return redirect(f"{lists.address_of(schema, 'list')}?view={view.pk}{folder}")
        except Refused as refusal:
            problem = str(refusal)
    context = {
        "schema": schema,
        "label": translate(schema.label),
        "list_address": f"{lists.address_of(schema, 'list')}{asked.state()}",
        "problem": problem,
        "given": given,
        "name": given.get("name", asked.view.name if asked.view else ""),
        "shared": "shared" in given or bool(asked.view and asked.view.shared),
        "opens": "opens" in given or bool(asked.view and asked.view.is_default),
        "kept": [
            (each, value)
            for each in ("filter", "c", "sort", "folder", "view")
            for value in given.getlist(each)
        ],
        "columns": asked.columns,
    }
    return render(request, "console/records/save_view.html", context, status=400 if problem else 200)


@require_POST
def change(request: HttpRequest, number: int) -> HttpResponse:
    """Rename or delete a view."""
    actor = actor_of_request(request)
    view = saved_views.find(number, actor=actor)
    schema = registry.find(view.schema)
    if request.POST.get("do") == "delete":
        saved_views.delete(number, actor=actor)
        messages.success(request, _("The view %(name)s is deleted.") % {"name": view.name})
        return redirect(lists.address_of(schema, "list"))
    renamed = saved_views.rename(number, request.POST.get("name", ""), actor=actor)
    messages.success(request, _("The view is called %(name)s now.") % {"name": renamed.name})
    return redirect(sign_in.safe_next(request))
