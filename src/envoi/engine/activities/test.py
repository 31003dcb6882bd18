"""Test: the first condition that holds decides where it goes (engine.md §6.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import scripts
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition


class Test(ActivityType):
    """Transitions of kind "test" have a JavaScript condition; one of kind "default" fires when none holds."""

    type = "jstest"
    ways = (("test", "test"), ("default", "default"))
    __test__ = False  # pytest: not a test case

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that every condition is there."""
        for way in activity.transitions:
            if way.kind == "test" and way.enabled and not way.condition.strip():
                yield (
                    _("Transition %(transition)s of activity %(activity)s has no condition"),
                    {"transition": way.name},
                )

    def run(self, ctx: TaskContext) -> Outcome:
        """Try the conditions in their order."""
        ways = [way for way in ctx.activity.transitions if way.enabled]
        for way in ways:
            if way.kind == "test" and scripts.condition(ctx, way.condition):
                return fire(way.name)
        default = next((way for way in ways if way.kind == "default"), None)
        return fire(default.name) if default else Outcome(dropped=True)
