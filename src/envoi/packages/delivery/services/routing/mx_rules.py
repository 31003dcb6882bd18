"""MX rules: how fast which mail servers are sent to (delivery.md §3.3). Shipped ones follow the level of
throughput and new versions until somebody changes them.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, options, shipped
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Encryption, MxRule
from envoi.packages.delivery.services.routing import masks
from envoi.packages.delivery.services.sending.smtp import Timeouts, Tls
from envoi.packages.delivery.services.sending.throttle import Rule

ENTITY = "nms:mxRule"
PACKAGE = "delivery"
FILE = Path(__file__).parent.parent.parent / "data" / "mx_rules.tsv"
LEVEL = "NmsMxRules_ThroughputLevel"
_TLS = {
    Encryption.OPPORTUNISTIC: Tls.OPPORTUNISTIC,
    Encryption.NONE: Tls.NONE,
    Encryption.REQUIRED: Tls.REQUIRED,
}
_LIMITS = {
    "connections": (1, 1000),
    "per_connection": (1, 100_000),
    "per_hour": (12, 100_000_000),
    "connect_timeout": (1, 3600),
    "command_timeout": (1, 3600),
    "data_timeout": (1, 3600),
}
_FIELDS = (*_LIMITS, "mask", "public_ids", "shared", "tls", "active")


class Level(StrEnum):
    """How much of their limits the shipped rules use. *Custom* also keeps new versions away."""

    SLOW = "slow"
    NORMAL = "normal"
    FAST = "fast"
    VERY_FAST = "veryFast"
    BOOST = "boost"
    CUSTOM = "custom"


FACTORS = {
    Level.SLOW: 0.5,
    Level.NORMAL: 1.0,
    Level.FAST: 2.0,
    Level.VERY_FAST: 4.0,
    Level.BOOST: 10.0,
    Level.CUSTOM: 1.0,
}


def plant(*, actor: Actor, rows: Sequence[Mapping[str, Any]] | None = None) -> list[str]:
    """Bring the shipped rules up to date; return a line for each that an operator's change kept as it was.

    `rows`: what stands in place of those that this version of the product brings.
    """
    if level(actor=actor) is Level.CUSTOM and MxRule.objects.exists():
        return []
    kept: list[str] = []
    for position, values in enumerate(rows or _shipped(), start=1):
        row = MxRule.objects.filter(shipped=values["name"]).first()
        wanted = {
            "mask": values["mask"],
            "position": position * 10,
            "connections": values["connections"],
            "per_connection": values["per_connection"],
            "per_hour": values["per_hour"],
            "shared": values["shared"],
            "active": True,
        }
        present = None if row is None else {name: getattr(row, name) for name in wanted}
        key = str(values["name"])
        outcome = shipped.settle(ENTITY, key, package=PACKAGE, values=wanted, present=present)
        if outcome in (shipped.Outcome.CREATE, shipped.Outcome.UPDATE):
            fields = {**wanted, "changed": False, "modified_at": clock.now()}
            MxRule.objects.update_or_create(shipped=key, defaults=fields)
        elif outcome is shipped.Outcome.KEPT:
            kept.append(f"{ENTITY} {key}")
    return kept


def level(*, actor: Actor) -> Level:
    """Return the level of throughput."""
    try:
        return Level(str(options.get(LEVEL, actor=actor, default=Level.NORMAL.value)))
    except ValueError:
        return Level.NORMAL


def set_level(text: str, *, actor: Actor) -> None:
    """Choose the level of throughput. Raises Invalid, NotAllowed without ADMINISTRATION."""
    actor.require(Right.ADMINISTRATION, to=_("choose the level of throughput"))
    if text not in {each.value for each in Level}:
        raise Invalid(_("%(text)r is no level of throughput.") % {"text": text})
    options.set(LEVEL, text, actor=actor)


def rules(*, actor: Actor) -> tuple[Rule, ...]:
    """Return the rules that hold, in their order."""
    factor = FACTORS[level(actor=actor)]
    return tuple(_rule(row, factor) for row in MxRule.objects.filter(active=True))


def fitting(host: str, *, actor: Actor) -> tuple[MxRule | None, Rule | None]:
    """Return the first rule that covers a host, as it stands and as it holds; (None, None): no rule does."""
    name = masks.mask(host)
    factor = FACTORS[level(actor=actor)]
    for row in MxRule.objects.filter(active=True):
        rule = _rule(row, factor)
        if rule.fits(name):
            return row, rule
    return None, None


def save(number: int | None, values: Mapping[str, Any], *, actor: Actor) -> MxRule:
    """Change a rule, or make one at the top of the list. `values`: fields of MxRule, texts or numbers.

    Raises Invalid, NotFound, NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("change MX rules"))
    checked = _checked(values)
    with transaction.atomic():
        if number is None:
            if "mask" not in checked:
                raise Invalid(_("A rule needs a mask."))
            first = MxRule.objects.order_by("position").values_list("position", flat=True).first()
            row = MxRule(position=(first if first is not None else 10) - 10)
        else:
            row = _row(number, lock=True)
        before = {name: getattr(row, name) for name in checked}
        if number is not None and before == checked:
            return row
        for name, value in checked.items():
            setattr(row, name, value)
        row.changed = row.shipped is not None
        row.modified_at = clock.now()
        row.save()
        action = audit.CREATED if number is None else audit.MODIFIED
        detail = {name: [before[name], value] for name, value in checked.items() if before[name] != value}
        audit.record(actor, ENTITY, row.mask, action, row.mx_rule_id, {"values": detail})
    return row


