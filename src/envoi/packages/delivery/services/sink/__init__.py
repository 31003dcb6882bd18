"""The mail sink of a demonstration: what its addresses answer, what they got, what they send back."""

from envoi.packages.delivery.services.sink.fates import Fate, Fates, Rates
from envoi.packages.delivery.services.sink.mails import Mail, Mails

__all__ = ["Fate", "Fates", "Mail", "Mails", "Rates"]
