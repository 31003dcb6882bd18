"""Deliveries: records, templates, states, what operators do with them, their log."""

from envoi.packages.delivery.services.deliveries import approvals, scheduling
from envoi.packages.delivery.services.deliveries.job_log import text, worst
from envoi.packages.delivery.services.deliveries.proofs import prove
from envoi.packages.delivery.services.deliveries.records import change, create, delete, find, visible
from envoi.packages.delivery.services.deliveries.resending import resend
from envoi.packages.delivery.services.deliveries.scheduling import schedule
from envoi.packages.delivery.services.deliveries.starting import after_analysis, confirm, start_by_itself
from envoi.packages.delivery.services.deliveries.states import MOVES, move
from envoi.packages.delivery.services.deliveries.targeting import Targeting, read
from envoi.packages.delivery.services.deliveries.templates import plant
from envoi.packages.delivery.services.deliveries.verbs import (
    duplicate,
    pause,
    possible,
    reset,
    resume,
    stop,
)

__all__ = [
    "MOVES",
    "Targeting",
    "after_analysis",
    "approvals",
    "change",
    "confirm",
    "create",
    "delete",
    "duplicate",
    "find",
    "move",
    "pause",
    "plant",
    "possible",
    "prove",
    "read",
    "resend",
    "reset",
    "resume",
    "schedule",
    "scheduling",
    "start_by_itself",
    "stop",
    "text",
    "visible",
    "worst",
]
