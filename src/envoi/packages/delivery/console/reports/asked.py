"""What somebody asks a report for: the deliveries, and how to show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from envoi.kernel.rights import Actor
from envoi.packages.delivery.console.reports.blocks import Choice
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.reports.scope import Scope


@dataclass(frozen=True)
class Asked:
    """A report is built of this and nothing else."""

    scope: Scope
    actor: Actor
    given: QueryDict
    """Parameters of the address."""

    delivery: Delivery | None = None
    """The one that it is about, on its own pages."""

    def chosen(self, name: str, known: Sequence[str]) -> str:
        """Return which of some values a parameter has, the first one unless it is another."""
        value = self.given.get(name)
        return value if isinstance(value, str) and value in known else known[0]

    def choices(self, name: str, known: Sequence[tuple[str, Any]]) -> list[Choice]:
        """Return ways to see a block, by the values of a parameter and their labels."""
        current = self.chosen(name, [value for value, _label in known])
        return [
            Choice(str(label), f"?{self.query(**{name: value})}", value == current) for value, label in known
        ]

    def query(self, **changes: str) -> str:
        """Return the parameters of the address with some of them changed."""
        kept = self.given.copy()
        kept.pop("block", None)
        for name, value in changes.items():
            kept[name] = value
        return kept.urlencode()
