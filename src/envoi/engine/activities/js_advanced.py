"""Advanced JavaScript code: a persistent task with a script for its first call and one for the
next (engine.md §6.3).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import scripts
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext, stay, wait
from envoi.engine.activities.js import limit_of
from envoi.engine.definition import Activity, Definition
from envoi.engine.schedule import Schedule
from envoi.engine.scripting import Kind
from envoi.kernel.errors import Invalid


class AdvancedJavaScript(ActivityType):
    """Parameters: `first`, `next` (function bodies), `schedule`, `timeout_s`.

    The task ends with `task.setCompleted()`. Its next call comes at the date that the script set, else at
    the next
    date of the schedule, else when someone wakes it up.
    """

    type = "jsadvanced"
    family = "action"
    ways = (("done", "done"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a script, and a schedule that can be read."""
        if not str(activity.parameters.get("first", "")).strip():
            yield _("Activity %(activity)s has no script"), {}
        try:
            _schedule(activity)
        except Misconfigured as error:
            yield _("The schedule of activity %(activity)s is wrong: %(error)s"), {"error": str(error)}

    def run(self, ctx: TaskContext) -> Outcome:
        """Run the script whose turn it is."""
        name = "next" if ctx.memory.get("called") and ctx.parameters.get("next") else "first"
        limit = limit_of(ctx.activity)
        _result, host = scripts.run(ctx, str(ctx.parameters[name]), kind=Kind.FUNCTION, wall_s=limit)
        ctx.memory["called"] = int(ctx.memory.get("called", 0)) + 1
        fired = tuple(host.fired)
        if host.completed:
            return Outcome(fired)
        schedule = _schedule(ctx.activity)
        upcoming = host.next_at or (schedule.next_after(ctx.now, ctx.zone) if schedule else None)
        return wait(upcoming, *fired) if upcoming else stay(*fired)


def _schedule(activity: Activity) -> Schedule | None:
    raw = activity.parameters.get("schedule")
    try:
        return Schedule.from_json(raw) if raw else None
    except Invalid as error:
        raise Misconfigured(str(error)) from error
