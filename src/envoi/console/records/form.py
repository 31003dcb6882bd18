"""What a package may say about the form of one of its entities; without a word the registry says it all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from envoi.console.faces import Face
from envoi.kernel.rights import Actor


@dataclass(frozen=True)
class Section:
    """Attributes that stand together, in their order, under one heading (translated lazily)."""

    label: Any
    names: Sequence[str]


@dataclass(frozen=True)
class Tab:
    """One more page of a row: an address that takes its number."""

    label: Any
    view: str
    """Name of the address, `delivery:profile`."""


@dataclass(frozen=True)
class Form:
    """How rows of one entity show and are filled in. Attributes that no section names get theirs by rule."""

    sections: Sequence[Section] = ()
    columns: Sequence[str] = ()
    """Expressions of the columns with which its list begins, the name first."""
    hidden: frozenset[str] = frozenset()
    """Attributes that the form leaves out."""
    template: str = "console/records/page.html"
    """Template of the page; one of the package's own extends this one."""
    normalise: Callable[[Mapping[str, Any], Actor], Mapping[str, Any]] | None = None
    """Puts typed values in order before they are checked; raises Invalid or `kernel.writing.WrongValues`."""
    tabs: Sequence[Tab] = ()
    sort: str = ""
    """By what its lists are sorted unless something is chosen; with "-" before it, the greatest first."""
    faces: Mapping[str, Callable[[Any], Face]] = field(default_factory=dict[str, Callable[[Any], Face]])
    """Attribute -> how its values show in lists: states with their colour and icon."""
    filters: Sequence[tuple[Any, str]] = ()
    """Ready filters of its lists: label (translated lazily) and expression."""
    page: Callable[[int], str] | None = None
    """Address of the entity's own page for a row, to which lists then lead; it costs no query."""
