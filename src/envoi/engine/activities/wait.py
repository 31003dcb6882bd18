"""Wait: goes on after a duration (engine.md §6.2)."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire, wait
from envoi.engine.definition import Activity, Definition


class Wait(ActivityType):
    """Parameter: `duration_s`, seconds. "Execute pending tasks now" ends it."""

    type = "wait"

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a duration."""
        duration = activity.parameters.get("duration_s")
        if isinstance(duration, bool) or not isinstance(duration, (int, float)) or duration < 0:
            yield _("Activity %(activity)s needs a duration in seconds"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Wait from when the task began."""
        until = ctx.created_at + timedelta(seconds=float(ctx.parameters["duration_s"]))
        return fire("transition") if ctx.woken or until <= ctx.now else wait(until)
