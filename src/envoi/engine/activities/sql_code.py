"""SQL code: a template of SQL, carried out in the activity's transaction (engine.md §6.3)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import scripts, sql
from envoi.engine.activities.base import ActivityType, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition
from envoi.kernel.rights import Right


class SqlCode(ActivityType):
    """Parameter: `script`, several statements if need be. Takes the right SQL SCRIPT EXECUTION."""

    type = "sql"
    family = "action"
    ways = (("done", "done"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a script."""
        if not str(activity.parameters.get("script", "")).strip():
            yield _("Activity %(activity)s has no script"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Carry it out. Inside of a DO block no statement of it can end our transaction."""
        ctx.actor.require(Right.SQL_SCRIPT_EXECUTION, to="run SQL code in a workflow")
        source = str(ctx.parameters["script"])
        script = scripts.text(ctx, source)
        ctx.log_sql(source)  # as it was written: what is filled in may be somebody's data
        sql.one("SELECT set_config('envoi.script', %(script)s, true)", {"script": script})
        sql.run("DO $envoi$ BEGIN EXECUTE current_setting('envoi.script'); END $envoi$")
        return fire("done")
