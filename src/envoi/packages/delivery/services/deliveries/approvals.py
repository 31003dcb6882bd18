"""What of a delivery has to be approved before it goes out, and by whom (delivery.md §2.4).

    {"target": {"operators": ["ann"], "groups": ["reviewers"], "submission": "automatic" | "manual",
                "deadline": "3d", "reminders": ["2d"]}, "content": …, "extraction": …, "proof": …, "start": …}

One answer settles a step. Without reviewers, or when none of them is active, the owner is asked. An
administrator may answer without having been asked. What was submitted is void when it has changed since: the
target with the next analysis, content and proof with the content.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envoi.engine import background
from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.mail import system_mail
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, Right, internal
from envoi.packages.delivery.models import (
    ApprovalStep,
    Delivery,
    DeliveryApproval,
    DeliveryReviewer,
    DeliveryRun,
    DeliveryState,
    JobLevel,
    RunStep,
)
from envoi.packages.delivery.services.deliveries import job_log, sending, states

JOB = "envoi.approval"
_ENTITY = "nms:delivery"
DEADLINE = timedelta(days=3)
REMINDERS = (timedelta(days=2),)
BEFORE_START = (ApprovalStep.TARGET, ApprovalStep.CONTENT, ApprovalStep.PROOF, ApprovalStep.START)
"""Steps without which a delivery cannot be confirmed; an extraction is approved when its file is there."""
_CONTENT = (
    "subject", "from_name", "from_address", "reply_to", "html_source", "text_source", "content_format",
    "variants",
)  # fmt: skip
Standing = Literal["to submit", "waits", "approved", "rejected"]


@dataclass(frozen=True)
class Wanted:
    """How one step is approved."""

    operators: tuple[str, ...]
    groups: tuple[str, ...]
    automatic: bool
    deadline: timedelta
    reminders: tuple[timedelta, ...]


@dataclass(frozen=True)
class Line:
    """Where one step stands. `approval`: the latest submission of what there is now."""

    step: ApprovalStep
    wanted: Wanted
    standing: Standing
    approval: DeliveryApproval | None


def read(said: Mapping[str, Any]) -> dict[ApprovalStep, Wanted]:
    """Return what is to be approved. Raises Invalid, naming what is wrong."""
    if not isinstance(cast("Any", said), Mapping):
        raise Invalid(_("%(place)s must be an object.") % {"place": "approvals"})
    if strange := sorted(set(said) - set(ApprovalStep.values)):
        raise Invalid(
            _("The approvals of a delivery have no %(name)r; known are %(known)s.")
            % {"name": strange[0], "known": ", ".join(ApprovalStep.values)}
        )
    return {step: _wanted(said[step], step) for step in ApprovalStep if said.get(step) is not None}


def standing(delivery: Delivery) -> list[Line]:
    """Return where the steps stand that are to be approved, in their order."""
    found: list[Line] = []
    for step, wanted in read(delivery.approvals).items():
        latest = (
            DeliveryApproval.objects.select_related("submitted_by", "answered_by")
            .filter(delivery=delivery, step=step, basis=_basis(delivery, step))
            .first()
        )
        word: Standing = "to submit"
        if latest is not None:
            word = "waits" if latest.approved is None else "approved" if latest.approved else "rejected"
        found.append(Line(step, wanted, word, latest))
    return found


def missing(delivery: Delivery) -> list[ApprovalStep]:
    """Return the steps before the start that are not approved."""
    return [
        each.step for each in standing(delivery) if each.step in BEFORE_START and each.standing != "approved"
    ]


def approved(delivery: Delivery, step: ApprovalStep) -> bool:
    """Return whether a step needs no approval (any more)."""
    return all(each.standing == "approved" for each in standing(delivery) if each.step == step)


def reviewers(delivery: Delivery, wanted: Wanted) -> list[Operator]:
    """Return who is asked: the active ones of those named and of the groups, else the owner, else nobody."""
    named = Operator.objects.filter(disabled=False, technical=False)
    found = {each.pk: each for each in named.filter(name__in=wanted.operators)}
    found |= {each.pk: each for each in named.filter(operator_groups__name__in=wanted.groups)}
    if not found and delivery.created_by is not None and not delivery.created_by.disabled:
        return [delivery.created_by]
    return [found[number] for number in sorted(found)]


def may_answer(approval: DeliveryApproval, actor: Actor) -> bool:
    """Return whether the actor may answer: one of those asked, or an administrator."""
    return approval.approved is None and (
        actor.has(Right.ADMINISTRATION)
        or DeliveryReviewer.objects.filter(approval=approval, operator_id=actor.operator_id).exists()
    )


def waiting(actor: Actor) -> list[DeliveryApproval]:
    """Return what waits for the actor's answer, oldest first."""
    found = DeliveryApproval.objects.filter(
        approved__isnull=True, reviewers__operator_id=actor.operator_id, delivery__delete_status=0
    )
    return list(found.select_related("delivery").order_by("delivery_approval_id"))


