"""Fork: every output fires, and the branches run in parallel (engine.md §6.2)."""

from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire


class Fork(ActivityType):
    """Fires all of its enabled transitions."""

    type = "fork"
    ways = (("transition1", "transition"), ("transition2", "transition"))

    def run(self, ctx: TaskContext) -> Outcome:
        """Go on in every branch."""
        return fire(*(way.name for way in ctx.activity.transitions if way.enabled))
