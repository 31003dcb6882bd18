"""Analyses at a date, and deliveries whose date passes before they could start (delivery.md §2.8).

What is due stands in `nms_delivery_schedule`; the workers' timer asks every few seconds, so that nothing is
missed whoever dies. Each piece looks at its row first and may be done twice.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envoi.engine import background
from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict, Invalid, Refused
from envoi.kernel.folders import Access
from envoi.kernel.mail import system_mail
from envoi.kernel.rights import Actor, Right, actor_of, internal
from envoi.packages.delivery.models import (
    Delivery,
    DeliverySchedule,
    DeliveryState,
    Execution,
    JobLevel,
)
from envoi.packages.delivery.services.deliveries import job_log, records, starting, states, targeting

ANALYSE, MISSED = "envoi.delivery_schedule", "envoi.delivery_missed"


def schedule(
    delivery: Delivery, at: datetime, *, actor: Actor, execution: Execution = Execution.ANALYSIS
) -> None:
    """Have a delivery analysed at a date, with the rights of the actor; with `AUTOMATIC` it then starts
    unless there is an error. `reset` takes it back.

    Raises NotAllowed without PREPARE DELIVERIES (START DELIVERIES for automatic execution), Invalid for a
    date in the past, Conflict for what cannot be analysed.
    """
    from envoi.packages.delivery.services.analysis import target

    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    if execution is Execution.AUTOMATIC:
        actor.require(Right.START_DELIVERIES, to=_("start deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    if delivery.is_model:
        raise Conflict(_("%(label)s is a template: make a delivery of it.") % {"label": delivery.label})
    if at.tzinfo is None or at <= clock.now():
        raise Invalid(_("The date of the analysis must lie in the future."))
    target.check(delivery, targeting.read(delivery.targeting, proof=delivery.fcp))
    with transaction.atomic():
        if delivery.status is not DeliveryState.EDITING:
            states.move(delivery, DeliveryState.EDITING)
        states.move(delivery, DeliveryState.TARGET_PENDING)
        DeliverySchedule.objects.update_or_create(
            delivery=delivery,
            defaults={
                "analyse_at": at,
                "execution": execution,
                "operator_id": actor.operator_id or None,
                "run_id": None,
                "start_before": None,
            },
        )
        job_log.write(delivery, "scheduled", actor=actor, start=at.isoformat())
        audit.record(
            actor,
            records.ENTITY,
            delivery.internal_name,
            "Schedule",
            delivery.pk,
            {"at": at.isoformat(), "execution": execution.label},
        )


@background.work(ANALYSE)
def _analyse(delivery_id: int) -> None:
    """Begin the analysis of a delivery whose date has come."""
    from envoi.packages.delivery.services import analysis

    with transaction.atomic():
        plan = (
            DeliverySchedule.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("delivery__folder", "delivery__mapping", "operator")
            .filter(delivery_id=delivery_id, run_id__isnull=True, analyse_at__lte=clock.now())
            .first()
        )
        if plan is None:
            return
        delivery = plan.delivery
        if delivery.status is not DeliveryState.TARGET_PENDING or delivery.delete_status:
            DeliverySchedule.objects.filter(pk=delivery_id).update(analyse_at=None)
            return
        who = actor_of(plan.operator) if plan.operator else internal()
        states.move(delivery, DeliveryState.EDITING)
        try:
            if plan.operator is not None and plan.operator.disabled:
                raise Conflict(_("The operator %(name)s is disabled.") % {"name": plan.operator.name})
            with transaction.atomic():
                run = analysis.start(delivery, actor=who)
                DeliverySchedule.objects.filter(pk=delivery_id).update(run_id=run.pk)
        except Refused as error:
            # It stays editable, and says why: nobody looks at a job that fails.
            delivery.refresh_from_db()
            DeliverySchedule.objects.filter(pk=delivery_id).update(analyse_at=None)
            job_log.write(delivery, "failed", actor=who, level=JobLevel.ERROR, error=str(error))


@background.work(MISSED)
def _miss(delivery_id: int) -> None:
    """Do what is to be done with a delivery that has not started in time: pause it and ask, or stop it."""
    with transaction.atomic():
        plan = (
            DeliverySchedule.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("delivery__created_by", "confirmed_by")
            .filter(delivery_id=delivery_id, start_before__lte=clock.now())
            .first()
        )
        if plan is None:
            return
        delivery = plan.delivery
        DeliverySchedule.objects.filter(pk=delivery_id).update(start_before=None)
        if delivery.status is not DeliveryState.START_PENDING or delivery.broad_start is not None:
            return
        skip = starting.read(delivery).missed == "skip"
        states.move(delivery, DeliveryState.STOP_ASKED if skip else DeliveryState.PAUSE_ASKED)
        if not skip:
            states.move(delivery, DeliveryState.PAUSED)
        job_log.write(
            delivery, "missed_stop" if skip else "missed_pause", actor=internal(), level=JobLevel.WARNING
        )
        person = plan.confirmed_by or delivery.created_by
        if person is None or not person.email or person.disabled:
            return
        with translation.override(person.language or settings.LANGUAGE_CODE):
            config = settings.CONFIG
            values = {
                "instance": config.instance.name,
                "label": delivery.label,
                "link": f"{config.web.address}/deliveries/{delivery.pk}",
            }
            subject = _("%(instance)s: %(label)s did not start in time") % values
            text = (
                _(
                    "The contact date of %(label)s has passed before it could start: it is stopped."
                    "\n\n%(link)s"
                )
                if skip
                else _(
                    "The contact date of %(label)s has passed before it could start: it is paused. Resume it"
                    " or stop it.\n\n%(link)s"
                )
            )
            key = f"delivery-missed:{delivery.pk}:{plan.start_before:%Y%m%dT%H%M%S.%f}"
            system_mail(person.email, " ".join(subject.split()), text % values, key)


@background.lost.answer
def due() -> list[tuple[str, int]]:
    """Return the deliveries whose analysis is due, and those that have missed their date."""
    now = clock.now()
    analyse = DeliverySchedule.objects.filter(
        analyse_at__lte=now, run_id__isnull=True, delivery__state=DeliveryState.TARGET_PENDING
    )
    missed = DeliverySchedule.objects.filter(start_before__lte=now)
    return [
        *((ANALYSE, number) for number in analyse.values_list("pk", flat=True)[:100]),
        *((MISSED, number) for number in missed.values_list("pk", flat=True)[:100]),
    ]
