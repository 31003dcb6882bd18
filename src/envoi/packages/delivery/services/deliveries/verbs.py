"""What an operator does with a delivery after its analysis, and which of it is possible now.

Pausing and stopping are asked for: senders finish what they hold. Where none has anything, it is so at once.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import (
    ApprovalStep,
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryPart,
    DeliveryRun,
    DeliverySchedule,
    DeliveryState,
    JobLevel,
    MessageStatus,
    RunStep,
    SenderProcess,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.deliveries import approvals, job_log, records, states

S = DeliveryState
ON_ITS_WAY = frozenset({S.START_PENDING, S.IN_PROGRESS, S.RETRY_PENDING, S.RETRYING})
_STOPPABLE = ON_ITS_WAY | {S.PAUSED}
SEEN = timedelta(seconds=15)
"""A sender that was seen within this time is taken to be alive."""
_OVER = frozenset({S.FINISHED, S.STOPPED})


def possible(delivery: Delivery, actor: Actor) -> set[str]:
    """Return what the actor may do now: of analyse, schedule, confirm, pause, resume, stop, reset, proof,
    resend, duplicate, change, delete.
    """
    found: set[str] = set()
    prepares, starts = actor.has(Right.PREPARE_DELIVERIES), actor.has(Right.START_DELIVERIES)
    if prepares:
        found.add("duplicate")
    if not (prepares or starts) or not folders.may(actor, delivery.folder, Access.WRITE):
        return found
    state, begun = delivery.status, states.has_begun(delivery)
    if prepares and state in states.EDITABLE and not begun:
        found.add("change")
        if not delivery.is_model:
            found |= {"analyse", "schedule"} | (set() if delivery.fcp else {"proof"})
    if delivery.is_model:
        return found | (set() if delivery.built_in or not prepares else {"delete"})
    if prepares:
        if state not in states.RUNNING | states.ANALYSED | {S.STOP_ASKED, S.STOPPING}:
            found.add("delete")
        if (state in (S.READY, S.FAILED, S.TARGET_READY) and not begun) or (
            state is S.TARGET_PENDING and _only_scheduled(delivery)
        ):
            found.add("reset")
        if (
            (state in _OVER or begun)
            and not delivery.fcp
            and DeliveryMode(delivery.delivery_mode) is DeliveryMode.BULK
        ):
            found.add("resend")
    if starts and state is S.READY and _confirmable(delivery, actor):
        found.add("confirm")
    if starts or (prepares and delivery.fcp):
        found |= {"pause"} if state in ON_ITS_WAY else set()
        found |= {"stop"} if state in _STOPPABLE else set()
        found |= {"resume"} if state is S.PAUSED else set()
    return found


def pause(delivery: Delivery, *, actor: Actor) -> None:
    """Let no further message go out until it is resumed.

    Raises NotAllowed, Conflict when it is not on its way.
    """
    _require(delivery, actor, _("pause deliveries"))
    with transaction.atomic():
        states.move(delivery, S.PAUSE_ASKED)
        if not at_work(delivery):
            states.move(delivery, S.PAUSED)
        _note(delivery, "pause", "Pause", actor)


def resume(delivery: Delivery, *, actor: Actor) -> None:
    """Let a paused delivery go on, however late it is. Raises NotAllowed, Conflict when it is not paused."""
    _require(delivery, actor, _("resume deliveries"))
    with transaction.atomic():
        states.move(delivery, S.START_PENDING)
        DeliverySchedule.objects.filter(delivery=delivery).update(start_before=None)
        _note(delivery, "resumed", "Resume", actor)


def stop(delivery: Delivery, *, actor: Actor) -> None:
    """Stop a delivery for good: what has not gone out is cancelled. Raises NotAllowed, Conflict."""
    _require(delivery, actor, _("stop deliveries"))
    with transaction.atomic():
        states.move(delivery, S.STOP_ASKED)
        _note(delivery, "stop", "Stop", actor)
        if not _by_sender(delivery):
            _cancel(delivery)
            states.move(delivery, S.STOPPED, broad_end=clock.now())


def reset(delivery: Delivery, *, actor: Actor) -> None:
    """Bring a delivery back to being edited: one that is ready or has failed, or that only waits for the date
    of its analysis. What the analysis found stays until the next one. Raises NotAllowed, Conflict.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    with transaction.atomic():
        if delivery.status is S.TARGET_PENDING and not _only_scheduled(delivery):
            raise Conflict(_("%(label)s is being analysed already.") % {"label": delivery.label})
        states.require_unbegun(delivery)
        states.move(delivery, S.EDITING)
        DeliverySchedule.objects.filter(delivery=delivery).update(analyse_at=None)
        _note(delivery, "reset", "Reset", actor)


