"""Figures of deliveries as pages show them: read set by set, cheap enough to be asked every two seconds."""

from envoi.packages.delivery.services.statistics.failures import Domain, Failures
from envoi.packages.delivery.services.statistics.failures import read as failures
from envoi.packages.delivery.services.statistics.progress import Progress, Wave, late, rate
from envoi.packages.delivery.services.statistics.progress import read as progress
from envoi.packages.delivery.services.statistics.slices import (
    SPANS,
    Destination,
    Slice,
    destinations,
    fitting,
    slices,
)

__all__ = [
    "SPANS",
    "Destination",
    "Domain",
    "Failures",
    "Progress",
    "Slice",
    "Wave",
    "destinations",
    "failures",
    "fitting",
    "late",
    "progress",
    "rate",
    "slices",
]
