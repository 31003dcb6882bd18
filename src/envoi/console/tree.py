"""The folder tree beside the explorer's pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import HttpRequest
from django.urls import reverse

from envoi.console import folder_kinds
from envoi.kernel import folders
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor

LONGEST_NUMBER = 19
"""Digits of a number that the database still takes."""


@dataclass
class Branch:
    """One folder with what is below it."""

    folder: Folder
    label: str
    address: str
    icon: str
    count: int | None = None
    """Objects in the folder and below, None where nothing is counted."""
    troubled: int = 0
    """Of those, how many need attention."""
    open: bool = False
    current: bool = False
    children: list["Branch"] = field(default_factory=list)


def address_of(folder: Folder) -> str:
    """Return the address of a folder's page."""
    return reverse("console:folder", args=[folder.path.strip("/")])


def memory(actor: Actor) -> str:
    """Return the name of the cookie that says which folders this operator has open."""
    return f"envoi_tree_{actor.operator_id}"


def remembered(request: HttpRequest, actor: Actor) -> frozenset[int]:
    """Return the numbers of the folders that the operator has left open in this browser."""
    said = request.COOKIES.get(memory(actor), "")
    return frozenset(int(each) for each in said.split(".") if each.isdecimal() and len(each) < LONGEST_NUMBER)


def roots(actor: Actor, *, current: str = "", opened: frozenset[int] = frozenset()) -> list[Branch]:
    """Return the tree that the actor sees: open down to the path `current`, and at `opened`."""
    counted = folder_kinds.counts(actor)
    branches: dict[int, Branch] = {}
    top: list[Branch] = []
    for folder in folders.readable_folders(actor).order_by("path"):
        branch = Branch(
            folder=folder,
            label=folders.label_of(folder),
            address=address_of(folder),
            icon=folder_kinds.icon_of(folder.model),
            open=folder.folder_id in opened or (current != folder.path and current.startswith(folder.path)),
            current=current == folder.path,
        )
        branches[folder.folder_id] = branch
        above = branches.get(getattr(folder, "parent_id", None) or 0)
        (above.children if above else top).append(branch)
    for branch in top:
        _settle(branch, counted)
    _sort(top)
    return top


def _settle(branch: Branch, counted: Mapping[int, tuple[int, int]]) -> None:
    own = counted.get(branch.folder.folder_id)
    branch.count, branch.troubled = own if own else (None, 0)
    for child in branch.children:
        _settle(child, counted)
        if child.count is not None and branch.folder.model:
            branch.count = (branch.count or 0) + child.count
        branch.troubled += child.troubled
    if branch.current:
        branch.open = True


def _sort(branches: list[Branch]) -> None:
    branches.sort(key=lambda branch: (branch.folder.position, branch.label))
    for branch in branches:
        _sort(branch.children)
