"""How packages bring pages into the console: addresses, entries under the eight words, pages of folders.

A package answers the hook `pages` with one `Pages`; the shell imports no package.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver

from envoi.console.navigation import Entry
from envoi.kernel.hooks import Hook
from envoi.kernel.models import Folder

FolderPage = Callable[[HttpRequest, Folder], HttpResponse]


@dataclass(frozen=True)
class Pages:
    """What one package brings."""

    urls: Sequence[URLPattern | URLResolver] = ()
    """Mounted at the root, in the package's own namespace: `path("campaigns/", include(...))`."""
    entries: Sequence[Entry] = ()
    folders: Mapping[str, FolderPage] = field(default_factory=dict)
    """Schema name of what lives in a folder (`nms:recipient`) -> the view of such a folder."""


pages: Hook[[], Pages] = Hook("pages")
