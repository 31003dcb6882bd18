"""How packages bring pages into the console: addresses, entries under the eight words, pages of folders.

A package answers the hook `pages` with one `Pages`; the shell imports no package.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.urls import URLPattern, URLResolver

from envoi.console.folder_kinds import FolderKind
from envoi.console.navigation import Entry
from envoi.console.records.form import Form
from envoi.engine.definition import Activity
from envoi.kernel.hooks import Hook
from envoi.kernel.rights import Actor


@dataclass(frozen=True)
class FirstStep:
    """One of the steps that a new instance's home shows; texts are translated lazily."""

    icon: str
    title: Any
    text: Any
    view: str
    """Name of the address that the step leads to."""
    action: Any
    done: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Pages:
    """What one package brings."""

    urls: Sequence[URLPattern | URLResolver] = ()
    """Mounted at the root, in the package's own namespace: `path("campaigns/", include(...))`."""
    entries: Sequence[Entry] = ()
    folders: Mapping[str, FolderKind] = field(default_factory=dict)
    """Schema name of what lives in a folder (`nms:recipient`) -> how such a folder shows."""
    forms: Mapping[str, Form] = field(default_factory=dict)
    """Schema name -> what its form has that the registry does not say."""
    first_steps: Sequence[FirstStep] = ()


pages: Hook[[], Pages] = Hook("pages")
"""Asked while the addresses are built and for each page; an answer must be cheap and always the same."""
opens: Hook[[Activity, Sequence[int], Actor], tuple[str, str] | None] = Hook("opens")
"""`(activity, tasks, actor)`: (label, address) of what an activity of a workflow works on, from its tasks of
this run, as far as the actor sees it; None for what is no business of the package.
"""