def delete(number: int, *, actor: Actor) -> None:
    """Take away a rule; one that is shipped is switched off instead, so that it does not come back."""
    actor.require(Right.ADMINISTRATION, to=_("delete an MX rule"))
    row = _row(number)
    if row.shipped is not None:
        save(number, {"active": False}, actor=actor)
        return
    with transaction.atomic():
        row.delete()
        audit.record(actor, ENTITY, row.mask, audit.DELETED, number)


def move(number: int, *, up: bool, actor: Actor) -> None:
    """Let a rule change places with the one above or below it."""
    actor.require(Right.ADMINISTRATION, to=_("change the order of MX rules"))
    with transaction.atomic():
        rows = list(MxRule.objects.select_for_update())
        place = next((index for index, row in enumerate(rows) if row.mx_rule_id == number), None)
        if place is None:
            raise NotFound(_("This MX rule is not there any more."))
        other = place + (-1 if up else 1)
        if not 0 <= other < len(rows):
            return
        rows[place], rows[other] = rows[other], rows[place]
        for index, row in enumerate(rows, start=1):
            if row.position != index * 10:
                row.position = index * 10
                row.save(update_fields=["position"])
        moved = rows[other]
        moved.changed = moved.shipped is not None
        moved.save(update_fields=["changed"])
        audit.record(
            actor, ENTITY, moved.mask, audit.MODIFIED, number, {"values": {"place": [place + 1, other + 1]}}
        )


def _row(number: int, *, lock: bool = False) -> MxRule:
    rows = MxRule.objects.select_for_update() if lock else MxRule.objects
    row = rows.filter(pk=number).first()
    if row is None:
        raise NotFound(_("This MX rule is not there any more."))
    return row


def _rule(row: MxRule, factor: float) -> Rule:
    times = row.connect_timeout, row.command_timeout, row.data_timeout
    rule = Rule(
        row.mask,
        connections=row.connections,
        messages_per_connection=row.per_connection,
        per_hour=row.per_hour,
        shared=row.shared,
        timeouts=Timeouts(*map(float, times)),
        tls=_TLS[Encryption(row.tls)],
        public_ids=masks.numbers(row.public_ids),
    )
    if row.shipped is None or row.changed or factor == 1.0:
        return rule
    return replace(
        rule,
        connections=max(1, round(rule.connections * factor)),
        per_hour=None if rule.per_hour is None else max(12, round(rule.per_hour * factor)),
    )


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in _FIELDS:
            raise Invalid(f"An MX rule has no {name!r}; it has {', '.join(_FIELDS)}.")
        if name == "mask":
            checked[name] = masks.mask(str(value))
        elif name == "public_ids":
            ranges = masks.numbers(str(value))
            checked[name] = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
        elif name in ("shared", "active"):
            checked[name] = bool(value)
        elif name == "tls":
            checked[name] = _number(name, value, 0, max(Encryption))
        elif name == "per_hour" and str(value if value is not None else "").strip() == "":
            checked[name] = None
        else:
            checked[name] = _number(name, value, *_LIMITS[name])
    return checked


def _number(name: str, value: object, least: int, most: int) -> int:
    text = str(value).strip()
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        said = {"name": _names().get(name, name), "least": least, "most": most}
        raise Invalid(_("“%(name)s” must be a whole number from %(least)s to %(most)s.") % said)
    return int(text)


def _names() -> dict[str, str]:
    return {
        "connections": _("Maximum of connections"),
        "per_connection": _("Messages a connection"),
        "per_hour": _("Messages an hour"),
        "connect_timeout": _("Seconds to connect"),
        "command_timeout": _("Seconds for a reply"),
        "data_timeout": _("Seconds for the message"),
    }


@lru_cache(maxsize=1)
def _shipped() -> list[dict[str, Any]]:
    """The big providers in the order in which their rules are looked at, values of the level *normal*."""
    with FILE.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        {
            "name": row["name"],
            "mask": row["mask"],
            "connections": int(row["connections"]),
            "per_connection": int(row["per_connection"]),
            "per_hour": int(row["per_hour"]),
            "shared": row["shared"] == "1",
        }
        for row in rows
    ]
