"""Quarantine: what failures and successes mean for an address (delivery.md §3.4)."""

from envoi.packages.delivery.services.quarantine.entry import Failure, note, succeeded

__all__ = ["Failure", "note", "succeeded"]
