"""The reports on deliveries, in the order of their list. A name in an address is the product's internal name
of the report (delivery.md §10.2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as lazy

from envoi.packages.delivery.console.reports import by_domain, errors, feedback, summary
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
        "errors",
        lazy("Non-deliverables and bounces"),
        lazy("What failed, for which reason and at which domain."),
        errors.build,
    ),
)


def find(name: str) -> Report | None:
    """Return a report by its name in addresses."""
    return next((each for each in REPORTS if each.name == name), None)
