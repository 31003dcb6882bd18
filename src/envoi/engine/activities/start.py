"""Start: marks where a workflow begins."""

from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire


class Start(ActivityType):
    """Fires its transition at once."""

    type = "start"

    def run(self, ctx: TaskContext) -> Outcome:
        """Go on."""
        return fire("transition")
