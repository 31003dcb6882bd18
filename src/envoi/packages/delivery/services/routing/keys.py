"""DKIM keys: made here, shown as records to publish, looked for in DNS, then signing, then retired."""

import base64
import logging
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, secrets
from envoi.kernel.errors import Broken, Conflict, Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import DkimKey, SigningAlgorithm
from envoi.packages.delivery.services.routing import masks
from envoi.packages.delivery.services.routing.spf import Look
from envoi.packages.delivery.services.sending import dkim

ENTITY = "nms:dkimKey"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What DNS says of a key: `same`, or what is found instead ("" for nothing)."""

    same: bool
    found: str


def make(domain: str, algorithm: str, *, actor: Actor, selector: str = "") -> DkimKey:
    """Make a key for a domain; it does not sign yet. Without a selector it gets one of its own.

    Raises Invalid, Conflict when the domain has that selector, NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("make DKIM keys"))
    name = masks.domain(domain)
    if algorithm not in SigningAlgorithm.values:
        raise Invalid(_("%(text)r is no algorithm of DKIM keys.") % {"text": algorithm})
    chosen = selector.strip().lower() or _free_selector(name, algorithm)
    pem = dkim.new_key(algorithm)
    key = dkim.read_key(name, chosen, pem)
    with transaction.atomic():
        if DkimKey.objects.filter(domain=name, selector=chosen).exists():
            raise Conflict(
                _("%(domain)s has a key with the selector %(selector)s already.")
                % {"domain": name, "selector": chosen}
            )
        sealed = secrets.encrypt(settings.CONFIG.home, pem.decode("ascii"), purpose=_purpose(name, chosen))
        row = DkimKey.objects.create(
            domain=name,
            selector=chosen,
            algorithm=algorithm,
            private_key=base64.b64encode(sealed).decode("ascii"),
            record="".join(dkim.record(key).strings),
            created_at=clock.now(),
            created_by_id=actor.operator_id or None,
        )
        audit.record(actor, ENTITY, f"{chosen}._domainkey.{name}", audit.CREATED, row.dkim_key_id)
    return row


def record(row: DkimKey) -> dkim.Record:
    """Return the DNS record that has to be published for a key."""
    pieces = tuple(row.record[start : start + 255] for start in range(0, len(row.record), 255))
    return dkim.Record(f"{row.selector}._domainkey.{row.domain}", pieces)


def look_up(row: DkimKey, look: Look) -> Published:
    """Return what DNS says of a key, and keep when it said what it must. Raises UnansweredError."""
    texts = look.texts(record(row).name)
    wanted = _tags(row.record).get("p")
    same = any(_tags(text).get("p") == wanted for text in texts)
    moment = clock.now() if same else None
    if (row.verified_at is None) != (moment is None) or same:
        row.verified_at = moment
        row.save(update_fields=["verified_at"])
    return Published(same, "" if same else " ".join(texts)[:500])


def activate(number: int, *, actor: Actor, unseen: bool = False) -> DkimKey:
    """Let a key sign; others of its domain and algorithm are retired: that is how a key is changed.

    Raises Conflict when DNS was not seen to have its record, unless `unseen` says to sign all the same:
    nobody could check such a signature. Raises NotFound, NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("let a DKIM key sign"))
    with transaction.atomic():
        row = _row(number)
        if row.verified_at is None and not unseen:
            raise Conflict(
                _(
                    "The record of %(name)s was not seen in DNS yet, so nobody could check what it signs. "
                    "Publish it and look it up first."
                )
                % {"name": record(row).name}
            )
        moment = clock.now()
        for other in DkimKey.objects.filter(domain=row.domain, algorithm=row.algorithm, active=True):
            if other.pk != row.pk:
                _set(other, active=False, retired_at=moment, actor=actor)
        _set(row, active=True, retired_at=None, actor=actor)
    return row


def retire(number: int, *, actor: Actor) -> DkimKey:
    """Let a key sign no more. Its record stays in DNS while mail that it signed is on its way: a week."""
    actor.require(Right.ADMINISTRATION, to=_("retire a DKIM key"))
    with transaction.atomic():
        row = _row(number)
        _set(row, active=False, retired_at=clock.now(), actor=actor)
    return row


def delete(number: int, *, actor: Actor) -> None:
    """Delete a key that does not sign. Raises Conflict for one that does."""
    actor.require(Right.ADMINISTRATION, to=_("delete a DKIM key"))
    with transaction.atomic():
        row = _row(number)
        if row.active:
            raise Conflict(_("This key signs. Retire it first."))
        name = record(row).name
        row.delete()
        audit.record(actor, ENTITY, name, audit.DELETED, number)


def signing(home: Path) -> tuple[dkim.Key, ...]:
    """Return the keys that sign. One that cannot be opened is left out, which `unreadable` tells."""
    found: list[dkim.Key] = []
    for row in DkimKey.objects.filter(active=True).order_by("domain", "algorithm"):
        try:
            found.append(_open(home, row.domain, row.selector, row.private_key))
        except (Broken, Invalid) as error:
            logger.error("the key %s does not sign: %s", record(row).name, error)
    return tuple(found)


def unreadable(home: Path) -> list[str]:
    """Return the names of keys that sign, or should, and cannot be opened with the instance's key."""
    found: list[str] = []
    for row in DkimKey.objects.filter(active=True):
        try:
            _open(home, row.domain, row.selector, row.private_key)
        except (Broken, Invalid):
            found.append(record(row).name)
    return found


@lru_cache(maxsize=256)
def _open(home: Path, domain: str, selector: str, sealed: str) -> dkim.Key:
    pem = secrets.decrypt(home, base64.b64decode(sealed), purpose=_purpose(domain, selector))
    return dkim.read_key(domain, selector, pem.encode("ascii"))


def _purpose(domain: str, selector: str) -> str:
    return f"{ENTITY}/{selector}._domainkey.{domain}"


def _free_selector(domain: str, algorithm: str) -> str:
    """Return "r202611" (RSA) or "e202611" (Ed25519), with a letter behind it when there is one already."""
    stem = f"{algorithm[0]}{clock.now():%Y%m}"
    taken = set(DkimKey.objects.filter(domain=domain).values_list("selector", flat=True))
    return next(name for name in (stem, *(f"{stem}{n}" for n in range(2, 1000))) if name not in taken)


def _set(row: DkimKey, *, active: bool, retired_at: datetime | None, actor: Actor) -> None:
    before = row.active
    row.active, row.retired_at = active, retired_at
    row.save(update_fields=["active", "retired_at"])
    detail = {"values": {"active": [before, active]}}
    audit.record(actor, ENTITY, record(row).name, audit.MODIFIED, row.dkim_key_id, detail)


def _row(number: int) -> DkimKey:
    row = DkimKey.objects.select_for_update().filter(pk=number).first()
    if row is None:
        raise NotFound(_("This DKIM key is not there any more."))
    return row


def _tags(text: str) -> dict[str, str]:
    """Return the tags of a record, blanks left out (RFC 6376 §3.2)."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found[name.strip().lower()] = "".join(value.split())
    return found
