"""The reports on deliveries, in the order of their list. A name in an address is the product's internal name
of the report (delivery.md §10.2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as lazy

from envoi.packages.delivery.console.reports import (
    activities,
    by_domain,
    clients,
    errors,
    feedback,
    links,
    machines,
    pace,
    sharing,
    summary,
)
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block


@dataclass(frozen=True)
class Report:
    """One report: what it is called, what it answers, how it is built."""

    name: str
    label: Any
    """Translated lazily."""
    text: Any
    build: Callable[[Asked], list[Block]]


REPORTS: tuple[Report, ...] = (
    Report(
        "deliverySending",
        lazy("Delivery summary"),
        lazy("Whom it was for, who was left out and why, what arrived."),
        summary.build,
    ),
    Report(
        "deliveryFeedback",
        lazy("Tracking indicators"),
        lazy("What arrived, what was opened and clicked, what came of it."),
        feedback.build,
    ),
    Report(
        "statisticsPerDelivery",
        lazy("Delivery statistics"),
        lazy("Bounces, opens, clicks and opt-outs, domain by domain."),
        by_domain.build,
    ),
    Report(
        "topUrlDelivery",
        lazy("URLs and click streams"),
        lazy("How often which link was clicked, beside the average of the platform."),
        links.build,
    ),
    Report(
        "recipientActivity",
        lazy("User activities"),
        lazy("When messages were opened and clicked."),
        activities.build,
    ),
    Report(
        "trackingStatistics",
        lazy("Tracking statistics"),
        lazy("How long it took until most of it had happened."),
        pace.build,
    ),
    Report(
        "opensBreakdown",
        lazy("Breakdown of opens"),
        lazy("Systems, devices and browsers with which messages were opened."),
        clients.opens,
    ),
    Report(
        "browserStatistics",
        lazy("Browsers"),
        lazy("With which browsers people clicked."),
        clients.browsers,
    ),
    Report(
        "osStatistics",
        lazy("Operating systems"),
        lazy("With which systems people clicked."),
        clients.systems,
    ),
    Report(
        "deliveryForward",
        lazy("Sharing"),
        lazy("What was shared and passed on."),
        sharing.build,
    ),
    Report(
        "forwardActivities",
        lazy("Sharing statistics"),
        lazy("Which friends were told, and who of them came to stay."),
        sharing.statistics,
    ),
    Report(
        "machines",
        lazy("People and machines"),
        lazy("What was left out because no reader did it, and how that is told."),
        machines.build,
    ),
    Report(
        "errors",
        lazy("Non-deliverables and bounces"),
        lazy("What failed, for which reason and at which domain."),
        errors.build,
    ),
)


def find(name: str) -> Report | None:
    """Return a report by its name in addresses."""
    return next((each for each in REPORTS if each.name == name), None)
