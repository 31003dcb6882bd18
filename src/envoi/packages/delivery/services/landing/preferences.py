"""What a reader gets and how: services, language, format, consents; read and changed by the reader."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import enumerations
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import (
    Channel,
    ConsentAction,
    EmailFormat,
    OptOutWay,
    Recipient,
    Service,
    ServiceType,
    SubOrigin,
    Subscription,
)
from envoi.packages.delivery.services import consents, subscriptions
from envoi.packages.delivery.services.chosen import ids
from envoi.packages.delivery.services.landing import optouts, people

SOURCE = "preferences page"


@dataclass(frozen=True)
class Choice:
    """Something that a reader has or has not: a service, a consent."""

    key: str
    label: str
    has: bool
    description: str = ""


@dataclass(frozen=True)
class Preferences:
    """Of one reader. `refuses`: all e-mail."""

    services: tuple[Choice, ...]
    consents: tuple[Choice, ...]
    language: str
    email_format: EmailFormat
    refuses: bool


@dataclass(frozen=True)
class Wanted:
    """What a reader wants from now on: internal names of services, purposes."""

    services: Collection[str]
    purposes: Collection[str]
    language: str
    email_format: int
    refuses: bool
    source_address: str = ""


def of(recipient: Recipient) -> Preferences:
    """Return what a reader has, and what there is beside it."""
    subscribed = set(
        Subscription.objects.filter(recipient_id=recipient.pk, delete_status=0).values_list(
            "service_id", flat=True
        )
    )
    services = [
        each
        for each in Service.objects.filter(type=ServiceType.EMAIL).order_by("label", "service_id")
        if each.public or each.pk in subscribed
    ]
    given = {
        each.purpose
        for each in consents.current(consents.of_recipient(recipient.pk))
        if Channel(each.channel) is Channel.EMAIL and ConsentAction(each.action) is ConsentAction.GIVEN
    }
    return Preferences(
        tuple(Choice(each.name, each.label, each.pk in subscribed, each.description) for each in services),
        tuple(
            Choice(each.value, purpose_label(each.value, each.label or each.value), each.value in given)
            for each in enumerations.values(consents.PURPOSES, actor=internal())
        ),
        people.language(recipient.language),
        EmailFormat(recipient.email_format),
        bool(recipient.black_list_email),
    )


def purpose_label(name: str, label: str) -> str:
    """Return the sentence that a reader agrees to for a purpose; those of an instance by their label."""
    return {
        "marketing": _("Use my data to send me offers and news."),
        "profiling": _("Use what I read to choose what fits me."),
        "partners": _("Tell me of offers of partners."),
    }.get(name, label)


def change(recipient: Recipient, wanted: Wanted, *, now: datetime) -> None:
    """Let a reader have what is wanted, and leave a proof of what ends. Raises Invalid."""
    if wanted.language not in {code for code, _name in settings.LANGUAGES}:
        raise Invalid(_("There is no language %(name)r.") % {"name": wanted.language})
    if wanted.email_format not in EmailFormat.values:
        raise Invalid(_("There is no such format."))
    with transaction.atomic():
        before = of(recipient)
        values = {"language": wanted.language, "email_format": wanted.email_format}
        if wanted.language == before.language:
            del values["language"]  # "fr_CA" stays, when French is what was wanted
        Recipient.objects.filter(pk=recipient.pk).update(**values, modified_at=now)
        _services(recipient, before, wanted, now)
        if wanted.refuses and not before.refuses:
            optouts.refuse(recipient.pk, _said(wanted), now=now)
            return
        if before.refuses and not wanted.refuses:
            Recipient.objects.filter(pk=recipient.pk).update(black_list_email=0)
        _consents(recipient, before, wanted, now)


def _services(recipient: Recipient, before: Preferences, wanted: Wanted, now: datetime) -> None:
    for each in before.services:
        if (each.key in wanted.services) == each.has:
            continue
        service = Service.objects.get(name=each.key)
        if each.has:
            optouts.refuse(recipient.pk, _said(wanted), service, now=now)
        else:
            subscriptions.subscribe(service, ids([recipient.pk]), actor=internal(), origin=SubOrigin.FORM)


def _consents(recipient: Recipient, before: Preferences, wanted: Wanted, now: datetime) -> None:
    for each in before.consents:
        if (each.key in wanted.purposes) == each.has:
            continue
        consents.record(
            ids([recipient.pk]),
            each.key,
            Channel.EMAIL,
            ConsentAction.WITHDRAWN if each.has else ConsentAction.GIVEN,
            actor=internal(),
            proof=consents.Proof(SOURCE, each.label, wanted.source_address),
            at=now,
        )


def _said(wanted: Wanted) -> optouts.Said:
    return optouts.Said(OptOutWay.PREFERENCES, source_address=wanted.source_address)
