"""JavaScript code, run once in a child process with limits (engine.md §6.3)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import scripts
from envoi.engine.activities.base import ActivityType, Fired, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition

DEFAULT_LIMIT_S = 3600.0


def limit_of(activity: Activity) -> float:
    """Return how long a script may run (seconds); one hour unless set, 0 without a limit."""
    return float(activity.parameters.get("timeout_s", DEFAULT_LIMIT_S))


class JavaScript(ActivityType):
    """Parameters: `script`, `timeout_s`. Fires `done`, and before it what the script posted."""

    type = "js"
    family = "action"
    ways = (("done", "done"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a script."""
        if not str(activity.parameters.get("script", "")).strip():
            yield _("Activity %(activity)s has no script"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Run it."""
        _result, host = scripts.run(ctx, str(ctx.parameters["script"]), wall_s=limit_of(ctx.activity))
        return Outcome((*host.fired, Fired("done")))
