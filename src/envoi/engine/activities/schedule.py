"""Scheduler: one task that stays, and fires at its dates (engine.md §7.1).

A date that was missed while nothing ran is fired once, late; the next one is computed from then.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Fired, Misconfigured, Outcome, TaskContext, wait
from envoi.engine.definition import Activity, Definition
from envoi.engine.schedule import Schedule
from envoi.kernel.errors import Invalid


class Scheduler(ActivityType):
    """Parameters: `schedule`, the JSON form of `engine.schedule.Schedule`."""

    type = "schedule"
    family = "event"

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Read the schedule."""
        try:
            Schedule.from_json(activity.parameters.get("schedule") or {})
        except Invalid as error:
            yield _("The schedule of activity %(activity)s is wrong: %(error)s"), {"error": str(error)}

    def run(self, ctx: TaskContext) -> Outcome:
        """Fire if a date has come, and wait for the next one; complete when there is none left."""
        try:
            schedule = Schedule.from_json(ctx.parameters.get("schedule") or {})
        except Invalid as error:
            raise Misconfigured(str(error)) from error
        fired = int(ctx.memory.get("fired", 0))
        planned = ctx.memory.get("next")
        fires = ctx.woken or (planned is not None and datetime.fromisoformat(planned) <= ctx.now)
        if fires:
            fired += 1
        upcoming = schedule.next_after(ctx.now, ctx.zone, fired=fired)
        ctx.memory.update(fired=fired, next=upcoming.isoformat() if upcoming else None)
        firing = (Fired("transition"),) if fires else ()
        return wait(upcoming, *firing) if upcoming else Outcome(firing, dropped=not fires)
