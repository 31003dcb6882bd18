"""How packages bring pages into the console: addresses, entries under the eight words, pages of folders.

A package answers the hook `pages` with one `Pages`; the shell imports no package.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.urls import URLPattern, URLResolver

from envoi.console.folder_kinds import FolderKind
from envoi.console.navigation import Entry
from envoi.kernel.hooks import Hook


@dataclass(frozen=True)
class Pages:
    """What one package brings."""

    urls: Sequence[URLPattern | URLResolver] = ()
    """Mounted at the root, in the package's own namespace: `path("campaigns/", include(...))`."""
    entries: Sequence[Entry] = ()
    folders: Mapping[str, FolderKind] = field(default_factory=dict)
    """Schema name of what lives in a folder (`nms:recipient`) -> how such a folder shows."""


pages: Hook[[], Pages] = Hook("pages")
"""Asked while the addresses are built and for each page; an answer must be cheap and always the same."""
