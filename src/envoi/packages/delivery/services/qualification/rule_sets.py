"""The rules by which mails and answers are read."""

from envoi.packages.delivery.services.bounces.rules import Rules, shipped


def current() -> Rules:
    """Return the rules that hold now."""
    return shipped()
