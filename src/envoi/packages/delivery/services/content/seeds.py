"""What seed addresses are shown: their own data, and what they lack from a real profile of the target
(delivery.md §2.11).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryRun
from envoi.packages.delivery.services.content.reading import Statement


def data(
    run: DeliveryRun, delivery: Delivery, found: Statement, *, actor: Actor
) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number of each seed's message and its values for the columns of the statement."""
    return iter(())
