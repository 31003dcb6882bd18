"""Incremental query: what a query gives and has not given before (engine.md §6.1, §6.5).

XML tag: incremental (our choice).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import population, targeting, worktable
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext, wait
from envoi.engine.activities.query import dimensions_exist, selected
from envoi.engine.definition import Activity, Definition
from envoi.engine.schedule import Schedule
from envoi.kernel.errors import Invalid


class IncrementalQuery(ActivityType):
    """Parameters: those of the query, and `schedule` (without one it runs once, at once), `history` (days
    after which a row may be given again; 0: never), `keepHistory` (true: a start of the workflow does not
    forget).

    What it has given is kept in a table of this activity of this workflow, for all its tasks; the
    template's other copies have their own. When nothing is new, nothing is fired, and it waits for its next
    date.
    """

    type = "incremental"
    family = "targeting"
    ways = (("result", "result"),)

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that dimensions exist and that the schedule can be read."""
        yield from dimensions_exist(activity, "targetingDimension", "filteringDimension")
        try:
            _schedule(activity)
        except Misconfigured as error:
            yield _("The schedule of activity %(activity)s is wrong: %(error)s"), {"error": str(error)}

    def run(self, ctx: TaskContext) -> Outcome:
        """Give what is new if a date has come, and wait for the next one."""
        schedule = _schedule(ctx.activity)
        if schedule is None:
            return Outcome(self._new(ctx).fired, dropped=True)
        fired = int(ctx.memory.get("fired", 0))
        planned = ctx.memory.get("next")
        runs = ctx.woken or (planned is not None and datetime.fromisoformat(planned) <= ctx.now)
        fired += bool(runs)
        upcoming = schedule.next_after(ctx.now, ctx.zone, fired=fired)
        ctx.memory.update(fired=fired, next=upcoming.isoformat() if upcoming else None)
        firing = self._new(ctx).fired if runs else ()
        return wait(upcoming, *firing) if upcoming else Outcome(firing, dropped=True)

    def _new(self, ctx: TaskContext) -> Outcome:
        days = targeting.whole(ctx.parameters.get("history") or 0, "history")
        history = worktable.history(
            ctx.workflow_id,
            ctx.activity.name,
            ctx.run_number,
            keep=ctx.parameters.get("keepHistory") is not False,
        )
        if days:
            worktable.forget(history, ctx.now - timedelta(days=days))
        made = selected(ctx, without=history)
        worktable.remember(history, made.table, ctx.now)
        if made.count:
            return targeting.outcome(ctx, ("result", made))
        population.says(ctx, made, "result")
        worktable.drop(made.table)
        return Outcome(dropped=True)


def _schedule(activity: Activity) -> Schedule | None:
    said = activity.parameters.get("schedule")
    try:
        return Schedule.from_json(said) if said else None
    except Invalid as error:
        raise Misconfigured(str(error)) from error
