"""By which indicator versions are compared: the ratios of delivery.md §2.13."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.tracking.definitions import DEFINITIONS, LOWER_IS_BETTER, RATIOS

DEFAULT: Final = "estimatedRecipientOpenRatio"
_PARTS: Mapping[str, tuple[str, str]] = {
    "estimatedRecipientOpenRatio": ("estimated_recipient_open", "success"),
    "recipientClickRatio": ("recipient_click", "success"),
    "rawReactivity": ("recipient_click", "recipient_open"),
    "reactivity": ("recipient_click", "estimated_recipient_open"),
    "refusedRatio": ("complaints", "success"),
    "transactionRatio": ("transaction", "success"),
    "optOutRatio": ("opt_out", "success"),
}
"""Of each ratio what is counted, and of how many."""


@dataclass(frozen=True)
class Criterion:
    """One ratio. `lower`: the lowest wins."""

    name: str
    lower: bool

    @property
    def label(self) -> Any:
        """Return what it is called."""
        return DEFINITIONS[self.name].label if self.name in DEFINITIONS else self.name

    def counted(self, delivery: Delivery) -> tuple[int, int]:
        """Return what is counted of a delivery, and of how many."""
        part, whole = _PARTS[self.name]
        return int(getattr(delivery, part)), int(getattr(delivery, whole))


CRITERIA: Final[Mapping[str, Criterion]] = {
    name: Criterion(name, name in LOWER_IS_BETTER) for name in RATIOS if name in _PARTS
}


def criterion(name: str) -> Criterion:
    """Return a criterion. Raises Invalid, naming those that there are."""
    found = CRITERIA.get(name)
    if found is None:
        raise Invalid(_("%(value)r is not one of %(known)s.") % {"value": name, "known": ", ".join(CRITERIA)})
    return found
