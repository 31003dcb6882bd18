"""Inputs of a form, typed by their attributes: how a value is written for people, and read back."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.utils import timezone

from envoi.console.records import columns
from envoi.kernel import enumerations, query, registry, writing
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.models.enumeration import EnumType
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.registry import Attribute, Link, Schema, Type, translate
from envoi.kernel.rights import Actor, Right

CHOICES = 200
"""Rows of a link's target, and values of an open list, that are offered by name."""


@dataclass(frozen=True)
class Input:
    """One field of a form. `kind` is text, memo, number, date, moment, truth, choice, open, or shown."""

    name: str
    label: str
    xpath: str
    kind: str
    value: str
    options: Sequence[tuple[str, str]] = ()
    required: bool = False
    longest: int | None = None
    problem: str = ""
    theirs: Any = None
    """What somebody else has put here meanwhile, as it is shown."""
    shown: Any = ""
    address: str = ""
    """Page of what a link leads to."""
    confirm: bool = False
    """A new text may join its list when that is confirmed."""

    @property
    def id(self) -> str:
        """Its id on the page."""
        return "f-" + self.name.replace("/", "-")


def kind_of(schema: Schema, attribute: Attribute) -> str:
    """Return how an attribute is filled in."""
    if attribute.enumeration is not None or columns.link_over(schema, attribute) is not None:
        return "choice"
    if attribute.list_name:
        return "open"
    return {
        Type.BOOLEAN: "truth",
        Type.DATE: "date",
        Type.DATETIME: "moment",
        Type.MEMO: "memo",
        Type.JSON: "memo",
        Type.STRING: "text",
        Type.UUID: "text",
    }.get(attribute.type, "number")


def written(attribute: Attribute, value: Any) -> str:
    """Return a value as an input holds it; times in the zone in use."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, datetime):
        here = value.astimezone(timezone.get_current_timezone()).replace(microsecond=0, tzinfo=None)
        return here.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value).replace("\r\n", "\n")


def mark(attribute: Attribute, stored: Any, text: str) -> list[str]:
    """Return what a form remembers of a value: the digest of what is stored, and of what its input held."""
    with suppress(Invalid):
        stored = writing.typed(attribute, stored)
    return [writing.digest(stored), writing.digest(text)]


def given(text: str) -> str:
    """Return what an input held, as it was sent: browsers send memos with their own ends of lines."""
    return text.replace("\r\n", "\n")


def options_of(
    schema: Schema, attribute: Attribute, actor: Actor, value: str, zone: str
) -> tuple[str, list[tuple[str, str]]]:
    """Return the kind of an attribute's input, and what it offers: (value, label)."""
    kind = kind_of(schema, attribute)
    if attribute.enumeration is not None:
        found = [(str(each.value), translate(each.label)) for each in attribute.enumeration.values]
        return kind, found
    link = columns.link_over(schema, attribute)
    if link is not None:
        return _rows(schema, link, actor, value, zone)
    if kind == "open":
        return _values(attribute, actor)
    return kind, []


def _values(attribute: Attribute, actor: Actor) -> tuple[str, list[tuple[str, str]]]:
    try:
        listed = enumerations.find(attribute.list_name, actor=actor)
        found = enumerations.values(attribute.list_name, actor=actor)[: CHOICES * 5]
    except NotFound:
        return "text", []
    closed = listed.kind is not EnumType.OPEN
    return "choice" if closed else "open", [(each.value, each.label or each.value) for each in found]


def _rows(
    schema: Schema, link: Link, actor: Actor, value: str, zone: str
) -> tuple[str, list[tuple[str, str]]]:
    """Offer the rows that a link may lead to; the number is typed where there are too many to choose from."""
    target = registry.find(link.target)
    if target.reading and not actor.has(Right(target.reading)):
        return "shown", []
    where: tuple[query.Condition, ...] = ()
    if target.folder == () and schema.folder == (link.name,):
        # A row lies in a folder of its own kind; views hold nothing.
        where = (query.Condition(f"@model = '{schema.name}' AND @isView = false"),)
    own = target.attribute_of(target.key[0]) if len(target.key) == 1 else None
    asked = QueryDef(
        target.name,
        select=(Field(own.xpath if own else "@id"), Field(target.text)),
        where=where,
        order_by=(Field(target.text),) if target.text != "@id" else (),
        line_count=CHOICES + 1,
    )
    rows = query.run(asked, actor=actor, zone=zone).rows
    if len(rows) > CHOICES:
        return "number", []
    found = [(str(key), str(text if text not in (None, "") else key)) for key, text in rows]
    if value and value not in {key for key, _ in found}:
        found.insert(0, (value, f"#{value}"))
    return "choice", found


def problems_of(refusal: Exception) -> Mapping[str, str]:
    """Return what a refusal says of each attribute; empty when it is about the whole."""
    return refusal.problems if isinstance(refusal, writing.WrongValues) else {}
