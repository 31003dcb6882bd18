"""Questions that delivery asks of others."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from envoi.kernel.hooks import Hook
from envoi.kernel.rights import Actor

recipient_merged: Hook[[int, int], None] = Hook("recipient_merged")
"""`(kept, gone)`: two profiles become one. Who has rows of the one that goes moves them to the one that is
kept, in the transaction of the merge.
"""


@dataclass(frozen=True)
class Event:
    """One line of what there is between us and a person, in a few words of the operator's language."""

    at: datetime
    kind: str
    """One of those that `timeline_kinds` names."""
    icon: str
    tone: str
    """Class of its colour: ok, bad, warn, run, ask, draft."""
    title: str
    text: str = ""
    address: str = ""


timeline: Hook[[int, Actor, int], list[Event]] = Hook("timeline")
"""`(recipient_id, actor, most)`: the latest events of a person that the actor sees, at most so many."""
timeline_kinds: Hook[[], list[tuple[str, Any]]] = Hook("timeline_kinds")
"""Kinds of events with their labels, translated lazily: the chips above the history of a profile."""


@dataclass(frozen=True)
class ChannelKind:
    """A way to reach people. In mode bulk a process of its package sends the parts of its deliveries; in mode
    external a file goes to a provider, whatever the package.
    """

    code: int
    """What deliveries keep as `message_type`."""
    name: str
    """What routing accounts call it."""
    label: Any
    """Translated lazily."""
    template: str
    """Internal name of the template that the product ships for it."""
    address: str
    """What a target mapping calls its address."""
    mode: int
    """How its deliveries are carried out unless something else is said: a `DeliveryMode`."""
    columns: tuple[tuple[str, str], ...]
    """(expression over a person, label) of a file for a provider, unless others are chosen."""


channels: Hook[[], list[ChannelKind]] = Hook("channels")
"""`()`: the channels that a package brings."""
