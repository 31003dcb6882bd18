"""AND-join: goes on when every inbound has arrived, with one population and all variables
(engine.md §6.2, §5.7).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition

POPULATION = ("tableName", "schema", "recCount", "targetSchema")


class AndJoin(ActivityType):
    """Parameter: `mainSet`, the activity whose population goes on; without it, that of the first
    to arrive.
    """

    type = "andjoin"
    joins = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that the main set leads here."""
        main = activity.parameters.get("mainSet", "")
        if main and all(source != main for source, _way in definition.inbound[activity.name]):
            yield _("The main set %(main)s of activity %(activity)s does not lead to it"), {"main": main}

    def run(self, ctx: TaskContext) -> Outcome:
        """Go on with the main set's population."""
        main = ctx.parameters.get("mainSet", "")
        chosen = next((e for e in ctx.events if e.source == main), ctx.events[0] if ctx.events else None)
        population = {k: chosen.variables[k] for k in POPULATION if k in chosen.variables} if chosen else {}
        for name in POPULATION:
            ctx.variables.pop(name, None)
        return fire("transition", **population)
