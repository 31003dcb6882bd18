"""What several reports read, remembered while it stands, and the words that they share."""

from collections.abc import Callable
from typing import TypeVar

from django.utils.translation import gettext as _

from envoi.console import words
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.services.reports import domains, messages
from envoi.packages.delivery.services.reports.messages import Outcomes
from envoi.packages.delivery.services.reports.scope import Scope
from envoi.packages.delivery.services.statistics.remembering import remembered

Answer = TypeVar("Answer")


def outcomes(scope: Scope) -> dict[str, Outcomes]:
    """Return the outcomes of messages by provider."""
    bins = domains.bins()
    return kept("outcomes", scope, lambda: messages.by_provider(scope, bins), bins.version)


def kept(name: str, scope: Scope, find: Callable[[], Answer], *more: object) -> Answer:
    """Return what is read of the logs of a scope, or what was read before for the same figures."""
    return remembered((name, scope.ids, *map(str, more)), scope.version, find)


def provider(name: str) -> str:
    """Return how a provider is called; those that the enumeration does not know are the others."""
    return name or _("Others")


def reason(number: int) -> str:
    """Return why messages failed."""
    return timeline.spoken("nms:broadLogRcp", "failureReason", number)


def left_off(scope: Scope) -> str:
    """Return how many older deliveries are not in a report; empty when all are."""
    if not scope.left_off:
        return ""
    return _("The latest %(most)s deliveries are counted; %(n)s older ones are left off.") % {
        "most": words.number(len(scope.deliveries)),
        "n": words.number(scope.left_off),
    }
