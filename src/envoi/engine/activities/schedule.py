"""Scheduler: one task that stays, and fires at its dates (engine.md §7.1).

A date that was missed while nothing ran is fired once, late; the next one is computed from then.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import expirations
from envoi.engine.activities.base import ActivityType, Fired, Misconfigured, Outcome, TaskContext, wait
from envoi.engine.definition import Activity, Definition
from envoi.engine.schedule import Schedule
from envoi.kernel.errors import Invalid


class Scheduler(ActivityType):
    """Parameters: `schedule`, the JSON form of `engine.schedule.Schedule`, and `expirations`."""

    type = "schedule"
    family = "event"

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Read the schedule, and look at the expirations."""
        yield from expirations.check(activity)
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
        if not upcoming:
            return Outcome(firing, dropped=not fires)
        return _first(upcoming, firing, expirations.step(ctx))


def _first(upcoming: datetime, firing: tuple[Fired, ...], expired: Outcome) -> Outcome:
    """Return what comes of a date and of the expirations, which may end the schedule before."""
    fired = (*firing, *expired.fired)
    if expired.completes:
        return Outcome(fired)
    return wait(min(upcoming, expired.due) if expired.due else upcoming, *fired)
