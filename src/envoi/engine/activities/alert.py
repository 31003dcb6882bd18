"""Alert: tells people by mail, and goes on (engine.md §6.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import assignees, scripts
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition
from envoi.kernel.mail import system_mail


class Alert(ActivityType):
    """Parameters: `assignee`, `title`, `message`; both texts may hold `<%= … %>`."""

    type = "alert"
    family = "event"
    ways = (("done", "done"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Look at the assignee."""
        return assignees.check(activity)

    def run(self, ctx: TaskContext) -> Outcome:
        """Post the mails."""
        title = scripts.text(ctx, str(ctx.parameters.get("title") or ctx.activity.label or ctx.activity.name))
        message = scripts.text(ctx, str(ctx.parameters.get("message", "")))
        people = [person for person in assignees.of(ctx.parameters) if person.email]
        for person in people:
            key = f"alert:{ctx.task_id}:{person.operator_id}"
            system_mail(person.email, " ".join(title.split()), message, key)
        ctx.info(_("Alert posted to %(count)s people"), count=len(people))
        return fire("done")
