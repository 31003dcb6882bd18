"""Indicators of the deliveries of a scope, added up; shares come from the sums (delivery.md §2.13)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from envoi.packages.delivery.models import Delivery


@dataclass(frozen=True)
class Totals:
    """The stored indicators of §2.13, of one delivery or of several together."""

    total_target: int = 0
    reject: int = 0
    to_deliver: int = 0
    processed: int = 0
    success: int = 0
    error: int = 0
    new_quarantine: int = 0
    complaints: int = 0
    recipient_open: int = 0
    total_recipient_open: int = 0
    estimated_recipient_open: int = 0
    estimated_total_recipient_open: int = 0
    recipient_click: int = 0
    person_click: int = 0
    total_recipient_click: int = 0
    forward: int = 0
    opt_out: int = 0
    mirror_page: int = 0
    passed_on: int = 0
    new_contacts: int = 0
    total_web_page: int = 0
    transaction: int = 0
    article: int = 0
    amount: float = 0.0

    @property
    def raw_reactivity(self) -> tuple[int, int]:
        """Recipients who clicked, of those who opened."""
        return self.recipient_click, self.recipient_open

    @property
    def reactivity(self) -> tuple[int, int]:
        """Recipients who clicked, of those who opened by estimate."""
        return self.recipient_click, self.estimated_recipient_open


def of(deliveries: Sequence[Delivery]) -> Totals:
    """Return the sums over deliveries. People are those of each delivery: who got two counts twice."""
    return Totals(
        **{each.name: sum(getattr(one, each.name) for one in deliveries) for each in fields(Totals)}
    )
