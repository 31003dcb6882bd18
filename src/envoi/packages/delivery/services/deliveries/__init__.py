"""Deliveries: records, templates, states, their log."""

from envoi.packages.delivery.services.deliveries.job_log import text, worst
from envoi.packages.delivery.services.deliveries.records import (
    change,
    confirm,
    create,
    delete,
    find,
    visible,
)
from envoi.packages.delivery.services.deliveries.states import MOVES, move
from envoi.packages.delivery.services.deliveries.targeting import Targeting, read
from envoi.packages.delivery.services.deliveries.templates import plant

__all__ = [
    "MOVES",
    "Targeting",
    "change",
    "confirm",
    "create",
    "delete",
    "find",
    "move",
    "plant",
    "read",
    "text",
    "visible",
    "worst",
]
