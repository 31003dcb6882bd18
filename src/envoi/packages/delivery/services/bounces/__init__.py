"""What comes back: mails that say what became of ours, read and qualified without a database."""

from envoi.packages.delivery.services.bounces.classify import Recipient, Verdict, classify, reply_rule
from envoi.packages.delivery.services.bounces.normalise import factorised, key
from envoi.packages.delivery.services.bounces.origin import by_message_id, by_return_address

__all__ = [
    "Recipient",
    "Verdict",
    "by_message_id",
    "by_return_address",
    "classify",
    "factorised",
    "key",
    "reply_rule",
]
