"""Approvals: what waits for whom, and answering it in the console, by a signed link or through the API
(engine.md §7.3).

An answer that is accepted is final. It fires its transition when the workflow goes on; a paused one keeps it
till then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from envoi.engine import definitions, dispatcher, journal, lifecycle, sql
from envoi.engine.definition import Definition
from envoi.engine.journal import Pen
from envoi.engine.models import Approval, QueuedCommand, State, TaskState
from envoi.kernel import audit, clock
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, Right, actor_of

_SALT = "envoi.engine.approvals"


@dataclass(frozen=True)
class Choice:
    """One possible answer."""

    name: str
    label: str


@dataclass(frozen=True)
class Question:
    """An approval as the one sees it who is asked."""

    approval_id: int
    workflow_name: str
    workflow_label: str
    activity: str
    operator: str
    """Name of who is asked."""
    title: str
    message: str
    asked_at: datetime
    expires_at: datetime | None
    choices: tuple[Choice, ...]
    answer: str
    answered_by: str
    closed: bool


def pending(actor: Actor) -> list[Question]:
    """Return what waits for the actor's answer, oldest first."""
    own = Approval.objects.filter(operator_id=actor.operator_id, closed_at=None).order_by("approval_id")
    return [_question(approval) for approval in own.select_related("workflow", "operator")]


def everyones(actor: Actor) -> list[Question]:
    """Return what waits for anybody's answer, oldest first; it can be seen, not answered.

    Raises NotAllowed without APPROVAL ADMINISTRATION.
    """
    actor.require(Right.APPROVAL_ADMINISTRATION, to=_("see the approvals of others"))
    found = Approval.objects.filter(closed_at=None).order_by("approval_id")
    return [_question(approval) for approval in found.select_related("workflow", "operator")]


def question(actor: Actor, approval_id: int) -> Question:
    """Return one question put to the actor, answered or not. Raises NotFound for one that was put
    to others.
    """
    found = Approval.objects.filter(approval_id=approval_id, operator_id=actor.operator_id).first()
    if found is None:
        raise NotFound(
            _("There is no approval %(approval_id)s for %(actor)s.")
            % {"approval_id": approval_id, "actor": actor.name}
        )
    return _question(found)


def anyones_question(actor: Actor, approval_id: int) -> Question:
    """Return one question, whoever it was put to. Raises as `everyones`, and NotFound."""
    actor.require(Right.APPROVAL_ADMINISTRATION, to=_("see the approvals of others"))
    found = Approval.objects.select_related("workflow", "operator").filter(approval_id=approval_id).first()
    if found is None:
        raise NotFound(_("There is no approval %(approval_id)s.") % {"approval_id": approval_id})
    return _question(found)


def question_of_task(actor: Actor, workflow: str, task_id: int) -> Question:
    """Return the question that a task of a workflow (internal name or number) puts to the actor.

    Raises NotFound for a task that asks nobody, or others.
    """
    asked = Approval.objects.filter(task_id=task_id, operator_id=actor.operator_id)
    named = asked.filter(workflow__internal_name=workflow)
    found = (
        named.first() or (asked.filter(workflow_id=int(workflow)) if workflow.isdecimal() else named).first()
    )
    if found is None:
        raise NotFound(
            _("Task %(task)s of workflow %(workflow)s asks nothing of %(actor)s.")
            % {"task": task_id, "workflow": workflow, "actor": actor.name}
        )
    return _question(found)


def token(approval_id: int) -> str:
    """Return a signed text that stands for the one who was asked; part of the link in their mail."""
    return signing.dumps(approval_id, salt=_SALT)


def read_token(text: str) -> tuple[Actor, int]:
    """Return who was asked, and the approval. Raises NotAllowed for a text that we did not sign,
    or a closed account.
    """
    try:
        approval_id = int(signing.loads(text, salt=_SALT))
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise NotAllowed(_("This link is not valid. Open the approval in the console.")) from error
    found = Approval.objects.select_related("operator__folder").filter(approval_id=approval_id).first()
    if found is None or found.operator.disabled:
        raise NotAllowed(_("This link is no longer valid."))
    return actor_of(found.operator), approval_id


def link(approval_id: int) -> str:
    """Return the address under which an approval is answered."""
    return f"{settings.CONFIG.web.address}/approve/{token(approval_id)}"


def answer(actor: Actor, approval_id: int, choice: str, comment: str = "") -> None:
    """Answer. Raises NotAllowed for anyone but the one asked, Conflict when it is too late,
    Invalid for no choice.
    """
    with transaction.atomic():
        approval = Approval.objects.filter(approval_id=approval_id).first()
        if approval is None:
            raise NotFound(_("There is no approval %(approval_id)s.") % {"approval_id": approval_id})
        row = lifecycle.lock(approval.workflow_id)
        approval.refresh_from_db()
        if approval.operator_id != actor.operator_id:
            raise NotAllowed(
                _("This question was put to %(operator)s, so %(actor)s may not answer it.")
                % {"operator": approval.operator, "actor": actor.name}
            )
        if row is None:
            raise NotFound(_("The workflow no longer exists."))
        _require_open(approval)
        names = [
            each.name
            for each in choices(
                definitions.of(row["workflow_id"], row["definition_number"]), approval.activity
            )
        ]
        if choice not in names:
            raise Invalid(
                _("%(choice)r is no answer here; possible are %(names)s.")
                % {"choice": choice, "names": ", ".join(names)}
            )
        now = clock.now()
        Approval.objects.filter(pk=approval.pk).update(
            answer=choice, comment=comment, answered_at=now, closed_at=now
        )
        others = Approval.objects.filter(task_id=approval.task_id, closed_at=None)
        last = not approval.multiple or not others.exists()
        if not approval.multiple:
            others.update(closed_at=now)
        QueuedCommand.objects.create(
            workflow_id=approval.workflow_id,
            command="PostEvent",
            parameters={
                "activity": approval.activity,
                "task": approval.task_id,
                "transition": choice,
                "variables": {"response": comment, "responseOperator": str(actor.operator_id)},
                "complete": last,
            },
            operator_id=actor.operator_id,
            operator_name=actor.name,
            created_at=now,
        )
        detail: dict[str, Any] = {"activity": approval.activity, "answer": choice}
        audit.record(actor, "xtk:workflow", row["internal_name"], "Reply", row["workflow_id"], detail)
        dispatcher.enqueue_commands(row["workflow_id"], row["affinity"])


