"""The suppression list: addresses and e-mail domains that nothing is sent to, whichever profile has them.

Of an address only its digest is kept, so the list may outlive what is known of a person. Checking a
population is one condition of the statement that makes it (`condition`).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Channel, Suppression, SuppressionKind
from envoi.packages.delivery.services import normalise

ENTITY = "nms:suppression"


@dataclass(frozen=True)
class Added:
    """What `add` did. `refused` are texts that are neither an address nor a domain, each with the reason."""

    added: int
    present: int
    refused: tuple[tuple[str, str], ...] = ()


def digest(address: str) -> str:
    """Return the key of a normalised address."""
    return hashlib.sha256(address.encode()).hexdigest()


def condition(expression: str, channel: Channel) -> tuple[str, list[int]]:
    """Return SQL, with its parameters, that holds where the normalised address `expression` is suppressed.

    `expression` is trusted SQL of a text, such as `r.email`. It stands several times in the result.
    """
    sql = f"""(EXISTS (SELECT 1 FROM nms_suppression suppressed WHERE suppressed.kind = 'address'
        AND suppressed.channel = %s
        AND suppressed.key = encode(sha256(convert_to({expression}, 'UTF8')), 'hex'))"""  # noqa: S608 trusted
    if channel is not Channel.EMAIL:
        return f"{sql})", [int(channel)]
    return (
        f"""{sql} OR EXISTS (SELECT 1 FROM nms_suppression suppressed WHERE suppressed.kind = 'domain'
        AND suppressed.channel = %s AND suppressed.key = split_part({expression}, '@', 2)))""",  # noqa: S608 trusted
        [int(channel), int(channel)],
    )


def suppressed(addresses: Iterable[str], *, channel: Channel = Channel.EMAIL) -> set[str]:
    """Return those of these normalised addresses that are on the list."""
    sql, params = condition("asked.address", channel)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT asked.address FROM unnest(%s::text[]) AS asked (address) WHERE {sql}",  # noqa: S608 trusted
            [list(addresses), *params],
        )
        return {address for (address,) in cursor.fetchall()}


def add(texts: Sequence[str], *, actor: Actor, channel: Channel = Channel.EMAIL, reason: str = "") -> Added:
    """Put addresses on the list, and for e-mail domains too ("example.org" or "@example.org").

    What is on it already stays as it is. Raises NotAllowed without PREPARE DELIVERIES.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("put addresses on the suppression list"))
    rows: dict[tuple[str, str], str] = {}
    refused: list[tuple[str, str]] = []
    allowed, region = normalise.characters(actor=actor), normalise.region(actor=actor)
    for text in texts:
        if not text.strip():
            continue
        try:
            kind, key, hint = _read(text, channel, allowed, region)
            rows[kind.value, key] = hint
        except Invalid as refusal:
            refused.append((text.strip(), str(refusal)))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_suppression (kind, key, hint, channel, reason, created_at, created_by_id)
               SELECT kind, key, hint, %s, %s, %s, %s
               FROM unnest(%s::text[], %s::text[], %s::text[]) AS asked (kind, key, hint)
               ON CONFLICT (key, channel, kind) DO NOTHING""",
            [
                int(channel),
                reason[:255],
                clock.now(),
                actor.operator_id or None,
                [kind for kind, _ in rows],
                [key for _, key in rows],
                list(rows.values()),
            ],
        )
        added = cursor.rowcount
        if added:
            audit.record(actor, ENTITY, "", audit.CREATED, None, {"rows": added, "reason": reason[:255]})
    return Added(added, len(rows) - added, tuple(refused))


def remove(suppression_id: int, *, actor: Actor) -> None:
    """Take one entry off the list. Raises NotAllowed without ADMINISTRATION, NotFound."""
    actor.require(Right.ADMINISTRATION, to=_("take an address off the suppression list"))
    with transaction.atomic():
        gone, _each = Suppression.objects.filter(pk=suppression_id).delete()
        if not gone:
            raise NotFound(_("This entry is not on the suppression list any more."))
        audit.record(actor, ENTITY, str(suppression_id), audit.DELETED, suppression_id)


def find(text: str, *, actor: Actor, channel: Channel = Channel.EMAIL) -> list[Suppression]:
    """Return the entries that suppress an address: its own and that of its domain. Raises Invalid."""
    allowed, region = normalise.characters(actor=actor), normalise.region(actor=actor)
    kind, key, _hint = _read(text, channel, allowed, region)
    found = Suppression.objects.filter(channel=channel, kind=kind, key=key)
    if kind is SuppressionKind.ADDRESS and channel is Channel.EMAIL:
        domain = normalise.email(text, allowed).rpartition("@")[2]
        found |= Suppression.objects.filter(channel=channel, kind=SuppressionKind.DOMAIN, key=domain)
    return list(found.order_by("suppression_id"))


def _read(text: str, channel: Channel, allowed: str, region: str) -> tuple[SuppressionKind, str, str]:
    given = text.strip()
    if channel is Channel.EMAIL:
        if "@" in given.removeprefix("@"):
            address = normalise.email(given, allowed)
            local, _at, domain = address.rpartition("@")
            return SuppressionKind.ADDRESS, digest(address), f"{local[:1]}…@{domain}"
        domain = normalise.domain(given)
        return SuppressionKind.DOMAIN, domain, f"@{domain}"
    if channel in (Channel.SMS, Channel.PHONE, Channel.FAX):
        number = normalise.phone(given, region)
        return SuppressionKind.ADDRESS, digest(number), f"{number[:3]}…{number[-2:]}"
    raise Invalid(_("Postal addresses cannot be suppressed: mark the profile instead."))
