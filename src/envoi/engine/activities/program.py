"""External task: runs a program on the worker's host (engine.md §6.3); `engine.programs` says which."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import programs, scripts
from envoi.engine.activities.base import ActivityType, Failed, Outcome, TaskContext, fire
from envoi.engine.activities.js import limit_of
from envoi.engine.definition import Activity, Definition

MOST_LINES = 1000


class Program(ActivityType):
    """Parameters: `program`, `arguments` (texts, may hold `<%= … %>`), `timeout_s`. Output goes to
    the journal.
    """

    type = "externaltask"
    family = "action"
    ways = (("done", "done"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a program."""
        if not str(activity.parameters.get("program", "")).startswith("/"):
            yield _("Activity %(activity)s needs the absolute path of a program"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Run it, and fail unless it ends with 0."""
        program = str(ctx.parameters.get("program", ""))
        arguments = [scripts.text(ctx, str(each)) for each in ctx.parameters.get("arguments", ())]
        ended = programs.execute(ctx, program, arguments, limit_s=limit_of(ctx.activity))
        for line in ended.output.splitlines()[:MOST_LINES]:
            ctx.info("%(line)s", line=line)
        if ended.status:
            raise Failed(f"{program} ended with {ended.status}.")
        return fire("done")
