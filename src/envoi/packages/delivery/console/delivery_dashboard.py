"""How far a delivery is, and how it goes: what its dashboard shows."""

from dataclasses import dataclass
from typing import Any

from babel.numbers import format_percent

from envoi.console import words
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryRun,
    DeliveryState,
    DlvExclusion,
    JobLevel,
    JobLog,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.deliveries import states

LINES = 50
LEVELS = {JobLevel.INFO: "", JobLevel.WARNING: "warn", JobLevel.ERROR: "bad"}


@dataclass(frozen=True)
class Cause:
    """One cause of exclusion: its label, how many, per cent of the target."""

    label: str
    count: int
    share: str


def version(delivery: Delivery) -> tuple[Any, ...]:
    """Return what changes whenever the dashboard does."""
    run = DeliveryRun.objects.filter(pk=delivery.run_id).values_list("step", "last_id").first()
    return (delivery.modified_at, delivery.state, delivery.success, delivery.error, run)


def context(delivery: Delivery, actor: Actor, seen: tuple[Any, ...]) -> dict[str, Any]:
    """Return what the dashboard shows."""
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    busy = delivery.status in states.ANALYSED
    ready = delivery.status not in states.EDITABLE or delivery.status is DeliveryState.READY
    return {
        "busy": busy,
        "step": timeline.spoken("nms:deliveryRun", "step", run.step) if run and busy else "",
        "analysed": run is not None and ready and not busy,
        "counts": run.counts if run else {},
        "parts": delivery.parts.filter(run=run).count() if run and ready else 0,  # type: ignore[attr-defined]
        "causes": causes(delivery, run) if run and ready else [],
        "lines": lines(delivery),
    }


def causes(delivery: Delivery, run: DeliveryRun) -> list[Cause]:
    """Return why people were excluded, the most frequent cause first."""
    total = run.counts.get("total") or 1
    return [
        Cause(
            timeline.spoken("nms:dlvExclusion", "failureReason", each.failure_reason),
            each.count,
            format_percent(round(each.count / total, 3), locale=words.locale(), decimal_quantization=False),
        )
        for each in DlvExclusion.objects.filter(delivery=delivery, run=run).order_by("-count")
    ]


def lines(delivery: Delivery) -> list[tuple[JobLog, str, str]]:
    """Return the latest lines of the log, with their text and the colour of their level."""
    found = JobLog.objects.filter(delivery=delivery).order_by("-job_log_id")
    return [(each, deliveries.text(each), LEVELS[JobLevel(each.level)]) for each in found[:LINES]]
