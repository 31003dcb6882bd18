"""What other packages use of delivery: profiles, services, lists, suppression, consent, mappings."""

from envoi.packages.delivery.services import (
    chosen,
    confirmations,
    consents,
    lists,
    log_tables,
    mappings,
    normalise,
    recipients,
    subscriptions,
    suppression,
)

__all__ = [
    "chosen",
    "confirmations",
    "consents",
    "lists",
    "log_tables",
    "mappings",
    "normalise",
    "recipients",
    "subscriptions",
    "suppression",
]
