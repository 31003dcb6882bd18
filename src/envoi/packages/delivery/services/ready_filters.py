"""Ready-made filters on recipients: subscribers, a list, one, those of a delivery (engine.md §6.1, §6.5)."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop as _

from envoi.engine import targeting
from envoi.engine.ready_filters import ReadyFilter, ready_filters
from envoi.kernel.query import Condition
from envoi.packages.delivery.models import MessageStatus


@ready_filters.answer
def on_recipients() -> Mapping[str, ReadyFilter]:
    """Return them. A subscription that has ended does not count, even before it is cleaned up."""
    recipient = "nms:recipient"
    return {
        "subscribers": ReadyFilter(recipient, _("Subscribers of a service"), "service", _subscribers),
        "list": ReadyFilter(recipient, _("Members of a list"), "list", _members),
        "recipient": ReadyFilter(recipient, _("One recipient"), "recipient", _one),
        "deliveryRecipients": ReadyFilter(recipient, _("Recipients of a delivery"), "delivery", _reached),
        "deliverySent": ReadyFilter(recipient, _("Recipients that a delivery reached"), "delivery", _sent),
        "deliveryFailed": ReadyFilter(
            recipient, _("Recipients that a delivery did not reach"), "delivery", _failed
        ),
    }


def _subscribers(service: str) -> tuple[Condition, ...]:
    current = (
        Condition(f"[service/@name] = {targeting.literal(service)}"),
        Condition("@deleteStatus = 0"),
        Condition("@expirationDate IS NULL OR @expirationDate > GetDate()"),
    )
    return (Condition("[subscription]", set_operator="EXISTS", conditions=current),)


def _members(name: str) -> tuple[Condition, ...]:
    named = (Condition(f"[group/@name] = {targeting.literal(name)}"),)
    return (Condition("[rcpGrpRel]", set_operator="EXISTS", conditions=named),)


def _reached(delivery: str) -> tuple[Condition, ...]:
    """Those with a message, whatever became of it; who was left out by the analysis has none."""
    return _of_delivery(delivery, f"@status <> {int(MessageStatus.IGNORED)}")


def _sent(delivery: str) -> tuple[Condition, ...]:
    success = (MessageStatus.SENT, MessageStatus.TAKEN, MessageStatus.RECEIVED)
    return _of_delivery(delivery, f"@status IN ({', '.join(str(int(each)) for each in success)})")


def _failed(delivery: str) -> tuple[Condition, ...]:
    return _of_delivery(delivery, f"@status = {int(MessageStatus.FAILED)}")


def _of_delivery(delivery: str, status: str) -> tuple[Condition, ...]:
    """Those with such a message of a delivery, given by number or by internal name."""
    whole = delivery.isdecimal() and delivery.isascii()
    named = (
        f"[@delivery-id] = {int(delivery)}"
        if whole
        else f"[delivery/@internalName] = {targeting.literal(delivery)}"
    )
    return (Condition("[broadLog]", set_operator="EXISTS", conditions=(Condition(named), Condition(status))),)


def _one(key: str) -> tuple[Condition, ...]:
    """By number, else by e-mail address."""
    if key.isdecimal() and key.isascii():
        return (Condition(f"@id = {int(key)}"),)
    return (Condition(f"@email = {targeting.literal(key.lower())}"),)
