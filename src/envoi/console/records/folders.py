"""The page of a folder: its name and place, what a view shows, who may do what in it, folders below."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import conditions, explorer, tree, words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import folders, query, registry
from envoi.kernel.errors import Invalid, NotFound, Refused
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder, Group, Operator
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.rights import Actor, Right

Doing = Callable[[HttpRequest, Folder, Actor], str]


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def folder(request: HttpRequest, number: int) -> HttpResponse:
    """Show a folder's properties; rename it, move it, make it a view, set rights, make and delete folders."""
    actor = actor_of_request(request)
    found = folders.readable_folders(actor).filter(pk=number).select_related("parent").first()
    if found is None:
        raise NotFound(_("There is no such folder, or you have no right to see it."))
    problem = ""
    if request.method == "POST":
        doing = DOINGS.get(request.POST.get("do", ""))
        if doing is None:
            raise Invalid(_("There is no command “%(name)s”.") % {"name": request.POST.get("do", "")})
        try:
            return redirect(doing(request, found, actor))
        except Refused as refusal:
            problem = str(refusal)
    context = {**explorer.frame(request, found), **_content(request, found, actor), "problem": problem}
    return render(request, "console/records/folder.html", context, status=400 if problem else 200)


def may_change(folder: Folder, actor: Actor) -> bool:
    """Return whether the page of a folder has anything to do for the actor."""
    rights = (Right.EDIT_FOLDERS, Right.INSERT_FOLDERS, Right.DELETE_FOLDER)
    return any(actor.has(right) for right in rights) and folders.may(actor, folder, Access.WRITE)


def _content(request: HttpRequest, here: Folder, actor: Actor) -> dict[str, Any]:
    writes = folders.may(actor, here, Access.WRITE)
    edits = writes and actor.has(Right.EDIT_FOLDERS) and not here.built_in
    places = folders.readable_folders(actor).exclude(path__startswith=here.path).order_by("path")
    installed = here.model in registry.current()
    typed = request.POST.get("filter") if request.POST.get("do") == "view" else None
    stored = json.dumps(here.view_filter, ensure_ascii=False) if here.view_filter else ""
    return {
        "heading": folders.label_of(here),
        "edits": edits,
        "inserts": writes and actor.has(Right.INSERT_FOLDERS),
        "deletes": actor.has(Right.DELETE_FOLDER)
        and folders.may(actor, here, Access.DELETE)
        and not here.built_in,
        "places": [(each, "\u2003" * (each.path.count("/") - 2)) for each in places] if edits else [],
        "can_be_view": edits and installed,
        "conditions": {
            "schema": here.model,
            "name": "filter",
            "value": stored if typed is None else typed,
            "zone": words.zone_name(),
        },
        "rights": folders.rights_on(here, actor=actor) if actor.is_administrator else None,
        "holders": _holders() if actor.is_administrator else [],
        "address": tree.address_of(here),
    }


def _holders() -> list[tuple[str, str]]:
    groups = [(f"g{each.pk}", f"{each} ({_('group')})") for each in Group.objects.order_by("name")]
    return [*groups, *((f"o{each.pk}", str(each)) for each in Operator.objects.order_by("name"))]


def _rename(request: HttpRequest, here: Folder, actor: Actor) -> str:
    folders.rename(here, request.POST.get("label", ""), actor=actor)
    messages.success(request, _("The folder is renamed."))
    return request.path


def _move(request: HttpRequest, here: Folder, actor: Actor) -> str:
    target = request.POST.get("parent", "")
    parent = folders.find(target, actor=actor) if target else None
    folders.move(here, parent, actor=actor)
    messages.success(request, _("The folder is moved."))
    return request.path


def _create(request: HttpRequest, here: Folder, actor: Actor) -> str:
    name = request.POST.get("name", "").strip()
    made = folders.create(name, actor=actor, label=request.POST.get("label", ""), parent=here)
    messages.success(request, _("The folder %(name)s is made.") % {"name": made.label})
    return tree.address_of(made)


def _delete(request: HttpRequest, here: Folder, actor: Actor) -> str:
    parent = here.parent
    folders.delete(here, actor=actor)
    messages.success(request, _("The folder %(name)s is deleted.") % {"name": here.label})
    return tree.address_of(parent) if isinstance(parent, Folder) else "/explorer/"


def _view(request: HttpRequest, here: Folder, actor: Actor) -> str:
    if "view" not in request.POST:
        folders.set_view(here, None, actor=actor)
        messages.success(request, _("The folder holds rows of its own again."))
        return request.path
    found = conditions.read(request.POST.get("filter", ""))
    asked = QueryDef(here.model, select=(Field("@id"),), where=found)
    query.compile(asked, actor=actor, zone=words.zone_name())
    document = query.to_json(QueryDef(here.model, where=found)).get("where", {"condition": []})
    folders.set_view(here, document, actor=actor)
    messages.success(request, _("The folder shows what its filter says."))
    return request.path


def _rights(request: HttpRequest, here: Folder, actor: Actor) -> str:
    holder = request.POST.get("holder", "")
    model = {"g": Group, "o": Operator}.get(holder[:1])
    number = holder[1:]
    found = model.objects.filter(pk=int(number)).first() if model and number.isdecimal() else None
    if found is None:
        raise Invalid(_("Choose an operator or a group."))
    given = {each: each in request.POST for each in ("read", "write", "delete")}
    folders.set_rights(here, found, actor=actor, **given, below="below" in request.POST)
    messages.success(request, _("The rights of %(name)s are set.") % {"name": found})
    return request.path


DOINGS: dict[str, Doing] = {
    "rename": _rename,
    "move": _move,
    "create": _create,
    "delete": _delete,
    "view": _view,
    "rights": _rights,
}
