"""What is different in a continuous delivery: it is analysed again while it is sent, and its runs add up
(engine.md §6.5, delivery.md §2.2; docs/adr/0028-deliveries-in-workflows.md).

A run that was confirmed is kept for good. While a further one is analysed the sender takes no parts of the
delivery; whatever comes of the analysis, the delivery is on its way again afterwards.
"""

from typing import Any

from envoi.kernel import clock
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryPart,
    DeliveryRun,
    DeliveryState,
    JobLog,
    Kind,
    RunStep,
)

AGAIN = frozenset(
    {
        DeliveryState.START_PENDING,
        DeliveryState.IN_PROGRESS,
        DeliveryState.RETRY_PENDING,
        DeliveryState.RETRYING,
        DeliveryState.FINISHED,
    }
)
"""States in which recipients can be added to a continuous delivery."""


def reopen(delivery: Delivery) -> bool:
    """Bring a continuous delivery that is on its way, or was, back to being edited, in the caller's
    transaction; False for any other delivery, and for one that changes its state at this moment.
    """
    if not _is(delivery) or delivery.status not in AGAIN:
        return False
    touched = Delivery.objects.filter(pk=delivery.pk, state=delivery.state).update(
        state=DeliveryState.EDITING, modified_at=clock.now()
    )
    delivery.refresh_from_db()
    return touched == 1


def keeps(delivery: Delivery, run: DeliveryRun) -> bool:
    """Return whether an earlier analysis stays when the delivery is analysed again: what it has sent, or is
    about to.
    """
    return _is(delivery) and _sent(delivery).filter(run=run).exists()


def totals(delivery: Delivery, run: DeliveryRun) -> dict[str, int]:
    """Return the figures of a delivery after an analysis: of a continuous one those of all its runs."""
    counts = run.counts
    found = {"total_target": counts["total"], "to_deliver": counts["deliver"]}
    for before in _kept(delivery, run) if _is(delivery) else ():
        found["total_target"] += before.counts.get("total", 0)
        found["to_deliver"] += before.counts.get("deliver", 0)
    return {**found, "reject": found["total_target"] - found["to_deliver"]}


def fall_back(delivery: Delivery, run: DeliveryRun) -> bool:
    """Let a continuous delivery go on with what it had, without a run that came to nothing; in the caller's
    transaction. False where there was nothing before.
    """
    before = next(iter(_kept(delivery, run)), None) if _is(delivery) else None
    if before is None:
        return False
    DeliveryPart.objects.filter(run=run).delete()
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.START_PENDING,
        run_id=before.pk,
        modified_at=clock.now(),
        **totals(delivery, before),
    )
    delivery.refresh_from_db()
    return True


def _is(delivery: Delivery) -> bool:
    return Kind(delivery.kind) is Kind.CONTINUOUS


def _sent(delivery: Delivery) -> Any:
    return JobLog.objects.filter(delivery=delivery, code="confirmed")


def _kept(delivery: Delivery, run: DeliveryRun) -> Any:
    """Return the runs before one that stay, the latest first."""
    confirmed = _sent(delivery).values("run_id")
    return DeliveryRun.objects.filter(
        delivery=delivery, pk__lt=run.pk, pk__in=confirmed, step=RunStep.READY
    ).order_by("-pk")