def withdraw(actor: Actor, approval_id: int) -> None:
    """Take a question away from all to whom it was put: its task is aborted, and its branch ends (§7.3).

    Raises NotAllowed without APPROVAL ADMINISTRATION, which gives no right to answer for others; NotFound;
    Conflict when nothing waits any more.
    """
    actor.require(Right.APPROVAL_ADMINISTRATION, to=_("withdraw the approvals of others"))
    with transaction.atomic():
        approval = Approval.objects.filter(approval_id=approval_id).first()
        row = lifecycle.lock(approval.workflow_id) if approval else None
        if approval is None or row is None:
            raise NotFound(_("There is no approval %(approval_id)s.") % {"approval_id": approval_id})
        pen = Pen(approval.activity, approval.task_id)
        pen.info(gettext_noop("The question was withdrawn (operator '%(operator)s')"), operator=actor.name)
        approval.refresh_from_db()
        if approval.closed_at is not None or not lifecycle.withdraw(row, approval.task_id, pen):
            raise Conflict(_("It is too late: the approval has expired or was dropped."))
        close(approval.task_id)
        journal.write(row["workflow_id"], row["run_number"], pen.lines, parent_task_id=row["parent_task_id"])
        detail = {"activity": approval.activity, "task": approval.task_id}
        audit.record(actor, "xtk:workflow", row["internal_name"], "Withdraw", row["workflow_id"], detail)


def choices(definition: Definition, activity: str) -> tuple[Choice, ...]:
    """Return the possible answers of an approval activity, in the order in which they are drawn."""
    found = definition.by_name.get(activity)
    ways = found.transitions if found else ()
    return tuple(Choice(w.name, w.label or w.name) for w in ways if w.enabled and w.kind != "timeout")


def _require_open(approval: Approval) -> None:
    if approval.answered_at is not None:
        raise Conflict(_("You have answered already; an answer cannot be changed."))
    if approval.closed_at is not None:
        first = (
            Approval.objects.select_related("operator")
            .filter(task_id=approval.task_id, answered_at__isnull=False)
            .first()
        )
        if first is not None and not approval.multiple:
            raise Conflict(
                _("%(operator)s has answered already: %(answer)s.")
                % {"operator": first.operator, "answer": first.answer}
            )
        raise Conflict(_("It is too late: the approval has expired or was dropped."))
    task = sql.one(
        """SELECT t.status, w.state FROM xtk_workflow_task t JOIN xtk_workflow w ON w.workflow_id =
        t.workflow_id
           WHERE t.task_id = %(task)s""",
        {"task": approval.task_id},
    )
    if task is None or task["status"] != TaskState.PENDING or task["state"] == State.FINISHED:
        raise Conflict(_("It is too late: the approval has expired or was dropped."))


def _question(approval: Approval) -> Question:
    workflow = approval.workflow
    definition = definitions.of(workflow.workflow_id, workflow.definition_number)
    task = sql.one(
        "SELECT due_at FROM xtk_workflow_task WHERE task_id = %(task)s", {"task": approval.task_id}
    )
    answered = (
        Approval.objects.select_related("operator")
        .filter(task_id=approval.task_id, answered_at__isnull=False)
        .order_by("answered_at")
        .first()
    )
    return Question(
        approval_id=approval.approval_id,
        workflow_name=workflow.internal_name,
        workflow_label=workflow.label,
        activity=approval.activity,
        operator=approval.operator.name,
        title=approval.title,
        message=approval.message,
        asked_at=approval.asked_at,
        expires_at=task["due_at"] if task else None,
        choices=choices(definition, approval.activity),
        answer=approval.answer or (answered.answer if answered and not approval.multiple else ""),
        answered_by=str(answered.operator) if answered else "",
        closed=approval.closed_at is not None,
    )


def ask(
    workflow_id: int,
    task_id: int,
    activity: str,
    people: list[Operator],
    *,
    title: str,
    message: str,
    multiple: bool,
) -> list[Approval]:
    """Put a question to people, in the activity's transaction."""
    now = clock.now()
    return Approval.objects.bulk_create(
        Approval(
            workflow_id=workflow_id,
            task_id=task_id,
            activity=activity,
            operator=person,
            title=title[:255],
            message=message,
            multiple=multiple,
            asked_at=now,
        )
        for person in people
    )


def close(task_id: int) -> None:
    """Note that a question can no longer be answered."""
    Approval.objects.filter(task_id=task_id, closed_at=None).update(closed_at=clock.now())
