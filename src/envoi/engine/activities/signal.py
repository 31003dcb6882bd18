"""External signal: waits for an event from outside, or for its expiration (engine.md §7.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from envoi.engine import expirations
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition


class Signal(ActivityType):
    """Fires its transition for each event that is posted to it, and stays. Parameter: `expirations`."""

    type = "signal"
    family = "event"

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Look at the expirations."""
        return expirations.check(activity)

    def run(self, ctx: TaskContext) -> Outcome:
        """Wait."""
        return expirations.step(ctx)
