"""The analysis of a delivery: target, exclusions, messages, parts."""

from envoi.packages.delivery.services.analysis.runs import start, work

__all__ = ["start", "work"]
