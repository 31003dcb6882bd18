"""Everything between us and a person, newest first: what a profile's page tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.console import words
from envoi.kernel.models import AuditEntry
from envoi.kernel.registry import find as schema_of
from envoi.kernel.registry import translate
from envoi.kernel.rights import Actor
from envoi.packages.delivery.hookspecs import Event, timeline, timeline_kinds
from envoi.packages.delivery.models import (
    BroadLogMsg,
    BroadLogRcp,
    Channel,
    Confirmation,
    ConsentAction,
    MessageStatus,
    SubAction,
)
from envoi.packages.delivery.services import consents, deliveries, subscriptions

SHOWN = 60
"""Lines on one page."""
CHANNELS: dict[int, str] = {
    Channel.EMAIL: "mail",
    Channel.SMS: "sms",
    Channel.PHONE: "phone",
    Channel.DIRECT_MAIL: "file",
    Channel.FAX: "file",
}
"""Icons of channels."""
TONES: dict[MessageStatus, str] = {
    MessageStatus.SENT: "ok",
    MessageStatus.TAKEN: "ok",
    MessageStatus.RECEIVED: "ok",
    MessageStatus.FAILED: "bad",
    MessageStatus.PENDING: "wait",
    MessageStatus.PREPARED: "run",
    MessageStatus.HANDED: "run",
}
"""Colours of what became of a message; the others were not sent."""


@dataclass(frozen=True)
class Day:
    """The events of one day of the operator's zone."""

    label: str
    events: Sequence[Event]


def events(recipient_id: int, actor: Actor, kind: str = "") -> list[Event]:
    """Return the latest events, of one kind or of all."""
    found = [each for answer in timeline.ask(recipient_id, actor, SHOWN) for each in answer]
    found.sort(key=lambda each: each.at, reverse=True)
    return [each for each in found if kind in ("", each.kind)][:SHOWN]


def days(found: Sequence[Event]) -> list[Day]:
    """Return events, newest first, by the day on which they happened."""
    zone = timezone.get_current_timezone()
    by_day: dict[date, list[Event]] = {}
    for each in found:
        by_day.setdefault(each.at.astimezone(zone).date(), []).append(each)
    return [Day(words.day(of_day[0].at), of_day) for of_day in by_day.values()]


@timeline.answer
def own(recipient_id: int, actor: Actor, most: int) -> list[Event]:
    """Return what the package itself knows: messages, subscriptions, consents, changes of the profile."""
    return [
        *_messages(recipient_id, actor, most),
        *_subscriptions(recipient_id, most),
        *_consents(recipient_id)[:most],
        *_changes(recipient_id, most),
    ]


@timeline_kinds.answer
def own_kinds() -> list[tuple[str, Any]]:
    """Return the kinds of these."""
    return [
        ("message", lazy("Messages")),
        ("subscription", lazy("Subscriptions")),
        ("consent", lazy("Consent")),
        ("profile", lazy("Profile")),
    ]


def _messages(recipient_id: int, actor: Actor, most: int) -> list[Event]:
    """Messages of the deliveries that the actor sees, with what became of them and why."""
    logs = list(BroadLogRcp.objects.filter(target_id=recipient_id).order_by("-run_id")[:most])
    seen = deliveries.visible(actor).filter(pk__in={each.delivery_id for each in logs})  # type: ignore[attr-defined]
    known = {each.pk: each for each in seen.only("label", "message_type", "folder", "mapping")}
    texts = dict(
        BroadLogMsg.objects.filter(pk__in={each.msg_id for each in logs if each.msg_id}).values_list(  # type: ignore[attr-defined]
            "pk", "first_text"
        )
    )
    found: list[Event] = []
    for each in logs:
        delivery = known.get(each.delivery_id)  # type: ignore[attr-defined]
        if delivery is None:
            continue
        parts = [
            spoken("nms:broadLogRcp", "status", each.status),
            spoken("nms:broadLogRcp", "failureReason", each.failure_reason) if each.failure_reason else "",
            texts.get(each.msg_id, ""),  # type: ignore[attr-defined]
        ]
        found.append(
            Event(
                each.event_date or each.modified_at,
                "message",
                CHANNELS.get(delivery.message_type, "mail"),
                TONES.get(MessageStatus(each.status), "draft"),
                delivery.label,
                " · ".join(part for part in parts if part),
                reverse("delivery:delivery", args=[delivery.pk]),
            )
        )
    return found


def _subscriptions(recipient_id: int, most: int) -> list[Event]:
    found: list[Event] = []
    for line in subscriptions.history_of(recipient_id, most):
        came = SubAction(line.action) is SubAction.SUBSCRIBE
        title = _("Subscribed to %(service)s") if came else _("Left %(service)s")
        parts = [spoken("nms:subHisto", "origin", line.origin)]
        if line.operator:
            parts.append(str(line.operator))
        if line.confirmation == Confirmation.ASKED:
            parts.append(_("a confirmation is on its way"))
        elif line.confirmation == Confirmation.SENT:
            parts.append(_("a confirmation was sent"))
        found.append(
            Event(
                line.date, "subscription", "mail", "ok" if came else "draft",
                title % {"service": line.service.label}, " · ".join(parts),
            )
        )  # fmt: skip
    return found


def _consents(recipient_id: int) -> list[Event]:
    found: list[Event] = []
    for line in consents.of_recipient(recipient_id):
        given = ConsentAction(line.action) is ConsentAction.GIVEN
        title = (
            _("Consent given: %(purpose)s, %(channel)s")
            if given
            else _("Consent withdrawn: %(purpose)s, %(channel)s")
        )
        said = {"purpose": line.purpose, "channel": spoken("nms:consent", "channel", line.channel)}
        text = " · ".join(part for part in (line.source, line.proof[:120]) if part)
        found.append(Event(line.date, "consent", "shield", "ok" if given else "warn", title % said, text))
    return found


def _changes(recipient_id: int, most: int) -> list[Event]:
    titles = {
        "Created": _("Profile created"),
        "Modified": _("Profile changed"),
        "Merged": _("Profile merged"),
    }
    schema = schema_of("nms:recipient")
    found: list[Event] = []
    entries = AuditEntry.objects.filter(entity=schema.name, entity_id=recipient_id).order_by("-audit_id")
    for entry in entries[:most]:
        names = list(entry.detail.get("values", {}))
        labels = [translate(schema.attributes[name].label) for name in names if name in schema.attributes]
        text = entry.operator_name if entry.action == "Created" else ", ".join([entry.operator_name, *labels])
        title = titles.get(entry.action, entry.action)
        found.append(Event(entry.at, "profile", "user", "draft", title, text))
    return found


def spoken(schema: str, attribute: str, value: object) -> str:
    """Return the label of a value of an enumeration in the operator's language."""
    enumeration = schema_of(schema).attributes[attribute].enumeration
    found = enumeration.valued(value) if enumeration else None
    return translate(found.label) if found else str(value)
