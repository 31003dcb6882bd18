"""The explorer: every folder by its own address."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from envoi.console import folder_kinds, tree
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import folders
from envoi.kernel.errors import NotFound
from envoi.kernel.models import Folder


@under(Word.EXPLORER)
def root(request: HttpRequest) -> HttpResponse:
    """Show the tree alone; on a small screen it is a page of its own."""
    actor = actor_of_request(request)
    opened = tree.remembered(request, actor)
    context = {"roots": tree.roots(actor, opened=opened), "tree_memory": tree.memory(actor)}
    return render(request, "console/explorer/root.html", context)


@under(Word.EXPLORER)
def folder(request: HttpRequest, path: str) -> HttpResponse:
    """Show what lives in a folder, or the folders below it."""
    actor = actor_of_request(request)
    found = folders.readable_folders(actor).filter(path=f"/{path.strip('/')}/").first()
    if found is None:
        raise NotFound(f"There is no folder {path!r}, or you have no right to see it.")
    kind = folder_kinds.find(found.model)
    if kind is not None:
        return kind.page(request, found)
    below = [branch for branch in _walk(tree.roots(actor, current=found.path)) if branch.current]
    context = {"children": below[0].children if below else [], **frame(request, found)}
    # Above: the pages of folders know this module.
    from envoi.console.records import folders as folder_pages

    if folder_pages.may_change(found, actor):
        context["folder_address"] = reverse("console:folder-properties", args=[found.folder_id])
    return render(request, "console/explorer/folder.html", context)


def first_of(request: HttpRequest, schema: str) -> HttpResponse:
    """Send to the first folder of a schema that the actor sees; NotFound when there is none."""
    found = folders.readable_folders(actor_of_request(request)).filter(model=schema).order_by("path").first()
    if found is None:
        raise NotFound(f"There is no folder for {schema}, or you have no right to see it.")
    return redirect(tree.address_of(found))


def frame(request: HttpRequest, here: Folder) -> dict[str, object]:
    """Return what the frame of a folder's page needs: the tree, the breadcrumbs, the label."""
    actor = actor_of_request(request)
    return {
        "folder": here,
        "folder_label": folders.label_of(here),
        "roots": tree.roots(actor, current=here.path, opened=tree.remembered(request, actor)),
        "tree_memory": tree.memory(actor),
        "crumbs": crumbs(request, here),
    }


def crumbs(request: HttpRequest, here: Folder, *, whole: bool = False) -> list[tuple[str, str]]:
    """Return (label, address) of the folders above `here`, and of `here` itself when `whole`."""
    names = here.path.strip("/").split("/")
    paths = ["/" + "/".join(names[: at + 1]) + "/" for at in range(len(names))]
    seen = folders.readable_folders(actor_of_request(request)).filter(path__in=paths).order_by("path")
    return [
        (folders.label_of(each), tree.address_of(each))
        for each in seen
        if whole or each.folder_id != here.folder_id
    ]


def _walk(branches: list[tree.Branch]) -> list[tree.Branch]:
    return [each for branch in branches for each in (branch, *_walk(branch.children))]