def duplicate(
    delivery: Delivery, *, actor: Actor, label: str = "", folder: Folder | None = None, **values: Any
) -> Delivery:
    """Make a copy that is being edited, in the folder of what it copies; of a template a template.

    Raises as `create`.
    """
    named = label or (_("Copy of %(label)s") % {"label": delivery.label})[:128]
    return records.create(
        delivery,
        actor=actor,
        label=named,
        folder=folder or delivery.folder,
        as_template=delivery.is_model,
        **values,
    )


def at_work(delivery: Delivery) -> bool:
    """Return whether a sender holds messages of a delivery, or one lives that may be about to take some."""
    if not _by_sender(delivery):
        return False
    return DeliveryPart.objects.filter(delivery=delivery).exclude(journal="").exists() or sender_alive()


def sender_alive() -> bool:
    """Return whether a sender was seen a moment ago, on any host."""
    return SenderProcess.objects.filter(seen_at__gt=clock.now() - SEEN).exists()


def known_starters(delivery: Delivery) -> Mapping[str, str]:
    """Return who owns a delivery and who has confirmed it, by name; empty where nobody did."""
    plan = DeliverySchedule.objects.select_related("confirmed_by").filter(delivery=delivery).first()
    owner, starter = delivery.created_by, plan.confirmed_by if plan else None
    return {"owner": owner.name if owner else "", "confirmed_by": starter.name if starter else ""}


def _confirmable(delivery: Delivery, actor: Actor) -> bool:
    run = DeliveryRun.objects.filter(pk=delivery.run_id, step=RunStep.READY).first()
    if run is None or job_log.worst(run) is JobLevel.ERROR:
        return False
    for each in approvals.standing(delivery):
        if each.step is ApprovalStep.START:
            if each.standing != "approved" and not approvals.starts(delivery, each.wanted, actor):
                return False
        elif each.step in approvals.BEFORE_START and each.standing != "approved":
            return False
    return True


def _only_scheduled(delivery: Delivery) -> bool:
    return DeliverySchedule.objects.filter(
        delivery=delivery, analyse_at__isnull=False, run_id__isnull=True
    ).exists()


def _by_sender(delivery: Delivery) -> bool:
    """Return whether senders move the delivery along: others are nobody's but the operator's."""
    channel, mode = Channel(delivery.message_type), DeliveryMode(delivery.delivery_mode)
    return channel is Channel.EMAIL and mode is DeliveryMode.BULK


def _cancel(delivery: Delivery) -> None:
    for run in DeliveryRun.objects.filter(pk=delivery.run_id):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE {quoted(log_tables.table("broad_log", run.storage))}
                    SET status = %s, modified_at = %s WHERE run_id = %s AND status = %s""",  # noqa: S608 quoted
                [int(MessageStatus.CANCELLED), clock.now(), run.pk, int(MessageStatus.PENDING)],
            )
    DeliveryPart.objects.filter(delivery=delivery).delete()


def _require(delivery: Delivery, actor: Actor, to: str) -> None:
    right = Right.PREPARE_DELIVERIES if delivery.fcp else Right.START_DELIVERIES
    actor.require(right, to=to)
    folders.require(actor, delivery.folder, Access.WRITE)


def _note(delivery: Delivery, code: str, action: str, actor: Actor) -> None:
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    job_log.write(delivery, code, actor=actor, run=run)
    audit.record(actor, records.ENTITY, delivery.internal_name, action, delivery.pk)
