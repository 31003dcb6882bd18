"""Our addresses that mail leaves from: identifiers, affinities, warm-up (delivery.md §2.14)."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from ipaddress import ip_address
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.config import Config
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import SendingIp
from envoi.packages.delivery.services.routing import masks
from envoi.packages.delivery.services.sending.throttle import Source, Throttle

ENTITY = "nms:ip"
_FIELDS = (
    "address", "public_id", "host", "helo", "weight", "affinities", "include_domains", "exclude_domains",
    "warm_up_began", "warm_up_steps", "active",
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """An address and what it may send today; `most` None: as much as it likes."""

    row: SendingIp
    sent: int
    most: int | None
    day: int | None
    """Of the warm-up, from 1; None when there is none or it is over."""


def sources(config: Config, name: str) -> tuple[tuple[frozenset[str], Source], ...]:
    """Return (affinities, source) of each active address of this host, `name` being its own in HELO.

    An instance without addresses has one: the one that the system chooses, with no affinity.
    """
    host = config.worker.host or socket.gethostname()
    rows = list(SendingIp.objects.filter(active=True))
    if not rows:
        return ((frozenset(), Source("", 0, name)),)
    return tuple(
        (
            frozenset(masks.names(row.affinities)),
            Source(
                row.address,
                row.public_id,
                row.helo or name,
                weight=row.weight,
                include=masks.masks(row.include_domains),
                exclude=masks.masks(row.exclude_domains),
                warm_up=masks.warm_up(row.warm_up_began, row.warm_up_steps),
            ),
        )
        for row in rows
        if row.host in ("", host)
    )


def affinities() -> list[str]:
    """Return the names of affinities that any active address has, for lists to choose from."""
    found = {
        name
        for text in SendingIp.objects.filter(active=True).values_list("affinities", flat=True)
        for name in masks.names(text)
    }
    return sorted(found)


def sent_today(today: date) -> dict[int, int]:
    """Return public id -> messages that went out on a day (UTC), by the statistics of senders."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT public_id, sum(sent + failed + deferred) FROM nms_delivery_stat
               WHERE slice >= %s AND slice < %s GROUP BY public_id""",
            [f"{today.isoformat()} 00:00+00", f"{(today + timedelta(days=1)).isoformat()} 00:00+00"],
        )
        return {int(number): int(count) for number, count in cursor.fetchall()}


def count(throttle: Throttle, today: date) -> None:
    """Tell a throttle what addresses that are warmed up have sent today; safe to run again at any time."""
    rows = SendingIp.objects.filter(active=True, warm_up_began__isnull=False)
    if not any(
        (steps := masks.warm_up(row.warm_up_began, row.warm_up_steps)) and steps.most(today) is not None
        for row in rows
    ):
        return
    throttle.went(sent_today(today), today=today)


def standing() -> list[Standing]:
    """Return all addresses with what they sent today and may send."""
    today = clock.now().date()
    sent = sent_today(today)
    found: list[Standing] = []
    for row in SendingIp.objects.all():
        warm_up = masks.warm_up(row.warm_up_began, row.warm_up_steps)
        most = warm_up.most(today) if warm_up else None
        day = (today - warm_up.began).days + 1 if warm_up and most is not None else None
        found.append(Standing(row, sent.get(row.public_id, 0), most, day))
    return found


def save(number: int | None, values: Mapping[str, Any], *, actor: Actor) -> SendingIp:
    """Change an address, or make one. `values`: fields of SendingIp, texts or their own types; an empty
    identifier is the next one, or stays.

    Raises Invalid, Conflict when its identifier is another's, NotFound, NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("change sending addresses"))
    checked = {
        name: _checked(name, value)
        for name, value in values.items()
        if name != "public_id" or str(value).strip()
    }
    with transaction.atomic():
        if number is None:
            if "public_id" not in checked:
                last = SendingIp.objects.order_by("-public_id").values_list("public_id", flat=True).first()
                checked["public_id"] = (last or 0) + 1
            row = SendingIp()
        else:
            row = _row(number)
        others = SendingIp.objects.exclude(pk=row.pk).filter(public_id=checked.get("public_id"))
        if others.exists():
            raise Conflict(
                _("Another address has the identifier %(number)s.") % {"number": checked["public_id"]}
            )
        before = {name: getattr(row, name) for name in checked}
        for name, value in checked.items():
            setattr(row, name, value)
        masks.warm_up(row.warm_up_began, row.warm_up_steps)
        row.modified_at = clock.now()
        row.save()
        changed = {
            name: [_plain(before[name]), _plain(value)]
            for name, value in checked.items()
            if before[name] != value
        }
        action = audit.CREATED if number is None else audit.MODIFIED
        audit.record(actor, ENTITY, row.address or str(row.public_id), action, row.ip_id, {"values": changed})
    return row


def delete(number: int, *, actor: Actor) -> None:
    """Take an address away. Raises NotFound, NotAllowed without ADMINISTRATION."""
    actor.require(Right.ADMINISTRATION, to=_("delete a sending address"))
    with transaction.atomic():
        row = _row(number)
        row.delete()
        audit.record(actor, ENTITY, row.address or str(row.public_id), audit.DELETED, number)


def _row(number: int) -> SendingIp:
    row = SendingIp.objects.select_for_update().filter(pk=number).first()
    if row is None:
        raise NotFound(_("This sending address is not there any more."))
    return row


def _checked(name: str, value: Any) -> Any:
    if name not in _FIELDS:
        raise Invalid(f"A sending address has no {name!r}; it has {', '.join(_FIELDS)}.")
    text = str(value if value is not None else "").strip()
    if name == "active":
        return bool(value)
    if name in ("public_id", "weight"):
        most = 1_000_000 if name == "public_id" else 1000
        if (
            not text.isascii()
            or not text.isdigit()
            or int(text) > most
            or (name == "public_id" and text == "0")
        ):
            raise Invalid(_("%(text)r is not a number that can stand here.") % {"text": text})
        return int(text)
    if name == "address" and text:
        try:
            return str(ip_address(text))
        except ValueError as error:
            raise Invalid(_("%(text)r is no IP address.") % {"text": text}) from error
    if name in ("helo", "host"):
        return masks.mask(text) if text and not set("*?") & set(text) else _name(text)
    if name == "affinities":
        return "; ".join(masks.names(text))
    if name in ("include_domains", "exclude_domains"):
        return ", ".join(masks.masks(text))
    if name == "warm_up_began":
        if isinstance(value, date) or not text:
            return value or None
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise Invalid(_("%(text)r is no day.") % {"text": text}) from error
    return text


def _name(text: str) -> str:
    if text:
        raise Invalid(_("%(text)r is no name of a host.") % {"text": text})
    return ""


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
