"""What goes out when: deliveries by the time at which they started or are to start, and their later waves."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Coalesce

from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryPart
from envoi.packages.delivery.services import deliveries

MOST = 1_000
"""Entries of one calendar."""


@dataclass(frozen=True)
class Planned:
    """A delivery, or one of its later waves, at a time."""

    delivery: Delivery
    at: datetime
    messages: int
    wave: int = 0
    """0: the delivery itself; else the number of the wave, the first being 1."""


def planned(
    begin: datetime,
    end: datetime,
    *,
    actor: Actor,
    channel: int | None = None,
    states: Collection[int] = (),
    folder: int | None = None,
) -> list[Planned]:
    """Return what goes out from `begin` to before `end`, in the order of time; of what the actor sees."""
    visible = deliveries.visible(actor).filter(is_model=False, fcp=False)
    if channel is not None:
        visible = visible.filter(message_type=channel)
    if states:
        visible = visible.filter(state__in=states)
    if folder is not None:
        visible = visible.filter(folder_id=folder)
    starting = (
        visible.annotate(starts=Coalesce("broad_start", "contact_date"))
        .filter(starts__gte=begin, starts__lt=end)
        .defer("html_source", "text_source")
        .order_by("starts", "pk")[:MOST]
    )
    found = [
        Planned(each, at, each.to_deliver)
        for each in starting
        if (at := each.broad_start or each.contact_date) is not None
    ]
    waves = (
        DeliveryPart.objects.filter(
            Q(due_at__gte=begin, due_at__lt=end), wave__gt=0, retry=False, seeds=False, delivery__in=visible
        )
        .values("delivery_id", "wave", "due_at")
        .annotate(messages=Sum("quantity"), parts=Count("pk"), run=Max("run_id"))
        .order_by("due_at")[:MOST]
    )
    rows = list(waves)
    known = {
        each.pk: each
        for each in visible.filter(pk__in={row["delivery_id"] for row in rows}).defer(
            "html_source", "text_source"
        )
    }
    for row in rows:
        delivery = known.get(row["delivery_id"])
        if delivery is not None and delivery.run_id == row["run"]:
            found.append(Planned(delivery, row["due_at"], row["messages"], row["wave"] + 1))
    return sorted(found, key=lambda each: (each.at, each.delivery.pk, each.wave))[:MOST]


def undated(*, actor: Actor) -> int:
    """Return how many deliveries have no time yet and have not ended."""
    return (
        deliveries.visible(actor)
        .filter(is_model=False, fcp=False, contact_date=None, broad_start=None, state__lt=85)
        .count()
    )
