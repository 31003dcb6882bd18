"""The timetable of activities that look for something again and again: collectors, transfers, mailboxes.

Without a `schedule` an activity looks once, at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import expirations
from envoi.engine.activities.base import Fired, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity
from envoi.engine.schedule import Schedule
from envoi.kernel.errors import Invalid


@dataclass(frozen=True)
class Round:
    """One execution. `looks`: it is time to look. `scheduled`: there will be further ones."""

    ctx: TaskContext
    looks: bool
    upcoming: datetime | None
    scheduled: bool
    expired: Outcome

    def after(self, *fired: Fired, again: bool = False, over: bool = False) -> Outcome:
        """Return what comes of a round: again at once, at the next date, or never (`over`, or no date
        left).
        """
        every = (*fired, *self.expired.fired)
        if again:
            return Outcome(every, due=self.ctx.now)
        if over or not self.upcoming or self.expired.completes:
            return Outcome(every, dropped=not every)
        due = min(self.upcoming, self.expired.due) if self.expired.due else self.upcoming
        return Outcome(every, due=due)


def check(activity: Activity) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield what is wrong with schedule and expirations."""
    yield from expirations.check(activity)
    try:
        if activity.parameters.get("schedule"):
            Schedule.from_json(activity.parameters["schedule"])
    except Invalid as error:
        yield _("The schedule of activity %(activity)s is wrong: %(error)s"), {"error": str(error)}


def begin(ctx: TaskContext) -> Round:
    """Say whether it is time to look, and note the next date. Raises Misconfigured for a wrong schedule."""
    given = ctx.parameters.get("schedule")
    if not given:
        return Round(ctx, True, None, False, expirations.step(ctx))
    try:
        schedule = Schedule.from_json(given)
    except Invalid as error:
        raise Misconfigured(str(error)) from error
    count, planned = int(ctx.memory.get("fired", 0)), ctx.memory.get("next")
    looks = ctx.woken or (planned is not None and datetime.fromisoformat(planned) <= ctx.now)
    count += looks
    upcoming = schedule.next_after(ctx.now, ctx.zone, fired=count)
    ctx.memory.update(fired=count, next=upcoming.isoformat() if upcoming else None)
    return Round(ctx, looks, upcoming, True, expirations.step(ctx))


def next_date(ctx: TaskContext) -> datetime | None:
    """Return the date that `begin` has noted, for a round in two steps; None for no further one."""
    planned = ctx.memory.get("next")
    return datetime.fromisoformat(planned) if planned and ctx.parameters.get("schedule") else None
