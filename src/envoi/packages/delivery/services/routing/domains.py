"""Domains that deliveries come From: what DNS must say for their mail to be believed, and what it says.

SPF is looked up for the domain of return addresses, which servers check it by (RFC 7208 §2.4); DMARC for the
From domain and those above it (RFC 7489 §6.6.3, by a walk up the tree instead of a list of suffixes).
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.addresses import Address, is_public
from envoi.kernel.config import Config
from envoi.kernel.errors import NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import CheckState, DkimKey, SendingDomain, SendingIp
from envoi.packages.delivery.services.routing import keys, masks, names, routes, spf
from envoi.packages.delivery.services.routing.spf import Look, Spf, UnansweredError

ENTITY = "nms:sendingDomain"
_HIGHEST = 8
"""Labels that a walk up the tree looks at."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: spf, dkim, dmarc or mx; `code` and `detail` make the text."""

    what: str
    state: CheckState
    code: str
    detail: dict[str, str]


def add(domain: str, *, actor: Actor) -> SendingDomain:
    """Put a domain among those that are looked at; it may be there. Raises Invalid, NotAllowed."""
    actor.require(Right.ADMINISTRATION, to=_("add a sending domain"))
    with transaction.atomic():
        row, made = SendingDomain.objects.get_or_create(
            domain=masks.domain(domain), defaults={"modified_at": clock.now()}
        )
        if made:
            audit.record(actor, ENTITY, row.domain, audit.CREATED, row.sending_domain_id)
    return row


def remove(number: int, *, actor: Actor) -> None:
    """Take a domain off the list; its keys stay. Raises NotFound, NotAllowed without ADMINISTRATION."""
    actor.require(Right.ADMINISTRATION, to=_("remove a sending domain"))
    with transaction.atomic():
        row = SendingDomain.objects.filter(pk=number).first()
        if row is None:
            raise NotFound(_("This sending domain is not there any more."))
        row.delete()
        audit.record(actor, ENTITY, row.domain, audit.DELETED, number)


def check(domain: str, config: Config, *, actor: Actor, look: Look | None = None) -> SendingDomain:
    """Look everything up for a From domain and keep what was found. Takes seconds; never in a transaction.

    Raises Invalid, NotAllowed without ADMINISTRATION.
    """
    row = add(domain, actor=actor)
    look = look or Look()
    bounce = names.bounce_domain(config)
    found = [
        *_guarded("spf", lambda: _spf(look, bounce, config)),
        *_guarded("dkim", lambda: _dkim(look, row.domain)),
        *_guarded("dmarc", lambda: _dmarc(look, row.domain, bounce)),
        *_guarded("mx", lambda: _mx(look, bounce, config)),
    ]
    for what in ("spf", "dkim", "dmarc", "mx"):
        states = [each.state for each in found if each.what == what]
        unknown = CheckState.UNKNOWN in states and max(states) != CheckState.BAD
        setattr(row, what, CheckState.UNKNOWN if unknown else max(states))
    row.findings = [[each.what, int(each.state), each.code, each.detail] for each in found]
    row.checked_at = row.modified_at = clock.now()
    row.save()
    return row


def findings(row: SendingDomain) -> list[Finding]:
    """Return what the last look found, as it was stored."""
    return [
        Finding(what, CheckState(state), code, dict(detail)) for what, state, code, detail in row.findings
    ]


