"""The eight words of the navigation, in their fixed order; which of them an actor sees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from envoi.kernel.rights import Actor, Right

View = TypeVar("View", bound=Callable[..., Any])


class Word(StrEnum):
    """The eight words. Packages add pages inside them, never a ninth word."""

    HOME = "home"
    CAMPAIGNS = "campaigns"
    DELIVERIES = "deliveries"
    PROFILES = "profiles"
    WORKFLOWS = "workflows"
    REPORTS = "reports"
    MONITORING = "monitoring"
    EXPLORER = "explorer"


LABELS = {
    Word.HOME: _("Home"),
    Word.CAMPAIGNS: _("Campaigns"),
    Word.DELIVERIES: _("Deliveries"),
    Word.PROFILES: _("Profiles"),
    Word.WORKFLOWS: _("Workflows"),
    Word.REPORTS: _("Reports"),
    Word.MONITORING: _("Monitoring"),
    Word.EXPLORER: _("Explorer"),
}
KEYS = {
    Word.HOME: "h",
    Word.CAMPAIGNS: "c",
    Word.DELIVERIES: "d",
    Word.PROFILES: "p",
    Word.WORKFLOWS: "w",
    Word.REPORTS: "r",
    Word.MONITORING: "m",
    Word.EXPLORER: "e",
}


@dataclass(frozen=True)
class Entry:
    """A page under one of the words. The first one that an actor may see is the word's own page."""

    word: Word
    label: Any
    """Translated lazily."""
    view: str
    """Name of the address, `campaign:list`."""
    rights: frozenset[Right] = field(default_factory=frozenset)
    """One of these is needed; empty means every operator."""
    position: int = 50

    def visible_to(self, actor: Actor) -> bool:
        """Return whether the actor may open the page."""
        return not self.rights or any(actor.has(right) for right in self.rights)


ADMINISTRATION = frozenset({Right.ADMINISTRATION})
SHELL = (
    Entry(Word.HOME, _("Home"), "console:home", position=0),
    Entry(Word.HOME, _("Decisions"), "console:decisions", position=10),
    Entry(Word.WORKFLOWS, _("Workflows"), "console:workflows", frozenset({Right.WORKFLOW}), position=0),
    Entry(Word.MONITORING, _("Monitoring"), "console:monitoring", frozenset({Right.WORKFLOW}), position=0),
    Entry(Word.MONITORING, _("Own indicators"), "console:indicators", ADMINISTRATION, position=80),
    Entry(Word.MONITORING, _("System mail"), "console:system-mail", ADMINISTRATION, position=81),
    Entry(Word.EXPLORER, _("Explorer"), "console:explorer", position=0),
    Entry(Word.EXPLORER, _("Query a schema"), "console:data-query", position=10),
    Entry(Word.EXPLORER, _("Options"), "console:options", ADMINISTRATION, position=60),
    Entry(Word.EXPLORER, _("Operators"), "console:operators", ADMINISTRATION, position=61),
    Entry(Word.EXPLORER, _("Audit trail"), "console:audit", ADMINISTRATION, position=62),
    Entry(Word.EXPLORER, _("Enumerations"), "console:enumerations", ADMINISTRATION, position=63),
    Entry(Word.EXPLORER, _("Data schemas"), "console:schemas", ADMINISTRATION, position=65),
    Entry(Word.EXPLORER, _("External accounts"), "console:external-accounts", ADMINISTRATION, position=64),
)


@dataclass(frozen=True)
class Link:
    """One word as a page shows it."""

    label: Any
    address: str
    key: str
    current: bool


def entries(actor: Actor) -> Iterator[Entry]:
    """Yield the pages that the actor may open, the shell's and those of packages, in their order."""
    from envoi.console.hooks import pages

    found = [*SHELL, *(entry for answer in pages.ask() for entry in answer.entries)]
    order = list(Word)
    for entry in sorted(found, key=lambda entry: (order.index(entry.word), entry.position)):
        if entry.visible_to(actor):
            yield entry


def words(actor: Actor, current: str) -> list[Link]:
    """Return the words that the actor sees; a word under which nothing stands for this actor is absent."""
    first: dict[Word, Entry] = {}
    for entry in entries(actor):
        first.setdefault(entry.word, entry)
    links: list[Link] = []
    for word, entry in first.items():
        try:
            address = reverse(entry.view)
        except NoReverseMatch:
            continue
        links.append(Link(LABELS[word], address, KEYS[word], word == current))
    return links


def pages_of(actor: Actor, word: str, here: str) -> list[Link]:
    """Return the pages under a word, for the row below the words; empty when the word has but one page.

    `here` is the address of the present page. The explorer has its tree instead.
    """
    found = [entry for entry in entries(actor) if entry.word == word and word != Word.EXPLORER]
    addresses = [reverse(entry.view) for entry in found]
    return [
        Link(entry.label, address, "", address == here)
        for entry, address in zip(found, addresses, strict=True)
        if len(found) > 1
    ]


def under(word: Word) -> Callable[[View], View]:
    """Mark a view as standing under one of the words, which its page then shows as the current one."""

    def mark(view: View) -> View:
        view.word = word.value  # pyright: ignore[reportFunctionMemberAccess]
        return view

    return mark
