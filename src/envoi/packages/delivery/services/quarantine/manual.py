"""What operators do with addresses: back to valid, denied, allowed; one or many that a filter chooses.

In the caller's transaction, one statement however many there are, with a line in the audit trail.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Address, AddressStatus, Channel
from envoi.packages.delivery.services import normalise

ENTITY = "nms:address"
SETTABLE = (
    AddressStatus.VALID, AddressStatus.QUARANTINE, AddressStatus.DENYLISTED, AddressStatus.ALLOWLISTED,
)  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """Which addresses: those that fulfil everything that is given. Texts are parts, in any case.

    `since` and `until` bound the time of the last change, as after an outage of a provider.
    """

    ids: tuple[int, ...] | None = None
    status: int | None = None
    channel: int | None = None
    reason: int | None = None
    address: str = ""
    text: str = ""
    domain: str = ""
    delivery_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def bounded(self) -> bool:
        """Whether it is less than everything."""
        return self != Chosen()


def find(chosen: Chosen) -> QuerySet[Address]:
    """Return the chosen addresses, the latest change first."""
    found = Q()
    if chosen.ids is not None:
        found &= Q(pk__in=chosen.ids)
    for name, value in (
        ("status", chosen.status),
        ("type", chosen.channel),
        ("error_reason", chosen.reason),
        ("delivery_id", chosen.delivery_id),
        ("modified_at__gte", chosen.since),
        ("modified_at__lt", chosen.until),
    ):
        if value is not None:
            found &= Q(**{name: value})
    if chosen.address:
        found &= Q(address__icontains=chosen.address.strip())
    if chosen.text:
        found &= Q(error_text__icontains=chosen.text)
    if chosen.domain:
        found &= Q(domain=chosen.domain.strip().removeprefix("@").lower())
    return Address.objects.filter(found).select_related("delivery").order_by("-modified_at", "-pk")


def set_status(chosen: Chosen, status: AddressStatus, *, actor: Actor) -> int:
    """Give the chosen addresses a status; return how many had another.

    A valid one begins anew: its errors are forgotten. Raises NotAllowed without PREPARE DELIVERIES, and
    without ADMINISTRATION where a complaint would be overruled or all errors of an address ignored; Invalid
    without any condition, or for a status that only errors lead to.
    """
    _require(actor, status)
    if not chosen.bounded:
        raise Invalid(_("Say which addresses: all of them at once are never meant."))
    found = find(chosen).exclude(status=status)
    if not actor.is_administrator and found.filter(status=AddressStatus.DENYLISTED).exists():
        if chosen.ids is not None or chosen.status == int(AddressStatus.DENYLISTED):
            actor.require(Right.ADMINISTRATION, to=_("overrule a complaint"))
        found = found.exclude(status=AddressStatus.DENYLISTED)
    values: dict[str, Any] = {"status": status, "modified_at": clock.now()}
    if status is AddressStatus.VALID:
        values |= {"error_count": 0, "last_significant_error": None}
    # The filter may look at what is changed: the rows are found once.
    changed = Address.objects.filter(pk__in=list(found.order_by("address").values_list("pk", flat=True)))
    count = changed.update(**values)
    if count:
        said = {name: str(value)[:200] for name, value in asdict(chosen).items() if value not in (None, "")}
        audit.record(actor, ENTITY, "", audit.MODIFIED, None, {"rows": count, "status": int(status), **said})
    return count


def put(text: str, channel: Channel, status: AddressStatus, *, actor: Actor) -> Address:
    """Give one address a status, known or not. Raises NotAllowed as `set_status` does, Invalid."""
    _require(actor, status)
    if channel is Channel.EMAIL:
        address = normalise.email(text, normalise.characters(actor=actor))
    elif channel in (Channel.SMS, Channel.PHONE, Channel.FAX):
        address = normalise.phone(text, normalise.region(actor=actor))
    else:
        raise Invalid(_("Postal addresses have no quarantine: mark the profile instead."))
    if not address:
        raise Invalid(_("An address is missing."))
    now = clock.now()
    row, made = Address.objects.get_or_create(
        address=address, type=channel, defaults={"status": status, "created_at": now, "modified_at": now}
    )
    if made:
        audit.record(actor, ENTITY, address, audit.CREATED, row.pk, {"status": int(status)})
    else:
        set_status(replace(Chosen(), ids=(row.pk,)), status, actor=actor)
        row.refresh_from_db()
    return row


def get(address_id: int) -> Address:
    """Return one. Raises NotFound."""
    found = Address.objects.filter(pk=address_id).select_related("delivery").first()
    if found is None:
        raise NotFound(_("This address is not kept any more."))
    return found


def _require(actor: Actor, status: AddressStatus) -> None:
    if status not in SETTABLE:
        raise Invalid(_("An address gets this status by its errors only."))
    actor.require(Right.PREPARE_DELIVERIES, to=_("change the status of addresses"))
    if status is AddressStatus.ALLOWLISTED:
        actor.require(Right.ADMINISTRATION, to=_("let all errors of an address be ignored"))
