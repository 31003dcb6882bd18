"""What a sender knows of the runs that it sends: kept for a while, since it changes seldom."""

from collections.abc import Set
from dataclasses import dataclass

from envoi.packages.delivery.models import Delivery, DeliveryRun
from envoi.packages.delivery.models.person import Channel
from envoi.packages.delivery.services.deliveries import sending
from envoi.packages.delivery.services.deliveries.sending import Sending

MOST = 500


@dataclass(frozen=True)
class Run:
    """A run with its delivery as it was read."""

    run: DeliveryRun
    delivery: Delivery
    sending: Sending
    channel: int
    storage: str

    @property
    def id(self) -> int:
        """Its number."""
        return self.run.pk

    @property
    def delivery_id(self) -> int:
        """The number of its delivery."""
        return self.delivery.pk


class Runs:
    """Runs by their number."""

    def __init__(self) -> None:
        self._kept: dict[int, Run] = {}

    def forget(self) -> None:
        """Read everything anew."""
        self._kept.clear()

    def of(self, ids: Set[int]) -> dict[int, Run]:
        """Return the runs that exist among these."""
        if missing := set(ids) - self._kept.keys():
            if len(self._kept) > MOST:
                self._kept.clear()
                missing = set(ids)
            for run in DeliveryRun.objects.select_related("delivery__mapping").filter(pk__in=missing):
                delivery = run.delivery
                self._kept[run.pk] = Run(
                    run,
                    delivery,
                    sending.read(delivery.sending, channel=Channel(delivery.message_type)),
                    delivery.message_type,
                    run.storage,
                )
        return {id: self._kept[id] for id in ids if id in self._kept}
