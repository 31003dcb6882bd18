"""Time constraint: lets a branch through at certain hours only (engine.md §6.2, §10.1 A21)."""

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire, wait
from envoi.engine.definition import Activity, Definition


class TimeConstraint(ActivityType):
    """Parameters: `from` and `to`, times of day ("08:00"); equal means always; a window may cross midnight.

    `retry`: outside of the window the task waits for it; without, the branch is abandoned.
    """

    type = "timeconstraint"

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Read both times."""
        for key in ("from", "to"):
            try:
                time.fromisoformat(str(activity.parameters.get(key, "00:00")))
            except ValueError:
                yield _("%(key)s of activity %(activity)s is not a time of day such as 08:00"), {"key": key}

    def run(self, ctx: TaskContext) -> Outcome:
        """Go on inside of the window."""
        start = time.fromisoformat(str(ctx.parameters.get("from", "00:00")))
        end = time.fromisoformat(str(ctx.parameters.get("to", "00:00")))
        local = ctx.now.astimezone(ctx.zone)
        if _inside(local.time(), start, end):
            return fire("transition")
        if not ctx.parameters.get("retry", True):
            ctx.info(
                _("Outside of the hours of activity '%(activity)s'; the branch ends"),
                activity=ctx.activity.name,
            )
            return Outcome(dropped=True)
        opening = datetime.combine(local.date(), start, ctx.zone)
        if opening <= local:
            opening = datetime.combine(local.date() + timedelta(days=1), start, ctx.zone)
        return wait(opening)


def _inside(now: time, start: time, end: time) -> bool:
    if start == end:
        return True
    return start <= now < end if start < end else now >= start or now < end
