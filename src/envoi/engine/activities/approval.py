"""Approval: waits until people have decided (engine.md §7.3)."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from envoi.engine import approvals, assignees, expirations, scripts
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, stay
from envoi.engine.definition import Activity, Definition
from envoi.engine.models import Approval as Asked
from envoi.kernel.mail import system_mail


class Approval(ActivityType):
    """Parameters: `assignee`, `title`, `message`, `multiple` (everyone answers), `expirations`.

    One transition per answer. An expiration that does not end the task is a reminder: who has not answered
    is asked
    again.
    """

    type = "validation"
    family = "event"
    ways = (("yes", "answer"), ("no", "answer"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Look at assignee and expirations."""
        return chain(assignees.check(activity), expirations.check(activity))

    def run(self, ctx: TaskContext) -> Outcome:
        """Ask once, then wait for answers or the next expiration."""
        if not ctx.memory.get("asked"):
            self._ask(ctx)
        if (
            not ctx.parameters.get("multiple")
            and Asked.objects.filter(task_id=ctx.task_id, answered_at__isnull=False).exists()
        ):
            # An accepted answer is on its way; no expiration overtakes it.
            return stay()
        before = len(ctx.memory.get("expired", ()))
        outcome = expirations.step(ctx)
        if outcome.completes:
            approvals.close(ctx.task_id)
        elif len(ctx.memory.get("expired", ())) > before:
            self._remind(ctx)
        return outcome

    def _ask(self, ctx: TaskContext) -> None:
        title = scripts.text(ctx, str(ctx.parameters.get("title") or ctx.activity.label or ctx.activity.name))
        message = scripts.text(ctx, str(ctx.parameters.get("message", "")))
        people = assignees.of(ctx.parameters)
        multiple = bool(ctx.parameters.get("multiple"))
        asked = approvals.ask(
            ctx.workflow_id,
            ctx.task_id,
            ctx.activity.name,
            people,
            title=title,
            message=message,
            multiple=multiple,
        )
        ctx.memory["asked"] = True
        told = sum(_mail(ctx, each, 0) for each in asked)
        ctx.info(
            _("Approval asked of %(count)s people, %(told)s of them by mail"), count=len(asked), told=told
        )

    def _remind(self, ctx: TaskContext) -> None:
        number = len(ctx.memory["expired"])
        left = Asked.objects.select_related("operator").filter(task_id=ctx.task_id, closed_at=None)
        told = sum(_mail(ctx, each, number) for each in left)
        ctx.info(_("Reminder sent to %(count)s people"), count=told)


def _mail(ctx: TaskContext, asked: Asked, number: int) -> bool:
    """Mail one who is asked; False when there is no address."""
    person = asked.operator
    if not person.email:
        return False
    with translation.override(person.language or settings.LANGUAGE_CODE):
        body = gettext("%(message)s\n\nWorkflow: %(workflow)s\nAnswer here: %(link)s") % {
            "message": asked.message,
            "workflow": ctx.workflow_label,
            "link": approvals.link(asked.approval_id),
        }
    system_mail(person.email, " ".join(asked.title.split()), body, f"approval:{asked.approval_id}:{number}")
    return True
