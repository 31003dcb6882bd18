"""End: a branch ends here, and with `stop_all` every other one too (engine.md §6.2)."""

from envoi.engine.activities.base import ActivityType, Outcome, TaskContext


class End(ActivityType):
    """Fires nothing."""

    type = "end"
    ways = ()

    def run(self, ctx: TaskContext) -> Outcome:
        """End the branch."""
        return Outcome(stop_all=bool(ctx.parameters.get("stop_all", False)))