def wanted(domain: str, config: Config) -> list[tuple[str, str, str]]:
    """Return the records to publish beside those of keys: (name, type, value); values are proposals."""
    bounce, own = names.bounce_domain(config), names.helo(config)
    listed = " ".join(f"ip{each.version}:{each}" for each in _own_addresses())
    return [
        (bounce, "MX", f"10 {own}."),
        (bounce, "TXT", f"v=spf1 {listed or f'a:{own}'} -all"),
        (f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"),
    ]


def aligned(one: str, other: str, organisation: str = "") -> bool:
    """Return whether two domains belong together, as relaxed alignment asks (RFC 7489 §3.1)."""
    if one == other or one.endswith(f".{other}") or other.endswith(f".{one}"):
        return True
    return bool(organisation) and all(
        name == organisation or name.endswith(f".{organisation}") for name in (one, other)
    )


def _guarded(what: str, ask: Any) -> list[Finding]:
    try:
        return ask()
    except UnansweredError as error:
        return [Finding(what, CheckState.UNKNOWN, f"{what}.unanswered", {"error": str(error)[:200]})]


def _own_addresses() -> list[Address]:
    rows = SendingIp.objects.filter(active=True).exclude(address="").values_list("address", flat=True)
    return [address for text in rows if is_public(address := ip_address(text))]


def _spf(look: Look, bounce: str, config: Config) -> list[Finding]:
    detail = {"domain": bounce}
    try:
        text = spf.record(look, bounce)
    except ValueError:
        return [Finding("spf", CheckState.BAD, "spf.several", detail)]
    if text is None:
        return [Finding("spf", CheckState.BAD, "spf.none", detail)]
    detail["record"] = text[:500]
    url = routes.relay_url(config)
    host = routes.relay(url).host if url else names.helo(config)
    ours = ([] if url else _own_addresses()) or look.addresses(host)
    detail["host"] = host
    if not ours:
        return [Finding("spf", CheckState.WARNING, "spf.unknown_addresses", detail)]
    results = {str(address): spf.check(look, bounce, address) for address in ours}
    if Spf.ERROR in results.values():
        return [Finding("spf", CheckState.BAD, "spf.error", detail)]
    refused = [address for address, result in results.items() if result is not Spf.PASS]
    if not refused:
        return [Finding("spf", CheckState.GOOD, "spf.good", {**detail, "addresses": ", ".join(results)})]
    detail["addresses"] = ", ".join(refused)
    if url:
        # A relay may send from other addresses than those that it listens on.
        return [Finding("spf", CheckState.WARNING, "spf.relay", detail)]
    return [Finding("spf", CheckState.BAD, "spf.left_out", detail)]


def _dkim(look: Look, domain: str) -> list[Finding]:
    rows = list(DkimKey.objects.filter(domain__in=_upwards(domain)).order_by("domain", "dkim_key_id"))
    found: list[Finding] = []
    for row in rows:
        published = keys.look_up(row, look)
        if not row.active:
            continue
        detail = {"name": keys.record(row).name}
        if published.same:
            found.append(Finding("dkim", CheckState.GOOD, "dkim.good", detail))
        elif published.found:
            found.append(
                Finding("dkim", CheckState.BAD, "dkim.other", {**detail, "found": published.found[:200]})
            )
        else:
            found.append(Finding("dkim", CheckState.BAD, "dkim.missing", detail))
    return found or [Finding("dkim", CheckState.BAD, "dkim.none", {"domain": domain})]


def _dmarc(look: Look, domain: str, bounce: str) -> list[Finding]:
    for name in _upwards(domain):
        answers = look.texts(f"_dmarc.{name}")
        texts = [text for text in answers if text.replace(" ", "").startswith("v=DMARC1")]
        if len(texts) > 1:
            return [Finding("dmarc", CheckState.BAD, "dmarc.several", {"name": f"_dmarc.{name}"})]
        if texts:
            return _policy(domain, name, texts[0], bounce)
    return [Finding("dmarc", CheckState.WARNING, "dmarc.none", {"domain": domain})]


def _policy(domain: str, organisation: str, text: str, bounce: str) -> list[Finding]:
    tags = {
        name.strip().lower(): value.strip().lower()
        for name, _equals, value in (part.partition("=") for part in text.split(";"))
    }
    policy = tags.get("p", "")
    detail = {"name": f"_dmarc.{organisation}", "policy": policy, "record": text[:300], "domain": domain}
    if policy not in ("none", "quarantine", "reject"):
        return [Finding("dmarc", CheckState.BAD, "dmarc.invalid", detail)]
    strict_spf, strict_dkim = tags.get("aspf") == "s", tags.get("adkim") == "s"
    by_spf = bounce == domain if strict_spf else aligned(bounce, domain, organisation)
    by_dkim = any(
        key == domain if strict_dkim else aligned(key, domain, organisation)
        for key in DkimKey.objects.filter(active=True, domain__in=_upwards(domain)).values_list(
            "domain", flat=True
        )
    )
    detail["bounce"] = bounce
    if not by_spf and not by_dkim:
        return [Finding("dmarc", CheckState.BAD, "dmarc.unaligned", detail)]
    if not by_spf:
        return [Finding("dmarc", CheckState.GOOD, "dmarc.by_dkim", detail)]
    return [Finding("dmarc", CheckState.GOOD, "dmarc.good", detail)]


def _mx(look: Look, bounce: str, config: Config) -> list[Finding]:
    servers = [name for name in look.servers(bounce) if name]
    detail = {"domain": bounce, "host": names.helo(config), "servers": ", ".join(servers)[:300]}
    if not servers:
        return [Finding("mx", CheckState.BAD, "mx.none", detail)]
    ours = {*_own_addresses(), *look.addresses(names.helo(config))}
    if names.helo(config) in servers or any(
        address in ours for name in servers[:4] for address in look.addresses(name)
    ):
        return [Finding("mx", CheckState.GOOD, "mx.good", detail)]
    return [Finding("mx", CheckState.WARNING, "mx.elsewhere", detail)]


def _upwards(domain: str) -> list[str]:
    """Return a domain and those above it, but no top level."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)][:_HIGHEST]
