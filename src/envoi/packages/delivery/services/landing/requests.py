"""What somebody asks for in the name of an address, until the mailbox itself confirms it (double opt-in).

To subscribe, to change an address, to pass a message on. Nobody learns from an answer who is known to us:
whatever the address, the same happens on the page. Limits are counted on the requests themselves, which go
when they are over.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _
from django.utils.translation import override

from envoi.kernel import enumerations, folders, mail
from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    Channel,
    ConsentAction,
    Delivery,
    ReaderRequest,
    Recipient,
    RequestKind,
    Service,
    ServiceMode,
    ServiceType,
    SubOrigin,
    Visitor,
    VisitorOrigin,
)
from envoi.packages.delivery.services import consents, normalise, subscriptions, suppression
from envoi.packages.delivery.services.chosen import ids
from envoi.packages.delivery.services.landing import people, signed, wording
from envoi.packages.delivery.services.landing.messages import Message

VALID = timedelta(days=7)
PURPOSE = "marketing"
"""Of the enumeration `consentPurpose`: what a subscription is consented to for."""
A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
PER_ADDRESS, PER_SOURCE, PER_MESSAGE = 3, 20, 5
"""Mails that an address is sent in a day; requests of a network address in an hour; friends of a message."""
_ORIGIN = "form"


@dataclass(frozen=True)
class Asked:
    """A request as a form gives it. `language` is that of the page."""

    email: str
    language: str
    first_name: str = ""
    last_name: str = ""
    consent: str = ""
    """The sentence that was agreed to."""
    source_address: str = ""


class TooMany(Conflict):
    """One network address asks for too much."""


def open_service(name: str) -> Service | None:
    """Return a service by its internal name, if readers may find it."""
    return Service.objects.filter(name=name, public=True, type=ServiceType.EMAIL).first()


def open_services() -> list[Service]:
    """Return what readers can subscribe to."""
    return list(Service.objects.filter(public=True, type=ServiceType.EMAIL).order_by("label", "service_id"))


def subscribe(service: Service, asked: Asked, *, now: datetime, by: Message | None = None) -> None:
    """Send somebody a mail by which the subscription is confirmed, in the caller's transaction.

    `by`: the message whose link led here; whoever else subscribes by it is kept as brought by its reader.
    Raises Invalid for what is no address or lacks consent, TooMany.
    """
    if not asked.consent.strip():
        raise Invalid(_("Please agree first."))
    made = _make(RequestKind.SUBSCRIBE, asked, now=now, service=service)
    if made is None:
        return
    if by is not None and not by.is_test and by.address != made.email:
        _brought(made, by, now)
    with override(people.language(made.language)):
        _mail(
            made,
            _("Confirm your subscription to %(service)s") % {"service": service.label},
            _("Somebody, hopefully you, wants to get “%(service)s” of %(sender)s at this address.")
            % {"service": service.label, "sender": wording.sender()},
            _("If it was you, confirm here:"),
        )


def change_address(recipient: Recipient, asked: Asked, *, now: datetime) -> None:
    """Send a mail to a new address by which it becomes that of a profile. Raises Invalid, TooMany."""
    made = _make(RequestKind.ADDRESS, asked, now=now, recipient_id=recipient.pk)
    if made is None:
        return
    with override(people.language(made.language)):
        _mail(
            made,
            _("Confirm your new address"),
            _("You want to get the messages of %(sender)s at this address from now on.")
            % {"sender": wording.sender()},
            _("If it was you, confirm here:"),
        )


def pass_on(message: Message, asked: Asked, page: str, *, now: datetime) -> bool:
    """Send a friend the address of a message's page, once, and an invitation; in the caller's transaction.

    False when the message was passed on as often as it may be. Raises Invalid, TooMany.
    """
    friends = ReaderRequest.objects.filter(kind=RequestKind.FRIEND, broad_log_id=message.id)
    if friends.count() >= PER_MESSAGE:
        return False
    email = _address(asked.email)
    if friends.filter(email=email).exists():
        return True
    service = _newsletter(message)
    made = _make(RequestKind.FRIEND, asked, now=now, service=service, broad_log_id=message.id)
    if made is None:
        return True
    _brought(made, message, now)
    Delivery.objects.filter(pk=message.delivery.pk).update(passed_on=F("passed_on") + 1)
    with override(people.language(made.language)):
        name = _spoken(message.recipient_id)
        who = name or _("A friend")
        _mail(
            made,
            _("%(name)s recommends a message of %(sender)s") % {"name": who, "sender": wording.sender()},
            _("%(name)s thinks that this is of interest to you:\n\n%(page)s") % {"name": who, "page": page},
            _("To get such messages yourself, confirm here:"),
        )
    return True


def find(number: int, *, now: datetime) -> ReaderRequest | None:
    """Return a request that can still be confirmed, or was."""
    found = ReaderRequest.objects.filter(pk=number, expires_at__gt=now)
    return found.select_related("service", "visitor").first()


def confirm(request: ReaderRequest, *, now: datetime, source_address: str = "") -> int:
    """Do what was asked for, in the caller's transaction; once. Returns the profile that it is about."""
    with transaction.atomic():
        held = ReaderRequest.objects.select_for_update().select_related(None).get(pk=request.pk)
        if held.done_at is not None:
            return held.recipient_id
        if RequestKind(held.kind) is RequestKind.ADDRESS:
            _move(held, now)
            recipient = held.recipient_id
        else:
            recipient = _profile(held, now)
            _welcome(held, recipient, source_address, now)
            if held.visitor_id is not None:
                Delivery.objects.filter(pk=held.delivery_id).update(new_contacts=F("new_contacts") + 1)
        ReaderRequest.objects.filter(pk=held.pk).update(done_at=now, recipient=recipient)
        return recipient


