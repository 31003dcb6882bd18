"""What comes back: mails that say what became of ours, read and qualified without a database."""

from envoi.packages.delivery.services.bounces.classify import Recipient, Verdict, classify
from envoi.packages.delivery.services.bounces.normalise import factorised

__all__ = ["Recipient", "Verdict", "classify", "factorised"]
