"""Data loading (RDBMS): rows of another database become a population without a dimension (engine.md §6.3,
§6.5).

XML tag: loadrdbms (our choice). An enrichment reconciles the rows with profiles afterwards.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _
from psycopg import sql as composed

from envoi.engine import external, population, scripts, targeting
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext
from envoi.engine.conversion import S
from envoi.engine.definition import Activity, Definition
from envoi.engine.external import Given, Session
from envoi.engine.population import ID, NAME, Column
from envoi.kernel.registry import Type
from envoi.kernel.rights import Right


class DatabaseLoading(ActivityType):
    """Parameters: `account` (an external database, PostgreSQL), `table` (`name` or `schema.name`; may hold
    `<%= … %>`) or `query` (one SELECT; takes the right USE SQL DATA MANAGEMENT ACTIVITY), `columns`
    (`{"name", "source" (what the database calls it, else the name), "type", "label"}`; none: all that there
    are, with the nearest types), `key` (a column of whole numbers that becomes the id; else the number of the
    row), `segmentCode`.

    The whole is read in one read-only transaction of the other database, at the rights of the account. A
    value that is not of the type of its column ends the activity, and nothing is loaded. Dates beyond the
    years 1 to 9999 become empty.
    """

    type = "loadrdbms"
    family = "action"
    label = lazy("Data loading (RDBMS)")
    icon = "db"
    ways = (("transition", "transition"), ("error", "error"))

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that account and source are named, and that types of columns are known."""
        said = activity.parameters
        if not said.get("account"):
            yield _("Activity %(activity)s names no external account"), {}
        if bool(said.get("table")) == bool(said.get("query")):
            yield _("Activity %(activity)s needs a table or a query, one of them"), {}
        yield from types_known(activity)

    def run(self, ctx: TaskContext) -> Outcome:
        """Copy."""
        said = ctx.parameters
        query = str(said.get("query") or "").strip().rstrip(";")
        if query:
            ctx.actor.require(Right.USE_SQL_DATA_MANAGEMENT_ACTIVITY, to="query another database freely")
            asked = S(query)
        else:
            table = external.table_name(scripts.text(ctx, str(said.get("table") or "")))
            asked = S("SELECT * FROM {}").format(table)
        with external.session(ctx, str(said.get("account") or "")) as other:
            given = {each.name: each for each in external.described(other, asked)}
            wanted = _columns(ctx, other, given)
            made = population.create(ctx, columns=[column for column, _source in wanted])
            values = [
                external.value(composed.Identifier("q", source), column)
                for column, (_column, source) in zip(made.columns, wanted, strict=True)
            ]
            select = S("SELECT {}::bigint, {} FROM ({}\n) q").format(
                _key(ctx, other, given), S(", ").join(values), asked
            )
            ctx.log_sql(asked.as_string(other.connection))
            names = [name for name, _kind in made.sql_columns]
            count = external.pass_rows(
                ctx, other.connection, select, external.ours(), composed.Identifier(made.table), names
            )
        code = str(said.get("segmentCode") or "")
        made = population.finish(ctx, made, count)
        if code:
            made = targeting.copy_rows(ctx, made, "true", code=code)
        ctx.info(_("%(count)d row(s) loaded from %(place)s"), count=count, place=other.place)
        return Outcome((population.fired(way(ctx), made),))


def way(ctx: TaskContext) -> str:
    """Return the way out of an activity that loads."""
    found = targeting.way_of(ctx, "transition")
    return found.name if found else "transition"


def types_known(activity: Activity) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield a problem for each column whose type is unknown."""
    for each in cast("list[Any]", activity.parameters.get("columns") or []):
        kind = "string" if isinstance(each, str) else str(each.get("type") or "string")
        if kind not in list(Type):
            yield _("A column of activity %(activity)s is of the unknown type %(type)s"), {"type": kind}


def _columns(ctx: TaskContext, other: Session, given: Mapping[str, Given]) -> list[tuple[Column, str]]:
    """Return each column of the population with the name of its source."""
    said = targeting.listed(ctx.parameters.get("columns"), "columns")
    if not said:
        free: list[str] = [ID]
        found: list[tuple[Column, str]] = []
        for each in given.values():
            plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in each.name)[:50]
            name = targeting.free(plain if NAME.match(plain) else f"_{plain}", free)
            free.append(name)
            found.append((Column(name, each.type, each.name), each.name))
        return found
    found = []
    for number, each in enumerate(said, 1):
        node: Mapping[str, Any] = {"name": each} if isinstance(each, str) else each
        name = str(node.get("name") or "")
        source = str(node.get("source") or name)
        if source not in given:
            raise Failed(
                f"{other.place} gives no column {source!r} for columns[{number}] of {ctx.activity.name};"
                f" it gives {', '.join(given)}."
            )
        kind = str(node.get("type") or given[source].type)
        if not NAME.match(name) or kind not in list(Type):
            raise Misconfigured(f"columns[{number}] of {ctx.activity.name} needs a name and a known type.")
        found.append((Column(name, Type(kind), str(node.get("label") or name)), source))
    return found


def _key(ctx: TaskContext, other: Session, given: Mapping[str, Given]) -> composed.Composable:
    said = str(ctx.parameters.get("key") or "")
    if not said:
        return S("row_number() OVER ()")
    if said not in given:
        raise Failed(
            f"{other.place} gives no column {said!r}, which is to be the key of {ctx.activity.name}."
        )
    return composed.Identifier("q", said)
