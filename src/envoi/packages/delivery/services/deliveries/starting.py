"""Deliveries that are let go: by somebody who confirms them, or by themselves when their analysis ends."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.folders import Access
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, Right, actor_of, internal
from envoi.packages.delivery.models import (
    ApprovalStep,
    Channel,
    Delivery,
    DeliveryRun,
    DeliverySchedule,
    DeliveryState,
    Execution,
    JobLevel,
    Kind,
    RunStep,
    ValidationMode,
)
from envoi.packages.delivery.services.deliveries import (
    approvals,
    job_log,
    local_time,
    proofs,
    records,
    sending,
    states,
    waves,
)
from envoi.packages.delivery.services.deliveries.sending import Sending


def confirm(delivery: Delivery, *, actor: Actor) -> None:
    """Let a delivery that is ready be sent: at its contact date, or at once.

    Raises NotAllowed without START DELIVERIES, or when others are named who may start it; Conflict when it is
    not ready, its analysis has an error, an approval is missing, or its contact date has passed and it is not
    to be sent late.
    """
    actor.require(Right.START_DELIVERIES, to=_("start deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    with transaction.atomic():
        run = DeliveryRun.objects.filter(pk=delivery.run_id, step=RunStep.READY).first()
        if delivery.status is DeliveryState.READY:
            if run is None or job_log.worst(run) is JobLevel.ERROR:
                raise Conflict(
                    _("The analysis of %(label)s has errors: correct them and analyse it again.")
                    % {"label": delivery.label}
                )
            lacking = [step for step in approvals.missing(delivery) if step is not ApprovalStep.START]
            if lacking:
                raise Conflict(
                    _("%(label)s is not approved yet: %(steps)s.")
                    % {
                        "label": delivery.label,
                        "steps": ", ".join(_(job_log.STEPS[step]) for step in lacking),
                    }
                )
            approvals.settle_start(delivery, actor=actor)
            said = read(delivery)
            if said.missed == "skip" and _missed(delivery, said, clock.now()):
                raise Conflict(
                    _("The contact date of %(label)s has passed: choose another one and analyse it again.")
                    % {"label": delivery.label}
                )
        _let_go(delivery, run, actor)


def after_analysis(delivery: Delivery, run: DeliveryRun, actor: Actor) -> None:
    """Do what follows an analysis, in the transaction that has made the delivery ready: check waves, order by
    local time, ask for approvals, start what starts by itself.
    """
    said = read(delivery)
    if delivery.fcp:
        proofs.substitute(delivery, run)
    _spread(delivery, run, said, actor)
    if job_log.worst(run) is not JobLevel.ERROR:
        approvals.submit_ready(
            delivery, (ApprovalStep.TARGET, ApprovalStep.CONTENT, ApprovalStep.START), actor=actor
        )
    start_by_itself(delivery, actor=actor)


def start_by_itself(delivery: Delivery, *, actor: Actor | None = None) -> bool:
    """Start a ready delivery if it starts by itself and nothing speaks against it, in the caller's
    transaction; returns whether it has.

    Whose analysis it is must have START DELIVERIES; a proof needs no further right.
    """
    run = (
        DeliveryRun.objects.select_related("operator").filter(pk=delivery.run_id, step=RunStep.READY).first()
    )
    if run is None or delivery.status is not DeliveryState.READY:
        return False
    worst = job_log.worst(run)
    mode = ValidationMode(delivery.validation_mode)
    scheduled = DeliverySchedule.objects.filter(
        delivery=delivery, run_id=run.pk, execution=Execution.AUTOMATIC
    ).exists()
    automatic = mode is ValidationMode.AUTOMATIC or scheduled or delivery.fcp
    goes = (automatic and worst is not JobLevel.ERROR) or (
        mode is ValidationMode.SEMI_AUTOMATIC and worst is JobLevel.INFO
    )
    who = actor or (actor_of(run.operator) if run.operator else internal())
    if not goes or not (delivery.fcp or who.has(Right.START_DELIVERIES)) or approvals.missing(delivery):
        return False
    said = read(delivery)
    if said.missed != "send" and _missed(delivery, said, clock.now()):
        job_log.write(delivery, "missed_ready", actor=who, run=run, level=JobLevel.WARNING)
        return False
    _let_go(delivery, run, who)
    return True


def read(delivery: Delivery) -> Sending:
    """Return how a delivery is sent."""
    return sending.read(delivery.sending, channel=Channel(delivery.message_type))


def _let_go(delivery: Delivery, run: DeliveryRun | None, actor: Actor) -> None:
    now, said = clock.now(), read(delivery)
    start = max(delivery.contact_date or now, now)
    # A continuous delivery is confirmed again and again, and each time it is valid anew.
    again = Kind(delivery.kind) is Kind.CONTINUOUS
    states.move(
        delivery,
        DeliveryState.START_PENDING,
        validity=(None if again else delivery.validity) or said.end(start),
        web_validity=(None if again else delivery.web_validity) or said.web_end(start),
    )
    planned = waves.plan(said.waves, _messages(delivery, run))
    if run is not None and planned and not said.local_time:
        waves.cut(run, planned, start)
    deadline = None
    if said.missed != "send" and delivery.contact_date is not None and not delivery.fcp:
        # Somebody who confirms late has seen the date: it counts from then.
        deadline = start + said.grace
    DeliverySchedule.objects.update_or_create(
        delivery=delivery,
        defaults={
            "confirmed_at": now,
            "confirmed_by": Operator.objects.filter(pk=actor.operator_id).first(),
            "start_before": deadline,
            "analyse_at": None,
        },
    )
    job_log.write(delivery, "confirmed", actor=actor, run=run)
    if planned:
        job_log.write(
            delivery,
            "waves",
            actor=actor,
            run=run,
            count=len(planned),
            start=(start + planned[-1].offset).isoformat(),
        )
    audit.record(actor, records.ENTITY, delivery.internal_name, "Confirm", delivery.pk)
    if delivery.fcp and delivery.parent is not None:
        approvals.submit_ready(delivery.parent, (ApprovalStep.PROOF,), actor=actor)


def _messages(delivery: Delivery, run: DeliveryRun | None) -> int:
    """Return how many messages go out by this analysis; a continuous delivery has others besides."""
    return int(run.counts.get("deliver", 0)) if run is not None else delivery.to_deliver


def _missed(delivery: Delivery, said: Sending, now: datetime) -> bool:
    return delivery.contact_date is not None and delivery.contact_date + said.grace < now


def _spread(delivery: Delivery, run: DeliveryRun, said: Sending, actor: Actor) -> None:
    """Write what is wrong with waves and dates, and order messages by local time."""
    start = max(delivery.contact_date or clock.now(), clock.now())
    try:
        planned = waves.plan(said.waves, _messages(delivery, run))
    except Invalid as error:
        job_log.write(delivery, "failed", actor=actor, run=run, level=JobLevel.ERROR, error=str(error))
        return
    if not said.local_time or delivery.fcp:
        return  # the control rule "last wave" has looked at what is left
    if delivery.contact_date is None:
        job_log.write(delivery, "local_date", actor=actor, run=run, level=JobLevel.ERROR)
        return
    local_time.spread(run, delivery, said, planned, run.batch_quantity)
    last, end = local_time.last(run), said.end(start)
    if last is not None and last >= end:
        detail = {"start": last.isoformat(), "until": end.isoformat()}
        job_log.write(delivery, "wave_late", actor=actor, run=run, level=JobLevel.ERROR, **detail)
