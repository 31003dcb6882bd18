"""People told apart from machines (delivery.md §4.7, ADR 0030).

What a program calls itself and the networks of security gateways are rules, rows that follow the product's
versions until somebody changes them. How a message was hit (before it was accepted, several links within
seconds, a link that nobody sees) is looked at by `consuming`.
"""

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final

from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, shipped
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Automatic, RuleKind, TrackingRule

DATA: Final = Path(__file__).parents[2] / "data" / "tracking_rules.tsv"
VERSION: Final = "2026-11"
"""Of the shipped list."""
PACKAGE: Final = "delivery"
ENTITY: Final = "nms:trackingRule"
COUNTED: Final = "automatic <= 0 AND (flags & 3) = 0"
"""Condition on a row of a tracking log: it counts in the indicators. A reader did it, or a proxy loaded an
open, and the message went neither to a seed address nor to a control one.
"""
BURST_LINKS: Final = 3
"""So many different links of one message within `BURST_SECONDS` were followed by no reader."""
BURST_SECONDS: Final = 5
HIDDEN: Final = "hidden"
"""Category of a link that no reader sees: only machines follow it."""


@dataclass(frozen=True)
class Rules:
    """The rules in use."""

    agents: tuple[tuple[re.Pattern[str], Automatic], ...]
    """In the order in which they are tried."""
    networks: tuple[str, ...]
    """Sorted as PostgreSQL sorts them, none inside of another."""

    @cached_property
    def digest(self) -> str:
        """Changes with what the rules say of a program's name."""
        said = "\n".join(f"{pattern.pattern}\t{int(reason)}" for pattern, reason in self.agents)
        return hashlib.sha256(said.encode()).hexdigest()[:32]

    def of(self, agent: str) -> Automatic:
        """Return who a program is, by what it calls itself."""
        return next((reason for pattern, reason in self.agents if pattern.search(agent)), Automatic.READER)


def load() -> Rules:
    """Return the rules in use; one that cannot be read is left out."""
    agents: list[tuple[re.Pattern[str], Automatic]] = []
    networks: list[IPv4Network | IPv6Network] = []
    for rule in TrackingRule.objects.filter(active=True).order_by("tracking_rule_id"):
        try:
            if rule.kind == int(RuleKind.AGENT):
                agents.append((re.compile(rule.value, re.I), Automatic(rule.automatic)))
            else:
                networks.append(ip_network(rule.value.strip()))
        except (ValueError, re.error):
            continue
    return Rules(tuple(agents), tuple(str(each) for each in _outermost(networks)))


def check(kind: int, value: str) -> None:
    """Raise Invalid unless a value is one of its kind."""
    try:
        if kind == int(RuleKind.AGENT):
            re.compile(value)
        else:
            ip_network(value.strip())
    except (re.error, ValueError) as error:
        raise Invalid(_("%(value)s: %(error)s.") % {"value": value, "error": error}) from error


def plant() -> list[str]:
    """Bring the shipped rules up to date; return a line for each that an operator's change kept as it was."""
    kept: list[str] = []
    with DATA.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    for line in rows:
        wanted = {
            "label": line["label"],
            "kind": int(RuleKind[line["kind"].upper()]),
            "value": line["value"],
            "automatic": int(Automatic[line["made_by"].upper()]),
            "active": True,
        }
        row = TrackingRule.objects.filter(name=line["name"]).first()
        present = None if row is None else {name: getattr(row, name) for name in wanted}
        outcome = shipped.settle(ENTITY, line["name"], package=PACKAGE, values=wanted, present=present)
        if outcome in (shipped.Outcome.CREATE, shipped.Outcome.UPDATE):
            fields = {
                **wanted,
                "version": VERSION,
                "built_in": True,
                "package": PACKAGE,
                "modified_at": clock.now(),
            }
            TrackingRule.objects.update_or_create(name=line["name"], defaults=fields)
        elif outcome is shipped.Outcome.KEPT:
            kept.append(f"{ENTITY} {line['name']}")
    return kept


def create(values: Mapping[str, Any], *, actor: Actor) -> TrackingRule:
    """Make a rule of `name`, `label`, `kind`, `value`, `automatic`.

    Raises NotAllowed without ADMINISTRATION, Invalid for a value that is none of its kind, Conflict for a
    name that is taken.
    """
    actor.require(Right.ADMINISTRATION, to=_("change the rules for automatic hits"))
    given = {"kind": int(RuleKind.AGENT), "automatic": int(Automatic.ROBOT), **values}
    name = str(given.get("name") or "")
    check(int(given["kind"]), str(given.get("value") or ""))
    if not name:
        raise Invalid(_("The rule has no name: give it one."))
    if TrackingRule.objects.filter(name=name).exists():
        raise Conflict(_("There is a rule %(name)s already.") % {"name": name})
    made = TrackingRule.objects.create(**{"label": name, **given}, modified_at=clock.now())
    audit.record(actor, ENTITY, name, audit.CREATED, made.pk)
    return made


def change(rule: TrackingRule, values: Mapping[str, Any], *, actor: Actor) -> None:
    """Change `label`, `value`, `automatic` or `active` of a rule. What programs call themselves is looked at
    anew with their next hit. Raises as `create`.
    """
    actor.require(Right.ADMINISTRATION, to=_("change the rules for automatic hits"))
    check(rule.kind, str(values.get("value", rule.value)))
    TrackingRule.objects.filter(pk=rule.pk).update(**values, modified_at=clock.now())
    audit.record(actor, ENTITY, rule.name, audit.MODIFIED, rule.pk)


def delete(key: int, *, actor: Actor) -> None:
    """Delete a rule of one's own. Raises NotAllowed, Conflict for a shipped one: it can be put out of use."""
    actor.require(Right.ADMINISTRATION, to=_("change the rules for automatic hits"))
    rule = TrackingRule.objects.filter(pk=key).first()
    if rule is None:
        return
    if rule.built_in:
        raise Conflict(
            _("%(name)s belongs to the product: put it out of use instead.") % {"name": rule.label}
        )
    audit.record(actor, ENTITY, rule.name, audit.DELETED, rule.pk)
    rule.delete()


def _outermost(networks: Sequence[IPv4Network | IPv6Network]) -> list[IPv4Network | IPv6Network]:
    """Return networks in order, without those that lie in another."""
    found: list[IPv4Network | IPv6Network] = []
    for each in sorted(networks, key=lambda one: (one.version, int(one.network_address), one.prefixlen)):
        if found and found[-1].version == each.version and each.network_address in found[-1]:
            continue
        found.append(each)
    return found
