"""Change data source: a population becomes a table of another database, or comes back from there (engine.md
§6.1).

XML tag: changeDataSource (our choice).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import psycopg
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _
from psycopg import sql as composed

from envoi.engine import external, population, targeting
from envoi.engine.activities.base import ActivityType, Failed, Outcome, TaskContext
from envoi.engine.conversion import I, S
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Population
from envoi.kernel.rights import Right

ACCOUNT, TABLE, MODEL = "externalAccount", "externalTable", "modelTable"
"""Variables of a population that lies elsewhere: where, under what name, and which (empty) work table says
what its columns mean.
"""


class ChangeDataSource(ActivityType):
    """Parameters: `account` (an external database, PostgreSQL, into which the population goes; empty: it
    comes back into the instance's own), `table` (its name there: `name` or `schema.name`; else one of the
    workflow and the task).

    A population that lies elsewhere is known by the variables `externalAccount`, `externalTable` and
    `modelTable`; `tableName` is empty, so that activities that work here say that they get no population.
    From an account it may go on to another one.

    The table is made in a transaction of the other database that ends before that of the activity: after a
    crash it is made again. A table of that name that this workflow has not made is left alone and the
    activity fails. Tables stay there until somebody drops them. Takes the right USE SQL DATA MANAGEMENT
    ACTIVITY.
    """

    type = "changeDataSource"
    family = "targeting"
    label = lazy("Change data source")
    icon = "xfer"
    ways = (("result", "result"),)
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that a table is not named where work tables name themselves."""
        if activity.parameters.get("table") and not activity.parameters.get("account"):
            yield _("Activity %(activity)s names a table, but no external account that is to hold it"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Move."""
        ctx.actor.require(Right.USE_SQL_DATA_MANAGEMENT_ACTIVITY, to="move data between databases")
        account = str(ctx.parameters.get("account") or "")
        away = str(ctx.variables.get(ACCOUNT) or "")
        if not away:
            source = population.inbound(ctx)[0]
            return _put(ctx, account, source, external.ours(), I(source.table)) if account else _same(ctx)
        found = population.stored(str(ctx.variables.get(MODEL) or ""))
        if found is None:
            raise Failed(f"What the columns of the population on {away} mean is known no more.")
        place = external.table_name(str(ctx.variables.get(TABLE) or ""))
        with external.session(ctx, away) as other:
            if account:
                return _put(ctx, account, found[0], other.connection, place)
            return _fetched(ctx, found[0], other, place)


def _same(ctx: TaskContext) -> Outcome:
    """Pass a population on that is here already."""
    return targeting.outcome(ctx, ("result", population.inbound(ctx)[0]))


def _put(
    ctx: TaskContext,
    account: str,
    source: Population,
    database: psycopg.Connection[Any],
    table: composed.Identifier,
) -> Outcome:
    """Make a population's table behind an account, of what `table` in `database` holds."""
    said = str(ctx.parameters.get("table") or f"wkf{ctx.workflow_id}_task{ctx.task_id}")
    goal, names = external.table_name(said), [name for name, _kind in source.sql_columns]
    query = S("SELECT {} FROM {}").format(S(", ").join(I(name) for name in names), table)
    with external.session(ctx, account, writes=True) as other:
        _fresh(ctx, other, goal, source)
        count = external.pass_rows(ctx, database, query, other.connection, goal, names)
        other.connection.execute(S("ALTER TABLE {} ADD PRIMARY KEY (id)").format(goal))
    # What the columns mean, the rights that they take and their collections are kept by a table without rows.
    model = population.create(ctx, dimension=source.dimension, columns=source.columns, like=source)
    ctx.info(
        _("%(count)d row(s) moved to %(table)s of %(place)s"), count=count, table=said, place=other.place
    )
    fired = population.fired(_way(ctx), replace(model, count=count))
    moved = {"tableName": "", ACCOUNT: account, TABLE: said, MODEL: model.table}
    return Outcome((replace(fired, variables={**fired.variables, **moved}),))


def _fetched(
    ctx: TaskContext, model: Population, other: external.Session, place: composed.Identifier
) -> Outcome:
    """Bring a population back into a work table."""
    made = population.create(ctx, dimension=model.dimension, columns=model.columns, like=model)
    # Whoever works there may have given a column another type.
    values = [external.value(I(each.column), each) for each in made.columns]
    query = S("SELECT {} FROM {}").format(S(", ").join([S("id::bigint"), *values]), place)
    names = [name for name, _kind in made.sql_columns]
    count = external.pass_rows(ctx, other.connection, query, external.ours(), I(made.table), names)
    made = population.finish(ctx, made, count)
    ctx.info(_("%(count)d row(s) came back from %(place)s"), count=count, place=other.place)
    return Outcome((population.fired(_way(ctx), made, **{ACCOUNT: "", TABLE: "", MODEL: ""}),))


def _fresh(ctx: TaskContext, other: external.Session, goal: composed.Identifier, source: Population) -> None:
    """Make an empty table; one that an earlier execution of this activity left is replaced."""
    mark = f"Envoi {ctx.workflow_name}/{ctx.activity.name}"
    name = goal.as_string(other.connection)
    row = other.connection.execute(
        "SELECT obj_description(c, 'pg_class') FROM to_regclass(%s) AS c WHERE c IS NOT NULL", [name]
    ).fetchone()
    if row is not None and row[0] != mark:
        raise Failed(f"{other.place} has a table {name} that is not of this activity; name another one.")
    other.connection.execute(S("DROP TABLE IF EXISTS {}").format(goal))
    columns = S(", ").join(S("{} {}").format(I(n), S(kind)) for n, kind in source.sql_columns)
    other.connection.execute(S("CREATE TABLE {} ({})").format(goal, columns))
    other.connection.execute(S("COMMENT ON TABLE {} IS {}").format(goal, composed.Literal(mark)))


def _way(ctx: TaskContext) -> str:
    found = targeting.way_of(ctx, "result")
    return found.name if found else "result"
