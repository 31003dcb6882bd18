"""Which deliveries a report is about: one, or those of a folder, of a time, of a choice.

A report never reads more than `MOST` deliveries, the latest; what is left off is counted and said.
"""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from envoi.kernel.errors import NotFound
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Channel, Delivery, DeliveryRun, RunStep
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.deliveries import states

MOST = 500
"""Deliveries of one report."""
BEFORE = states.EDITABLE | states.ANALYSED
"""Nothing of these has been sent."""
_LONG = (
    "html_source", "text_source", "targeting", "content", "sending", "approvals", "extraction", "variables",
)  # fmt: skip


@dataclass(frozen=True)
class Scope:
    """Deliveries, the newest first, and where their messages stand."""

    deliveries: tuple[Delivery, ...]
    runs: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Storage -> numbers of the runs whose messages lie in its tables."""
    left_off: int = 0
    """Older deliveries that are asked for, and beyond what a report reads."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Numbers of the deliveries."""
        return tuple(each.pk for each in self.deliveries)

    @property
    def messages(self) -> int:
        """Messages to deliver of all of them."""
        return sum(each.to_deliver for each in self.deliveries)

    @property
    def version(self) -> Hashable:
        """What is another as soon as their figures are."""
        return tuple(
            (each.pk, each.state, each.success, each.error, each.processed, each.indicators_at)
            for each in self.deliveries
        )

    @property
    def start(self) -> datetime | None:
        """When the first message went out."""
        return min((each.broad_start for each in self.deliveries if each.broad_start), default=None)


def of(delivery: Delivery) -> Scope:
    """Return the scope of one delivery that the caller has found for its actor."""
    return _with_runs((delivery,), 0)


def many(
    actor: Actor,
    *,
    begin: datetime,
    end: datetime,
    folder: int | None = None,
    chosen: Collection[int] = (),
    proofs: bool = False,
) -> Scope:
    """Return the e-mail deliveries that the actor sees and whose first message went out from `begin` to
    before `end`, in a folder; or else those of a choice, whenever they went out. Raises NotFound for a choice
    of which nothing is seen.
    """
    if chosen:
        found = sent(actor, proofs=True).filter(pk__in=chosen)
        if not found.exists():
            raise NotFound(_("None of these deliveries is there, or you have no right to see them."))
    else:
        found = of_time(actor, begin=begin, end=end, folder=folder, proofs=proofs)
    rows = tuple(found.defer(*_LONG).order_by("-broad_start", "-delivery_id")[:MOST])
    left_off = found.count() - MOST if len(rows) == MOST else 0
    return _with_runs(rows, max(left_off, 0))


def of_time(
    actor: Actor, *, begin: datetime, end: datetime, folder: int | None = None, proofs: bool = False
) -> "QuerySet[Delivery]":
    """Return the e-mail deliveries that the actor sees and whose first message went out then."""
    found = sent(actor, proofs=proofs).filter(broad_start__gte=begin, broad_start__lt=end)
    return found if folder is None else found.filter(folder_id=folder)


def sent(actor: Actor, *, proofs: bool = False) -> "QuerySet[Delivery]":
    """Return the e-mail deliveries that the actor sees and of which something has gone out."""
    found = deliveries.visible(actor).filter(
        is_model=False, message_type=Channel.EMAIL, broad_start__isnull=False
    )
    return found if proofs else found.filter(fcp=False)


def _with_runs(found: tuple[Delivery, ...], left_off: int) -> Scope:
    runs: dict[str, list[int]] = {}
    ids = [each.pk for each in found]
    for storage, number in (
        DeliveryRun.objects.filter(delivery_id__in=ids, step=RunStep.READY)
        .order_by("run_id")
        .values_list("storage", "run_id")
    ):
        runs.setdefault(storage, []).append(number)
    return Scope(found, {storage: tuple(numbers) for storage, numbers in runs.items()}, left_off)