def submit(delivery: Delivery, step: ApprovalStep, *, actor: Actor) -> DeliveryApproval:
    """Ask for the approval of a step, in the caller's transaction; reviewers get a mail.

    Raises NotAllowed without PREPARE DELIVERIES, Invalid for a step that needs none, Conflict when it waits
    or is approved already, or when there is nothing yet to be approved.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    line = next((each for each in standing(delivery) if each.step == step), None)
    if line is None:
        raise Invalid(_("%(label)s needs no approval of this.") % {"label": delivery.label})
    if line.standing in ("waits", "approved"):
        raise Conflict(_("This is submitted already: %(label)s.") % {"label": delivery.label})
    _check_ready(delivery, step)
    return _submit(delivery, line, actor, by_hand=True)


def submit_ready(delivery: Delivery, steps: Iterable[ApprovalStep], *, actor: Actor) -> None:
    """Submit those of `steps` that are submitted by themselves and wait for nothing else, in the caller's
    transaction.
    """
    for line in standing(delivery):
        if line.step in steps and line.wanted.automatic and line.standing == "to submit":
            _submit(delivery, line, actor, by_hand=False)


def answer(approval_id: int, yes: bool, *, actor: Actor, comment: str = "") -> Delivery:
    """Settle a step, in a transaction of its own; returns the delivery, which may have started by that.

    Raises NotFound, NotAllowed for others than those asked, Conflict when it is settled or void, Invalid for
    a rejection without a reason.
    """
    from envoi.packages.delivery.services.deliveries import starting

    comment = comment.strip()
    if not yes and not comment:
        raise Invalid(_("Say why: the one who asked will read it."))
    with transaction.atomic():
        approval = (
            DeliveryApproval.objects.select_related("delivery__folder", "delivery__mapping")
            .filter(pk=approval_id, delivery__delete_status=0)
            .first()
        )
        if approval is None:
            raise NotFound(_("There is no approval %(approval_id)s.") % {"approval_id": approval_id})
        delivery, step = approval.delivery, ApprovalStep(approval.step)
        if approval.approved is not None:
            raise Conflict(_("Somebody has answered already."))
        if not may_answer(approval, actor):
            raise NotAllowed(_("%(name)s is not among those who are asked.") % {"name": actor.name})
        if approval.basis != _basis(delivery, step):
            raise Conflict(
                _("%(label)s has changed since: it must be submitted again.") % {"label": delivery.label}
            )
        touched = DeliveryApproval.objects.filter(pk=approval_id, approved__isnull=True).update(
            approved=yes,
            answered_at=clock.now(),
            answered_by_id=actor.operator_id or None,
            comment=comment,
            remind_at=None,
        )
        if not touched:
            raise Conflict(_("Somebody has answered already."))
        approval.refresh_from_db()
        _record(delivery, step, yes, comment, actor)
        _tell_answer(approval, actor)
        if yes:
            starting.start_by_itself(delivery)
    return delivery


def settle_start(delivery: Delivery, *, actor: Actor) -> None:
    """Take a confirmation by somebody who may start the delivery as the approval of its start, in the
    caller's transaction. Raises NotAllowed for others, when the start is not approved yet.
    """
    line = next((each for each in standing(delivery) if each.step == ApprovalStep.START), None)
    if line is None or line.standing == "approved":
        return
    if not starts(delivery, line.wanted, actor):
        raise NotAllowed(
            _("%(name)s is not among those who may start %(label)s.")
            % {"name": actor.name, "label": delivery.label}
        )
    approval = line.approval
    if approval is None or approval.approved is not None:
        approval = _make(delivery, line, actor)
    DeliveryApproval.objects.filter(pk=approval.pk).update(
        approved=True, answered_at=clock.now(), answered_by_id=actor.operator_id or None, remind_at=None
    )


def starts(delivery: Delivery, wanted: Wanted, actor: Actor) -> bool:
    """Return whether the actor may start a delivery whose starters are named: they, administrators, and the
    owner where NMS_ActivateOwnerConfirmation says so (delivery.md §1.5).
    """
    from envoi.kernel import options

    if actor.has(Right.ADMINISTRATION):
        return True
    if any(each.pk == actor.operator_id for each in reviewers(delivery, wanted)):
        return True
    owner = options.get("NMS_ActivateOwnerConfirmation", actor=internal(), default=False)
    return bool(owner) and delivery.created_by is not None and delivery.created_by.pk == actor.operator_id


def _check_ready(delivery: Delivery, step: ApprovalStep) -> None:
    if step in (ApprovalStep.TARGET, ApprovalStep.START, ApprovalStep.EXTRACTION):
        run = DeliveryRun.objects.filter(pk=delivery.run_id, step=RunStep.READY).first()
        if run is None or delivery.state not in (DeliveryState.READY, DeliveryState.EXTRACTION):
            raise Conflict(_("Analyse %(label)s first.") % {"label": delivery.label})
        if job_log.worst(run) is JobLevel.ERROR:
            raise Conflict(
                _("The analysis of %(label)s has errors: correct them and analyse it again.")
                % {"label": delivery.label}
            )
    elif step is ApprovalStep.PROOF:
        proofs = Delivery.objects.filter(parent=delivery, fcp=True, delete_status=0)
        if not proofs.filter(state__gte=DeliveryState.START_PENDING).exists():
            raise Conflict(_("Send a proof of %(label)s first.") % {"label": delivery.label})
    elif delivery.status in states.ANALYSED:
        raise Conflict(_("%(label)s is being analysed already.") % {"label": delivery.label})


def _submit(delivery: Delivery, line: Line, actor: Actor, *, by_hand: bool) -> DeliveryApproval:
    made = _make(delivery, line, actor if by_hand else None)
    people = reviewers(delivery, line.wanted)
    DeliveryReviewer.objects.bulk_create(DeliveryReviewer(approval=made, operator=each) for each in people)
    job_log.write(
        delivery, "submitted", actor=actor, step=line.step.value, names=[each.name for each in people]
    )
    audit.record(actor, _ENTITY, delivery.internal_name, "Submit", delivery.pk, {"step": line.step.value})
    for each in people:
        _ask(made, each, 0)
    return made


def _make(delivery: Delivery, line: Line, actor: Actor | None) -> DeliveryApproval:
    now = clock.now()
    # What was submitted before, and no longer fits, is closed.
    DeliveryApproval.objects.filter(delivery=delivery, step=line.step, approved__isnull=True).update(
        approved=False, answered_at=now, remind_at=None
    )
    reminders = line.wanted.reminders
    try:
        with transaction.atomic():
            return DeliveryApproval.objects.create(
                delivery=delivery,
                step=line.step,
                basis=_basis(delivery, line.step),
                submitted_at=now,
                submitted_by_id=(actor.operator_id or None) if actor else None,
                due_at=now + line.wanted.deadline,
                remind_at=now + reminders[0] if reminders else None,
            )
    except IntegrityError as error:
        raise Conflict(_("This is submitted already: %(label)s.") % {"label": delivery.label}) from error


def _basis(delivery: Delivery, step: ApprovalStep) -> str:
    if step in (ApprovalStep.CONTENT, ApprovalStep.PROOF):
        told = "\x1f".join(str(getattr(delivery, name)) for name in _CONTENT)
        return hashlib.sha256(told.encode()).hexdigest()
    return str(delivery.run_id or 0)


def _record(delivery: Delivery, step: ApprovalStep, yes: bool, comment: str, actor: Actor) -> None:
    level = JobLevel.INFO if yes else JobLevel.WARNING
    detail = {"step": step.value} if yes else {"step": step.value, "comment": comment}
    job_log.write(delivery, "approved" if yes else "rejected", actor=actor, level=level, **detail)  # pyright: ignore[reportArgumentType]
    action = "Approve" if yes else "Reject"
    audit.record(actor, _ENTITY, delivery.internal_name, action, delivery.pk, {"step": step.value})


def _ask(approval: DeliveryApproval, person: Operator, number: int) -> None:
    if not person.email:
        return
    with translation.override(person.language or settings.LANGUAGE_CODE):
        subject = _("%(instance)s: %(label)s waits for your approval: %(step)s")
        if number:
            subject = _("%(instance)s: %(label)s still waits for your approval: %(step)s")
        text = _(
            "The delivery %(label)s (%(name)s) on instance %(instance)s waits for an answer: %(step)s. It is"
            " asked for by %(due)s (UTC).\n\n%(link)s"
        )
        _mail(approval, person, subject, text, f"ask:{number}")


def _tell_answer(approval: DeliveryApproval, actor: Actor) -> None:
    person = approval.submitted_by or approval.delivery.created_by
    if person is None or not person.email or person.disabled or person.pk == actor.operator_id:
        return
    with translation.override(person.language or settings.LANGUAGE_CODE):
        if approval.approved:
            subject = _("%(instance)s: %(label)s is approved: %(step)s")
            text = _("%(who)s has approved this of the delivery %(label)s (%(name)s): %(step)s.\n\n%(link)s")
        else:
            subject = _("%(instance)s: %(label)s is not approved: %(step)s")
            text = _(
                "%(who)s has not approved this of the delivery %(label)s (%(name)s): %(step)s.\n\n"
                "%(comment)s\n\n%(link)s"
            )
        _mail(approval, person, subject, text, "answer", who=actor.label or actor.name)


def _mail(
    approval: DeliveryApproval, person: Operator, subject: str, text: str, key: str, **more: str
) -> None:
    config, delivery = settings.CONFIG, approval.delivery
    values = {
        "instance": config.instance.name,
        "label": delivery.label,
        "name": delivery.internal_name,
        "step": _(job_log.STEPS[ApprovalStep(approval.step)]),
        "due": f"{approval.due_at:%Y-%m-%d %H:%M}",
        "comment": approval.comment,
        "link": f"{config.web.address}/deliveries/{delivery.pk}/approval",
        **more,
    }
    system_mail(
        person.email,
        " ".join((subject % values).split()),
        text % values,
        f"delivery-approval:{approval.pk}:{key}:{person.pk}",
    )


@background.work(JOB)
def _remind(approval_id: int) -> None:
    """Send the reminders that are due, and say when the next ones are."""
    with transaction.atomic():
        approval = (
            DeliveryApproval.objects.select_for_update(of=("self",), skip_locked=True)
            .select_related("delivery")
            .filter(pk=approval_id, approved__isnull=True, remind_at__lte=clock.now())
            .first()
        )
        if approval is None:
            return
        delivery, step = approval.delivery, ApprovalStep(approval.step)
        wanted = read(delivery.approvals).get(step)
        number, next_at = approval.reminded + 1, None
        if wanted is not None and approval.basis == _basis(delivery, step) and not delivery.delete_status:
            for each in DeliveryReviewer.objects.select_related("operator").filter(
                approval=approval, operator__disabled=False
            ):
                _ask(approval, each.operator, number)
            if number < len(wanted.reminders):
                next_at = approval.submitted_at + wanted.reminders[number]
        DeliveryApproval.objects.filter(pk=approval.pk).update(reminded=number, remind_at=next_at)


@background.lost.answer
def reminders_due() -> list[tuple[str, int]]:
    """Return the approvals whose reviewers are to be reminded."""
    due = DeliveryApproval.objects.filter(remind_at__lte=clock.now(), approved__isnull=True)
    return [(JOB, number) for number in due.values_list("pk", flat=True)[:100]]


def _wanted(said: Any, step: ApprovalStep) -> Wanted:
    names = {"operators", "groups", "submission", "deadline", "reminders"}
    if not isinstance(said, Mapping):
        raise Invalid(_("%(place)s must be an object.") % {"place": f"approvals/{step}"})
    given = cast("Mapping[str, Any]", said)
    if strange := sorted(set(given) - names):
        raise Invalid(
            _("The approvals of a delivery have no %(name)r; known are %(known)s.")
            % {"name": f"{step}/{strange[0]}", "known": ", ".join(sorted(names))}
        )
    way = given.get("submission") or "automatic"
    if way not in ("automatic", "manual"):
        raise Invalid(
            _("%(place)s must be one of %(known)s.")
            % {"place": f"approvals/{step}/submission", "known": "automatic, manual"}
        )
    deadline = given.get("deadline")
    reminders = given.get("reminders")
    return Wanted(
        operators=_names(given.get("operators"), f"approvals/{step}/operators"),
        groups=_names(given.get("groups"), f"approvals/{step}/groups"),
        automatic=way == "automatic",
        deadline=sending.duration(deadline, f"approvals/{step}/deadline") if deadline else DEADLINE,
        reminders=(
            REMINDERS
            if reminders is None
            else tuple(
                sorted(
                    sending.duration(each, f"approvals/{step}/reminders")
                    for each in _listed(reminders, f"approvals/{step}/reminders")
                )
            )
        ),
    )


def _listed(said: Any, place: str) -> list[Any]:
    if said in (None, ""):
        return []
    if not isinstance(said, list):
        raise Invalid(_("%(place)s must be a list.") % {"place": place})
    return cast("list[Any]", said)


def _names(said: Any, place: str) -> tuple[str, ...]:
    return tuple(str(each) for each in _listed(said, place))
