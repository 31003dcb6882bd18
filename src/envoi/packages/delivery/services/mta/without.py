"""Pauses and stops of deliveries by e-mail take effect though no sender lives that could see to it."""

from datetime import timedelta
from typing import Any, Final

from django.db.models import Exists, OuterRef

from envoi.engine import background
from envoi.kernel import clock
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryPart,
    DeliveryState,
    SenderProcess,
)
from envoi.packages.delivery.services.mta import progress

JOB = "envoi.without_sender"
SEEN: Final = timedelta(minutes=1)
"""A sender that has given no sign of life for so long is not waited for."""
_ASKED = (
    DeliveryState.PAUSE_ASKED,
    DeliveryState.PAUSING,
    DeliveryState.STOP_ASKED,
    DeliveryState.STOPPING,
)


@background.work(JOB)
def _advance(_number: int) -> None:
    """Move deliveries along as a sender does. One that starts meanwhile and does the same is no harm."""
    progress.advance(clock.now())


@background.lost.answer
def asked() -> list[tuple[str, int]]:
    """Return the work there is while no sender lives.

    What a dead sender has leased stays: only its host knows which of these messages have left.
    """
    leased = DeliveryPart.objects.filter(delivery=OuterRef("pk")).exclude(journal="")
    found: Any = Delivery.objects.filter(
        ~Exists(leased),
        state__in=_ASKED,
        message_type=Channel.EMAIL,
        delivery_mode=DeliveryMode.BULK,
        is_model=False,
    )
    if not found.exists() or SenderProcess.objects.filter(seen_at__gt=clock.now() - SEEN).exists():
        return []
    return [(JOB, 0)]
