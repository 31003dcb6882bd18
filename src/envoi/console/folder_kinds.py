"""What lives in a folder decides its page, its icon and what the tree counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from envoi.kernel import registry
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor

FolderPage = Callable[[HttpRequest, Folder], HttpResponse]
Counts = Callable[[Actor], Mapping[int, tuple[int, int]]]


@dataclass(frozen=True)
class FolderKind:
    """How folders of one schema show."""

    page: FolderPage
    icon: str = "folder"
    counts: Counts | None = None
    """Folder id -> (objects in it, how many of them need attention)."""


_OWN: dict[str, FolderKind] = {}
_GENERIC: list[FolderKind] = []
ICONS = {
    "nms:extAccount": "key",
    "xtk:option": "list",
    "xtk:enum": "tag",
    "xtk:cube": "cube",
    "xtk:operator": "user",
    "xtk:opGroup": "user",
    "nms:recipient": "user",
    "nms:visitor": "user",
    "nms:seedMember": "tag",
    "nms:group": "list",
    "nms:service": "mail",
}


def own(schema: str, kind: FolderKind) -> None:
    """Make a kind of the shell known."""
    _OWN[schema] = kind


def generic(kind: FolderKind) -> None:
    """Make the kind known that shows folders of any schema which has none of its own."""
    _GENERIC[:] = [kind]


def find(schema: str) -> FolderKind | None:
    """Return the kind of a schema, else the generic one; None for a schema that is not installed."""
    found = _all().get(schema)
    if found is None and _GENERIC and schema in registry.current():
        return _GENERIC[0]
    return found


def icon_of(schema: str) -> str:
    """Return the icon of folders of a schema."""
    found = find(schema)
    return found.icon if found and found.icon != "folder" else ICONS.get(schema, "folder")


def counts(actor: Actor) -> dict[int, tuple[int, int]]:
    """Return (objects, those that need attention) for each folder in which something is counted."""
    found: dict[int, tuple[int, int]] = {}
    for kind in _all().values():
        if kind.counts:
            found |= kind.counts(actor)
    return found


def _all() -> dict[str, FolderKind]:
    from envoi.console.hooks import pages

    kinds = dict(_OWN)
    for answer in pages.ask():
        kinds |= answer.folders
    return kinds
