"""What several reports read, remembered while it stands, and the words that they share."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from envoi.console import words
from envoi.kernel.errors import Invalid
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.services.reports import domains, hits, messages, over_time
from envoi.packages.delivery.services.reports.clicks import Clicks, by_link
from envoi.packages.delivery.services.reports.messages import Outcomes
from envoi.packages.delivery.services.reports.reactions import last as last_tracking
from envoi.packages.delivery.services.reports.scope import Scope
from envoi.packages.delivery.services.statistics.remembering import remembered

MOST = 5_000_000
"""Messages of several deliveries whose logs a report reads."""
Answer = TypeVar("Answer")


def outcomes(scope: Scope) -> dict[str, Outcomes]:
    """Return the outcomes of messages by provider."""
    bins = domains.bins()
    return kept("outcomes", scope, lambda: messages.by_provider(scope, bins), bins.version)


def reactions(scope: Scope) -> dict[str, hits.Reactions]:
    """Return the reactions of readers by provider."""
    bins = domains.bins()
    return kept("reactions", scope, lambda: hits.by_provider(scope, bins), bins.version)


def clicks(scope: Scope) -> Clicks:
    """Return the links of the deliveries with what was clicked."""
    return kept("clicks", scope, lambda: by_link(scope))


def activities(scope: Scope, width: timedelta, most: int) -> tuple[list[over_time.Slice], bool]:
    """Return what happened over time in steps on the reader's clock, and whether later ones are cut."""
    zone = words.zone_name()
    return cheap("slices", scope, lambda: over_time.slices(scope, width, zone, most), width, zone)


def days(scope: Scope) -> list[tuple[datetime, over_time.Slice]]:
    """Return what happened by day on the reader's clock."""
    found, _cut = activities(scope, timedelta(days=1), 400)
    return [(each.start.astimezone(timezone.get_current_timezone()), each) for each in found]


def tracking_news(scope: Scope) -> str:
    """Return how far tracking has counted, in a sentence."""
    last = max((each.indicators_at for each in scope.deliveries if each.indicators_at), default=None)
    return _("Counted up to %(at)s.") % {"at": words.moment(last)} if last else ""


def nothing_yet(what: str, scope: Scope) -> str:
    """Return why there is nothing: nothing happened, or nothing is counted yet."""
    last = last_tracking()
    ran = _("last run %(at)s") % {"at": words.moment(last)} if last else _("it has not run yet")
    until = _("Hits are counted within a minute, and by the workflow tracking each hour; %(ran)s.")
    return f"{what} {until % {'ran': ran}}"


def kept(name: str, scope: Scope, find: Callable[[], Answer], *more: object) -> Answer:
    """Return what is read of the logs of a scope, or what was read before for the same figures. Raises
    Invalid for several deliveries with more messages than are read while somebody waits.
    """
    if len(scope.deliveries) > 1 and scope.messages > MOST:
        raise Invalid(
            _(
                "This report reads the logs of %(n)s messages, and at most %(most)s of several deliveries. "
                "Choose a shorter time, or fewer deliveries."
            )
            % {"n": words.number(scope.messages), "most": words.number(MOST)}
        )
    return cheap(name, scope, find, *more)


def cheap(name: str, scope: Scope, find: Callable[[], Answer], *more: object) -> Answer:
    """Return what is read elsewhere than in logs, or what was read before for the same figures."""
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