def purge(*, now: datetime, limit: int = 5_000) -> int:
    """Delete requests that are over, with the friends who did not answer; returns how many.

    For the nightly cleanup, which calls it until it returns 0.
    """
    with transaction.atomic():
        over = list(
            ReaderRequest.objects.filter(expires_at__lte=now)
            .order_by("expires_at")
            .values_list("pk", "visitor_id", "done_at")[:limit]
        )
        ReaderRequest.objects.filter(pk__in=[pk for pk, _visitor, _done in over]).delete()
        alone = {visitor for _pk, visitor, done in over if visitor and done is None}
        still = ReaderRequest.objects.filter(visitor_id__in=alone).values_list("visitor_id", flat=True)
        Visitor.objects.filter(
            pk__in=alone - set(still), recipient_id=0, origin=VisitorOrigin.REFERRAL
        ).delete()
        return len(over)


# --- asking


def _make(
    kind: RequestKind,
    asked: Asked,
    *,
    now: datetime,
    service: Service | None = None,
    recipient_id: int = 0,
    broad_log_id: int = 0,
) -> ReaderRequest | None:
    """Write a request down; None when its address was sent enough mails today, or is not to be written to."""
    email = _address(asked.email)
    if not email:
        raise Invalid(_("Please give an e-mail address."))
    source = _network(asked.source_address)
    before = ReaderRequest.objects.filter(source_address__startswith=source, created_at__gt=now - AN_HOUR)
    if source and before.count() >= PER_SOURCE:
        raise TooMany(_("There were too many requests from here. Please try again in an hour."))
    sent = ReaderRequest.objects.filter(email=email, created_at__gt=now - A_DAY).count()
    made = ReaderRequest.objects.create(
        kind=kind,
        email=email,
        first_name=asked.first_name.strip()[:64],
        last_name=asked.last_name.strip()[:64],
        language=asked.language,
        service=service,
        recipient_id=recipient_id,
        purpose=PURPOSE,
        consent=asked.consent.strip(),
        broad_log_id=broad_log_id,
        source_address=_exploded(asked.source_address)[:64],
        created_at=now,
        expires_at=now + VALID,
    )
    shut = kind is RequestKind.FRIEND and _wants_no_mail(email)
    return None if sent >= PER_ADDRESS or shut or suppression.suppressed([email]) else made


def _network(address: str) -> str:
    """Return what addresses of one connection begin with: of IPv6 a household has 2^64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(found) if found.version == 4 else found.exploded[:19]


def _exploded(address: str) -> str:
    """Return an address written out, so that what it begins with is the same for all of its network."""
    try:
        return ipaddress.ip_address(address).exploded
    except ValueError:
        return address


def _wants_no_mail(email: str) -> bool:
    """Return whether an address has said that it wants none: a friend's invitation is no exception."""
    refuses = Recipient.objects.filter(email=email).filter(Q(black_list_email=1) | Q(black_list=1))
    shut = (AddressStatus.DENYLISTED, AddressStatus.QUARANTINE)
    known = Address.objects.filter(address=email, type=Channel.EMAIL, status__in=shut)
    return refuses.exists() or known.exists()


