"""The search field as an ordinary page: pages, folders, workflows, options, operators, by their words."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from envoi.console import faces, navigation, tree
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.engine import access, supervision
from envoi.kernel import folders
from envoi.kernel.models import Operator, Option
from envoi.kernel.rights import Actor

LIMIT = 20


@dataclass(frozen=True)
class Hit:
    """One thing found."""

    label: str
    name: str
    address: str
    icon: str
    face: Face | None = None


def search(request: HttpRequest) -> HttpResponse:
    """Find what the actor may see; without rights an object is not found."""
    query = request.GET.get("q", "").strip()
    groups = _find(actor_of_request(request), query) if query else []
    context: dict[str, Any] = {
        "query": query,
        "groups": groups,
        "found": sum(len(hits) for _label, hits in groups),
    }
    return render(request, "console/search.html", context)


def _find(actor: Actor, query: str) -> list[tuple[str, list[Hit]]]:
    wanted = query.casefold()
    language = translation.get_language() or "en"
    pages = [
        Hit(str(entry.label), "", reverse(entry.view), "list")
        for entry in navigation.entries(actor)
        if wanted in str(entry.label).casefold()
    ]
    found_folders = [
        Hit(folders.label_of(folder), folder.name, tree.address_of(folder), "folder")
        for folder in folders.readable_folders(actor)
        if wanted in folders.label_of(folder).casefold() or wanted in folder.name.casefold()
    ]
    names = {
        workflow.internal_name
        for workflow in access.visible(actor).only("internal_name", "label", "labels", "folder")
        if wanted in workflow.internal_name.casefold() or wanted in workflow.label_in(language).casefold()
    }
    workflows = [
        Hit(
            row.label,
            row.internal_name,
            reverse("console:workflow", args=[row.internal_name]),
            "split",
            faces.workflow(row.word),
        )
        for row in (supervision.workflows(actor, language=language) if names else ())
        if row.internal_name in names
    ]
    groups = [(_("Workflows"), workflows), (_("Pages"), pages), (_("Folders"), found_folders)]
    if actor.is_administrator:
        options = [
            Hit(option.name, option.description, reverse("console:option", args=[option.name]), "list")
            for option in Option.objects.filter(name__icontains=query)
        ]
        operators = [
            Hit(str(operator), operator.name, reverse("console:operator", args=[operator.name]), "user")
            for operator in Operator.objects.all()
            if wanted in f"{operator.name} {operator.label} {operator.email}".casefold()
        ]
        groups += [(_("Options"), options), (_("Operators"), operators)]
    return [(label, hits[:LIMIT]) for label, hits in groups if hits]
