"""How far an activity brings a delivery: only the steps that are missing, and without keeping a worker.

A step begins what takes long and ends; the task looks again after a while. What was begun stands in the
task's memory, written in the transaction that has begun it, so a task that is repeated after a crash begins
nothing twice.
"""

from datetime import timedelta

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import Failed, Outcome, TaskContext, wait
from envoi.engine.models import Task
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryRun,
    DeliveryState,
    JobLevel,
    JobLog,
    RunStep,
)
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.services.deliveries import approvals, job_log, states

S = DeliveryState
FIRST_LOOK, LAST_LOOK = timedelta(seconds=1), timedelta(minutes=1)
GONE_OUT = frozenset(
    {
        S.START_PENDING, S.IN_PROGRESS, S.RETRY_PENDING, S.RETRYING, S.PAUSE_ASKED, S.PAUSING, S.PAUSED,
        S.STOP_ASKED, S.STOPPING, S.STOPPED, S.FINISHED,
    }
)  # fmt: skip
"""The delivery was started."""
STOPPED = frozenset({S.STOP_ASKED, S.STOPPING, S.STOPPED})
OVER = frozenset({S.STOPPED, S.FINISHED, S.DELETED})


def estimated(ctx: TaskContext, delivery: Delivery) -> Outcome | None:
    """Calculate the target; None when that is done."""
    if ctx.memory.get("run") is None and delivery.status in states.EDITABLE:
        if delivery.status in (S.TARGET_READY, S.READY, S.EXTRACTION):
            return None
        return begin(ctx, delivery, estimate=True)
    return _analysed(ctx, delivery, estimate=True)


def prepared(ctx: TaskContext, delivery: Delivery) -> Outcome | None:
    """Analyse a delivery unless it is ready; None when it is ready or on its way."""
    if ctx.memory.get("run") is None:
        if delivery.status in STOPPED:
            raise Failed(f"The delivery {delivery.label} was stopped, and does not start again.")
        if delivery.status in (S.READY, S.EXTRACTION) or delivery.status in GONE_OUT:
            return _looked(ctx, delivery)
        if delivery.status in states.ANALYSED:
            ctx.memory["run"] = delivery.run_id
            return later(ctx)
        return begin(ctx, delivery)
    return _analysed(ctx, delivery)


def started(ctx: TaskContext, delivery: Delivery) -> Outcome | None:
    """Analyse a delivery unless it is ready, and start it; None when it was started.

    While somebody has to approve something, or a file for a provider is made, the task waits.
    """
    waits = prepared(ctx, delivery)
    if waits is not None:
        return waits
    if delivery.status in GONE_OUT:
        if delivery.status in STOPPED:
            ctx.warning(_("Somebody has stopped the delivery '%(delivery)s'"), delivery=delivery.label)
        return None
    if delivery.status is S.EXTRACTION or approvals.missing(delivery):
        # Also the start, whoever the workflow runs for: where people are named, people decide.
        return later(ctx)
    deliveries.confirm(delivery, actor=ctx.actor)
    return None


def ended(ctx: TaskContext, delivery: Delivery) -> Outcome | None:
    """Wait until a delivery that was started is finished or stopped; None then."""
    return None if delivery.status in OVER else later(ctx)


def later(ctx: TaskContext) -> Outcome:
    """Look again: after a second, then after twice as long each time, a minute at most."""
    looks = int(ctx.memory.get("looks", 0))
    ctx.memory["looks"] = looks + 1
    return wait(ctx.now + min(FIRST_LOOK * 2 ** min(looks, 10), LAST_LOOK))


def say(ctx: TaskContext, action: str, delivery: Delivery) -> None:
    """Write what was done to the journal, as the product does."""
    ctx.info(
        _("Action '%(action)s' performed on delivery '%(delivery)s'"), action=action, delivery=delivery.label
    )


def run_of(ctx: TaskContext, delivery: Delivery) -> DeliveryRun | None:
    """Return the analysis that the task has begun or found; else the latest."""
    return DeliveryRun.objects.filter(pk=ctx.memory.get("run") or delivery.run_id).first()


def proofed(ctx: TaskContext, delivery: Delivery) -> Outcome | None:
    """Send a proof of a delivery; None when it is on its way, as it is when its analysis has no error."""
    proof = Delivery.objects.filter(pk=ctx.memory.get("proof")).first()
    if proof is None:
        said = ctx.parameters.get("proof") or {}
        made = deliveries.prove(
            delivery,
            said.get("mode", "seeds"),
            actor=ctx.actor,
            target=said.get("target"),
            addresses=said.get("addresses") or (),
        )
        ctx.memory["proof"] = made.pk
        return later(ctx)
    if proof.status in GONE_OUT:
        return None
    run = DeliveryRun.objects.filter(pk=proof.run_id).first()
    if run is not None and run.step >= RunStep.READY:
        raise failure(proof, run)
    return later(ctx)


def begin(ctx: TaskContext, delivery: Delivery, *, estimate: bool = False) -> Outcome:
    """Begin an analysis, in the transaction of the activity, and look again later."""
    run = analysis.start(delivery, actor=ctx.actor, estimate=estimate)
    ctx.memory["run"] = run.pk
    ctx.memory["looks"] = 0
    return later(ctx)


def _analysed(ctx: TaskContext, delivery: Delivery, *, estimate: bool = False) -> Outcome | None:
    run = run_of(ctx, delivery)
    if run is None or run.step == RunStep.GONE:
        # Somebody has analysed it anew meanwhile, so that analysis is looked at.
        ctx.memory["run"] = delivery.run_id
        return later(ctx)
    if run.step < RunStep.READY:
        return later(ctx)
    if run.step == RunStep.FAILED:
        return _again(ctx, delivery, run, estimate=estimate)
    return _looked(ctx, delivery, estimate=estimate)


def _looked(ctx: TaskContext, delivery: Delivery, *, estimate: bool = False) -> Outcome | None:
    """Return None when a delivery is as far as it has to be; an analysis with errors fails the activity."""
    if delivery.status in GONE_OUT or (estimate and delivery.status is S.TARGET_READY):
        return None
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    if run is not None and job_log.worst(run) is JobLevel.ERROR:
        return _again(ctx, delivery, run, estimate=estimate)
    if delivery.status in (S.READY, S.EXTRACTION):
        return None
    if delivery.status in states.ANALYSED:
        return later(ctx)
    # It was changed since, or sent back to be edited: its analysis does not hold any more.
    return begin(ctx, delivery, estimate=estimate)


def _again(ctx: TaskContext, delivery: Delivery, run: DeliveryRun, *, estimate: bool) -> Outcome:
    """Fail because of an analysis; analyse anew when the workflow was resumed after that."""
    if told(ctx, run):
        return begin(ctx, delivery, estimate=estimate)
    raise failure(delivery, run)


def told(ctx: TaskContext, run: DeliveryRun) -> bool:
    """Return whether the task has failed because of this analysis before."""
    message = Task.objects.filter(pk=ctx.task_id).values_list("message", flat=True).first()
    return _mark(run) in (message or "")


def failure(delivery: Delivery, run: DeliveryRun) -> Failed:
    """Return the error of an activity whose delivery cannot be sent, with the lines of its log."""
    lines = JobLog.objects.filter(run=run, level=JobLevel.ERROR).order_by("pk")
    said = " ".join(deliveries.text(each) for each in lines)
    return Failed(f"The delivery {delivery.label} cannot be sent {_mark(run)}: {said}")


def _mark(run: DeliveryRun) -> str:
    return f"(analysis {run.pk})"
