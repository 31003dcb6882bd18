"""SQL data management: a script of SQL that makes a population (engine.md §6.3, §6.5).

XML tag: sqlDataManagement (our choice).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from django.utils.translation import gettext_noop as _

from envoi.engine import population, scripts, sql, targeting, worktable
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext
from envoi.engine.activities.query import dimensions_exist
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Column
from envoi.engine.scripting import render
from envoi.kernel.registry import Type
from envoi.kernel.rights import Right


class SqlDataManagement(ActivityType):
    """Parameters: `script` (statements; `<%= activity.tableName %>` is the table to be filled, and
    `<%= task.incomingTransitionByName('x').tableName %>` one that came in), `columns` (its schema:
    `{"name", "type", "label"}`; the column is the name in snake case, before them comes `id`),
    `targetingDimension` (empty: `id` is a line number), `createTable` (true: the table is there, empty,
    when the script begins; false: the script makes it).

    Takes the right USE SQL DATA MANAGEMENT ACTIVITY. It works on the instance's own database. All of it is
    one transaction: a restart does the whole again, from what came in.
    """

    type = "sqlDataManagement"
    family = "action"
    ways = (("result", "result"),)
    joins = True
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a script, and that types of columns are known."""
        if not str(activity.parameters.get("script", "")).strip():
            yield _("Activity %(activity)s has no script"), {}
        for each in activity.parameters.get("columns") or ():
            if str(each.get("type", "string")) not in list(Type):
                yield (
                    _("A column of activity %(activity)s is of the unknown type %(type)s"),
                    {"type": str(each.get("type"))},
                )
        yield from dimensions_exist(activity, "targetingDimension")

    def run(self, ctx: TaskContext) -> Outcome:
        """Carry the script out. Inside of a DO block no statement of it can end our transaction."""
        ctx.actor.require(Right.USE_SQL_DATA_MANAGEMENT_ACTIVITY, to="run SQL data management in a workflow")
        dimension = ctx.parameters.get("targetingDimension")
        made = population.create(
            ctx, dimension=targeting.dimension_of(ctx) if dimension else "", columns=_columns(ctx)
        )
        if ctx.parameters.get("createTable") is False:
            worktable.drop_table(made.table)
        source = str(ctx.parameters.get("script") or "")
        found = scripts.variables_of(ctx)
        model = cast("Mapping[str, Any]", found.activity or {})
        script = render(
            source,
            variables=replace(found, activity={**model, "tableName": made.table}),
            host=scripts.TaskHost(ctx),
            zone=str(ctx.zone),
            on_cancel=ctx.on_cancel,
        )
        ctx.log_sql(source)  # as it was written: what is filled in may be somebody's data
        sql.one("SELECT set_config('envoi.script', %(script)s, true)", {"script": script})
        sql.run("DO $envoi$ BEGIN EXECUTE current_setting('envoi.script'); END $envoi$")
        if not worktable.has_columns(made.table, made.sql_columns):
            raise Failed(
                f"The script of {ctx.activity.name} has left no table {made.table} with the columns of its"
                " schema."
            )
        return targeting.outcome(ctx, ("result", population.finish(ctx, made, population.counted(made))))


def _columns(ctx: TaskContext) -> list[Column]:
    found: list[Column] = []
    for number, each in enumerate(targeting.listed(ctx.parameters.get("columns"), "columns"), 1):
        kind = str(each.get("type") or "string")
        if not each.get("name") or kind not in list(Type):
            raise Misconfigured(f"columns[{number}] of {ctx.activity.name} needs a name and a known type.")
        found.append(Column(str(each["name"]), Type(kind), str(each.get("label") or each["name"])))
    return found
