"""How many messages of an analysis each variant has, and which languages have none."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from envoi.engine.population import Population
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import DeliveryMapping, DeliveryRun
from envoi.packages.delivery.services.content import reading, templates
from envoi.packages.delivery.services.content.frozen import builder
from envoi.packages.delivery.services.variants.choosing import chosen
from envoi.packages.delivery.services.variants.definition import Variants

MOST = 10_000
"""Different values of what the language depends on; with more nothing is counted."""


@dataclass
class Counted:
    """Messages by variant (empty: the default), and by language of those who get the default for want of one
    (empty: the reader has none).
    """

    of: Counter[str] = field(default_factory=Counter[str])
    without: Counter[str] = field(default_factory=Counter[str])


def count(
    run: DeliveryRun,
    mapping: DeliveryMapping,
    said: Variants,
    *,
    actor: Actor,
    now: datetime,
    data: Population | None,
) -> Counted | None:
    """Count by one statement; None when the language depends on too much. Raises Invalid, NotAllowed,
    CannotRender.
    """
    paths = templates.fields({"by": said.by})
    found, _missing = reading.prepare(paths, mapping, actor=actor, now=now, data=data)
    groups = reading.grouped(found, run.storage, run.pk, most=MOST)
    if groups is None:
        return None
    by = templates.Templates(
        {"subject": said.by}, language="en", zone="UTC", limit=0, constants={}, functions={}
    )
    build, made = builder(found.columns), Counted()
    for values, quantity in groups:
        spoken = by.render(build(values))["subject"].strip().lower().replace("_", "-")
        variant = chosen(spoken, said.of)
        made.of[variant] += quantity
        if not variant and not (said.language and chosen(spoken, (said.language,))):
            made.without[spoken] += quantity
    return made


def spoken(of: Mapping[str, int], nothing: str) -> str:
    """Return counts in words, the largest first: "de 5, sv 3"; `nothing` stands for no language."""
    ordered = sorted(of.items(), key=lambda each: -each[1])
    return ", ".join(f"{language or nothing} {quantity}" for language, quantity in ordered[:8])
