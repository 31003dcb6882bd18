"""A message as one reader would get it, before anything is analysed (delivery.md §2.9, case D13)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings as django_settings

from envoi.engine import access, population
from envoi.engine.population import Population
from envoi.kernel import clock, query, registry
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import Kind
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Channel, Delivery, SeedMember
from envoi.packages.delivery.services import file_target, routing, variants
from envoi.packages.delivery.services.content import (
    blocks,
    freezing,
    loops,
    reading,
    seeds,
    settings,
    templates,
    tracking,
)
from envoi.packages.delivery.services.content.addresses import PAGES, Addresses
from envoi.packages.delivery.services.content.frozen import builder
from envoi.packages.delivery.services.deliveries import sending, targeting

_SUGGESTED = 8
_SCHEME = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)", re.I)
_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style\s*>)", re.S | re.I)
_MEDIA = re.compile(r"(<style\b[^>]*\bmedia\s*=\s*[\"'])([^\"']*)", re.I)
_INVERTED = (
    "<style>html{filter:invert(1) hue-rotate(180deg);background:#fff}"
    "img,video,[background]{filter:invert(1) hue-rotate(180deg)}</style>"
)


@dataclass(frozen=True)
class Reader:
    """Somebody whose message is shown: a row of the dimension, or a seed."""

    address: str
    name: str = ""
    target_id: int | None = None
    seed_id: int | None = None


@dataclass(frozen=True)
class Preview:
    """A message with its links as they are written; `size` is that of its HTML in bytes."""

    parts: Mapping[str, str]
    reader: Reader | None
    size: int
    variant: str = ""
    """The language of the variant that is shown; empty: the default."""


def preview(
    delivery: Delivery,
    *,
    actor: Actor,
    reader: Reader | None = None,
    most: float = 0,
    chosen: bool = True,
) -> Preview:
    """Return the message that a reader would get, with the rights of the actor.

    The delivery need not be saved: what it holds is shown. Without a reader all fields are empty. `most`
    seconds bound the limit of the delivery, for what nobody has asked for. Unless the object holds a variant,
    or `chosen` is false, the variant is that of the reader. Raises
    Invalid for a template or a field that is wrong, NotAllowed, CannotRender, TooLong.
    """
    said, spoken = settings.read(delivery.content), variants.read(delivery.variants)
    sources = freezing.expanded(delivery, said)
    by = spoken.by if spoken.of and chosen and not delivery.variant and reader is not None else ""
    if by:
        sources |= blocks.expanded(variants.parts(delivery))
    paths = templates.fields(sources | {"by": by})
    found, _missing = reading.prepare(
        paths,
        delivery.mapping,
        actor=actor,
        now=clock.now(),
        data=data(delivery, actor),
        loops=loops.of(sources),
    )
    config, limit = django_settings.ENVOI.config, sending.read(delivery.sending).personalisation
    shown = Addresses(delivery.pk or 0, (), {}, None)
    shown.of(0, routing.identity(config).unsubscribe_address(0, 0))
    values = {
        **builder(found.columns)(_values(found, delivery, reader, actor)),
        "message": {
            "id": "0",
            "broadLogId": 0,
            "deliveryId": delivery.pk,
            "address": reader.address if reader else "",
            # What a reader has a page for is shown, though it leads nowhere yet.
            **{page: shown.page(page) or ("#" if config.tracking.url else "") for page in PAGES},
        },
    }
    make = partial(
        templates.Templates,
        zone=config.instance.timezone,
        limit=templates.bounded(limit, most),
        constants=freezing.constants(delivery),
        functions=shown.functions(),
    )
    usual, variant = said.language or spoken.language or config.instance.language, delivery.variant
    if by:
        choice = variants.Choice(make({"subject": by}, language=usual), spoken.of)
        variant = choice.language(values)
        sources = variants.sources(sources, variant)
    made = make(tracking.own_pages(sources), language=variant or usual).render(values)
    return Preview(made, reader, len(made["html"].encode()), variant)


def knows_dark(html: str) -> bool:
    """Return whether a message has styles of its own for the dark."""
    return any(found[1].lower() == "dark" for found in _SCHEME.finditer(html))


def in_scheme(html: str, *, dark: bool) -> str:
    """Return a message as a reader's program shows it in the light or in the dark, whatever the scheme of
    whoever looks at the preview. One without styles for the dark gets its colours inverted, as many programs
    do.
    """

    def chosen(found: re.Match[str]) -> str:
        # Both are conditions that are always there, in place of one that this browser would answer.
        return "(min-width:0)" if (found[1].lower() == "dark") is dark else "(max-width:0)"

    seen = _STYLE.sub(lambda each: each[1] + _SCHEME.sub(chosen, each[2]) + each[3], html)
    seen = _MEDIA.sub(lambda each: each[1] + _SCHEME.sub(chosen, each[2]), seen)
    return seen + _INVERTED if dark and not knows_dark(html) else seen


def readers(delivery: Delivery, *, actor: Actor) -> list[Reader]:
    """Return some of those whom the delivery is for, and its seeds."""
    found = _people(delivery, actor, targeting.read(delivery.targeting, proof=delivery.fcp).where or ())
    with_seeds = SeedMember.objects.filter(active=True).exclude(email="").order_by("label")[:_SUGGESTED]
    schema = registry.fresh()[seeds.SCHEMA]
    visible = (
        query.run(
            QueryDef(
                schema.name,
                select=(Field("@id"),),
                where=tuple(Condition(f"@id = {each.pk}", operator="OR") for each in with_seeds),
            ),
            actor=actor,
        ).rows
        if with_seeds
        else []
    )
    known = {int(row[0]) for row in visible}
    return [
        *found,
        *(
            Reader(each.email, each.label or each.first_name, None, each.pk)
            for each in with_seeds
            if each.pk in known
        ),
    ]


def find(delivery: Delivery, who: str, *, actor: Actor) -> Reader | None:
    """Return who has an address, of those whom the delivery is for or of all; the first one for nothing."""
    suggested = readers(delivery, actor=actor)
    wanted = who.strip().lower()
    if not wanted:
        return next(iter(suggested), None)
    for each in suggested:
        if each.address.lower() == wanted:
            return each
    address = _address(delivery, actor)
    if not address:
        return None
    text = "'" + wanted.replace("'", "''") + "'"
    return next(iter(_people(delivery, actor, (Condition(f"{address} = {text}"),))), None)


def _people(delivery: Delivery, actor: Actor, where: tuple[Condition, ...]) -> list[Reader]:
    mapping, address = delivery.mapping, _address(delivery, actor)
    lines = data(delivery, actor) if file_target.concerns(mapping) else None
    if lines is not None and address:
        rows = query.run(
            QueryDef(
                lines.schema,
                select=(Field("@id"), Field(address)),
                where=(*where, Condition(f"{address} <> ''")),
                line_count=_SUGGESTED,
            ),
            actor=actor,
            within=population.registry([lines]),
        ).rows
        return [Reader(str(row[1]), "", int(row[0])) for row in rows]
    person = reading.person_schema(mapping)
    if not address or person is None:
        return []
    name = "@fullName" if "fullName" in person.attributes else ""
    steps = mapping.recipient_path
    selected = [Field("@id"), Field(address)]
    if name:
        selected.append(Field(f"[{steps}/{name}]" if steps else name))
    rows = query.run(
        QueryDef(
            mapping.schema,
            select=tuple(selected),
            where=(*where, Condition(f"{address} <> ''")),
            line_count=_SUGGESTED,
        ),
        actor=actor,
    ).rows
    return [Reader(str(row[1]), str(row[2] or "") if name else "", int(row[0])) for row in rows]


def _address(delivery: Delivery, actor: Actor) -> str:
    kind = {Channel.EMAIL: "email", Channel.SMS: "mobile"}.get(Channel(delivery.message_type), "")
    if kind and file_target.concerns(delivery.mapping):
        lines = data(delivery, actor)
        try:
            return f"[@{file_target.column(delivery, lines, kind).attribute}]" if lines else ""
        except Invalid:
            return ""  # told by the analysis
    return str(delivery.mapping.addresses.get(kind, ""))


def _values(
    found: reading.Statement, delivery: Delivery, reader: Reader | None, actor: Actor
) -> tuple[Any, ...]:
    if reader is None:
        return tuple("" if each.kind == Kind.TEXT.name else None for each in found.columns)
    target = reader.target_id
    if reader.seed_id is not None:
        lender = next((each for each in readers(delivery, actor=actor) if each.target_id is not None), None)
        target = lender.target_id if lender else None
    row = reading.sample(found, target or 0, reader.address)[len(reading.OWN) :]
    if reader.seed_id is None:
        return row
    own = seeds.own_data([reader.seed_id], delivery.mapping, found, actor=actor).get(reader.seed_id, {})
    return tuple(own[i] if own.get(i) not in (None, "") else value for i, value in enumerate(row))


def data(delivery: Delivery, actor: Actor) -> Population | None:
    """Return the data of the workflow that the delivery gets, as far as they are there and the actor may see
    them.
    """
    table = file_target.table_of(delivery)
    stored = population.stored(table) if table else None
    if stored is None or not access.visible(actor).filter(pk=stored[1]).exists():
        return None
    return stored[0]
