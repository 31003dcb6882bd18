"""Quarantine: what failures and successes mean for an address, and what operators do (delivery.md §3.4)."""

from envoi.packages.delivery.services.quarantine.entry import Failure, note, succeeded
from envoi.packages.delivery.services.quarantine.manual import (
    ENTITY,
    SETTABLE,
    Chosen,
    find,
    get,
    put,
    set_status,
)

__all__ = ["ENTITY", "SETTABLE", "Chosen", "Failure", "find", "get", "note", "put", "set_status", "succeeded"]
