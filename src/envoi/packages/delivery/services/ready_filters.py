"""Ready-made filters on recipients: subscribers, a list, a recipient (engine.md §6.1)."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop as _

from envoi.engine import targeting
from envoi.engine.ready_filters import ReadyFilter, ready_filters
from envoi.kernel.query import Condition


@ready_filters.answer
def on_recipients() -> Mapping[str, ReadyFilter]:
    """Return them. A subscription that has ended does not count, even before it is cleaned up."""
    recipient = "nms:recipient"
    return {
        "subscribers": ReadyFilter(recipient, _("Subscribers of a service"), "service", _subscribers),
        "list": ReadyFilter(recipient, _("Members of a list"), "list", _members),
        "recipient": ReadyFilter(recipient, _("One recipient"), "recipient", _one),
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


def _one(key: str) -> tuple[Condition, ...]:
    """By number, else by e-mail address."""
    if key.isdecimal() and key.isascii():
        return (Condition(f"@id = {int(key)}"),)
    return (Condition(f"@email = {targeting.literal(key.lower())}"),)