def _brought(made: ReaderRequest, message: Message, now: datetime) -> None:
    """Keep that a message's reader has brought somebody: a visitor with a referrer."""
    visitor, _new = Visitor.objects.get_or_create(
        email=made.email,
        origin=VisitorOrigin.REFERRAL,
        defaults={
            "folder": folders.find("visitors", actor=internal()),
            "language": made.language,
            "referrer": message.address,
            "created_at": now,
            "modified_at": now,
        },
    )
    ReaderRequest.objects.filter(pk=made.pk).update(visitor=visitor, delivery_id=message.delivery.pk)


def _address(text: str) -> str:
    return normalise.email(text, normalise.characters(actor=internal()))


def _mail(made: ReaderRequest, subject: str, begin: str, ask: str) -> None:
    address = signed.address(signed.CONFIRM, made.pk)
    end = _("The link works for %(days)d days. If you do nothing, nothing happens.") % {"days": VALID.days}
    text = f"{begin}\n\n{ask}\n\n{address}\n\n{end}\n\n{wording.sender()}\n"
    mail.system_mail(made.email, " ".join(subject.split()), text, f"{signed.CONFIRM}{made.pk}")


def _newsletter(message: Message) -> Service | None:
    """Return what a friend is invited to: the service of the message, else the one for this, else the first
    newsletter that readers may find.
    """
    if message.service is not None:
        return message.service
    found = Service.objects.filter(public=True, type=ServiceType.EMAIL)
    return (
        found.filter(mode=ServiceMode.VIRAL).order_by("service_id").first()
        or found.order_by("service_id").first()
    )


def _spoken(recipient_id: int) -> str:
    """Return a reader's name as it may stand in a mail to others: words, nothing that a program could take
    for an address.
    """
    found = Recipient.objects.filter(pk=recipient_id).values_list("first_name", "last_name").first()
    text = " ".join(found or ()).strip()
    plain = all(each.isalpha() or each in " -'’" for each in text)
    return text[:64] if plain else ""


# --- confirming


def _profile(request: ReaderRequest, now: datetime) -> int:
    """Return the profile of an address, the oldest of several; one is made where there is none."""
    found = Recipient.objects.filter(email=request.email).order_by("recipient_id").first()
    if found is None:
        found = Recipient.objects.create(
            recipient_id=next(iter(reserve_ids(1))),
            folder=folders.find("recipients", actor=internal()),
            email=request.email,
            first_name=request.first_name,
            last_name=request.last_name,
            language=request.language,
            origin=_ORIGIN,
            created_at=now,
            modified_at=now,
        )
    elif found.black_list_email:
        # Who asks for mail and confirms it from the mailbox wants mail again.
        Recipient.objects.filter(pk=found.pk).update(black_list_email=0, modified_at=now)
    return found.pk


def _welcome(request: ReaderRequest, recipient: int, source_address: str, now: datetime) -> None:
    who, actor = ids([recipient]), internal()
    if request.service_id is not None:
        service = Service.objects.get(pk=request.service_id)
        subscriptions.subscribe(service, who, actor=actor, origin=SubOrigin.FORM)
    if request.visitor_id is not None:
        Visitor.objects.filter(pk=request.visitor_id).update(recipient_id=recipient, modified_at=now)
    known = {each.value for each in enumerations.values(consents.PURPOSES, actor=actor)}
    if request.purpose in known:
        proof = consents.Proof(
            "invitation by a friend" if request.broad_log_id else "subscription form",
            request.consent or _("Confirmed the invitation of a friend."),
            source_address or request.source_address,
        )
        consents.record(
            who, request.purpose, Channel.EMAIL, ConsentAction.GIVEN, actor=actor, proof=proof, at=now
        )


def _move(request: ReaderRequest, now: datetime) -> None:
    found = Recipient.objects.filter(pk=request.recipient_id).first()
    if found is None or found.email == request.email:
        return
    before = found.email
    Recipient.objects.filter(pk=found.pk).update(email=request.email, modified_at=now)
    if before and not suppression.suppressed([before]):
        with override(people.language(request.language)):
            mail.system_mail(
                before,
                _("Your address was changed"),
                _(
                    "The messages of %(sender)s go to %(address)s from now on, as was asked for on the page "
                    "of preferences. If it was not you, please answer to one of our messages.\n\n%(sender)s\n"
                )
                % {"sender": wording.sender(), "address": people.masked(request.email)},
                f"reader address {request.pk}",
            )
