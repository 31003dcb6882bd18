"""Visits of pages with a web tracking tag (delivery.md §4.4)."""

from datetime import datetime

from envoi.packages.delivery.services.tracking.machines import Rules
from envoi.packages.delivery.services.tracking.taken import Taken


def log(rules: Rules, *, now: datetime) -> Taken:
    """Log the visits of a batch."""
    return Taken()


def remember(*, now: datetime) -> None:
    """Remember whose browsers clicked."""
