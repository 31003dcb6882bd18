"""Aggregate: a population in groups, each a row with what is calculated about it (engine.md §6.3: the
aggregates of the extraction).

XML tag: aggregate (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import gettext_noop as _

from envoi.engine import population, targeting
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import ID, Population
from envoi.engine.targeting import quoted
from envoi.kernel.query import Condition, QueryDef

FUNCTIONS = {
    "count": "Count({})",
    "distinct": "CountDistinct({})",
    "sum": "Sum({})",
    "min": "Min({})",
    "max": "Max({})",
    "avg": "Avg({})",
}


class Aggregate(ActivityType):
    """Parameters: `keys` (what rows are grouped by: `{"expr", "alias", "label"}`; none: one row for all),
    `aggregates` (`{"function", "expr", "alias", "label"}`; the function is count (of rows without an
    expression), distinct, sum, min, max or avg, or left out for an expression that calls one itself),
    `filter` (rows that count), `having` (groups that are kept), `segmentCode`.

    The result has no dimension: a row is a group, numbered in the order of the keys. Join it to a population
    by *edit schema* or *enrichment*. Rows of the dimension that the operator may not read do not count where
    the dimension is asked. Runs once for each population that comes in.
    """

    type = "aggregate"
    family = "targeting"
    label = lazy("Aggregate")
    icon = "db"
    ways = (("result", "result"),)

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is something to group by or to calculate, by functions that are known."""
        said = activity.parameters
        if not said.get("keys") and not said.get("aggregates"):
            yield _("Activity %(activity)s has neither keys nor aggregates"), {}
        for each in cast("list[Any]", said.get("aggregates") or []):
            function = "" if isinstance(each, str) else each.get("function")
            if function and function not in FUNCTIONS:
                yield (
                    _("An aggregate of activity %(activity)s is the unknown function %(function)s"),
                    {"function": str(function)},
                )

    def run(self, ctx: TaskContext) -> Outcome:
        """Group."""
        source = population.inbound(ctx)[0]
        return targeting.outcome(ctx, ("result", grouped(ctx, source)))


def grouped(ctx: TaskContext, source: Population) -> Population:
    """Return a population's groups. Raises Misconfigured, and what the query compiler raises."""
    keys = targeting.fields(ctx.parameters.get("keys"), "keys")
    numbers = targeting.fields(_calculated(ctx), "aggregates")
    if not keys and not numbers:
        raise Misconfigured(f"Activity {ctx.activity.name} has neither keys nor aggregates.")
    within = population.registry([source])
    where = targeting.conditions(ctx.parameters.get("filter"), "filter")
    definition = QueryDef(
        source.schema,
        select=tuple(field for _name, _label, field in (*keys, *numbers)),
        where=(Condition(conditions=where),) if where else (),
        group_by=tuple(field for _name, _label, field in keys),
        having=targeting.conditions(ctx.parameters.get("having"), "having"),
        distinct=bool(keys and not numbers),
    )
    found = targeting.select(ctx, definition, within=within, prefix="a_")
    taken, columns = [ID], list[population.Column]()
    for (name, label, _field), column in zip((*keys, *numbers), found.columns, strict=True):
        attribute = targeting.free(name, taken)
        taken.append(attribute)
        columns.append(targeting.fresh(attribute, label, column, source.schema, within))
    made = population.create(ctx, columns=columns)
    order = ", ".join(f"c{number}" for number in range(len(keys))) or "1"
    names = ", ".join(quoted(name) for name, _kind in made.sql_columns)
    values = ", ".join(f"c{number}::{each.sql_type}" for number, each in enumerate(made.columns))
    statement = (
        f"INSERT INTO {quoted(made.table)} ({names})"  # noqa: S608 compiled
        f" SELECT row_number() OVER (ORDER BY {order}), {values} FROM ({found.sql}) q"
    )
    made = population.finish(ctx, made, population.run(ctx, statement, found.params))
    code = str(ctx.parameters.get("segmentCode") or "")
    return targeting.copy_rows(ctx, made, "true", code=code) if code else made


def _calculated(ctx: TaskContext) -> list[Any]:
    found: list[Any] = []
    for number, each in enumerate(targeting.listed(ctx.parameters.get("aggregates"), "aggregates"), 1):
        if isinstance(each, str) or not each.get("function"):
            found.append(each)
            continue
        function, expr = str(each["function"]), str(each.get("expr") or "")
        if function not in FUNCTIONS or (not expr and function != "count"):
            raise Misconfigured(
                f"aggregates[{number}] of activity {ctx.activity.name} needs one of the functions"
                f" {', '.join(FUNCTIONS)}, and an expression unless it counts rows."
            )
        alias = each.get("alias") or function
        call = FUNCTIONS[function].format(expr) if expr else "CountAll()"
        found.append({**each, "expr": call, "alias": alias})
    return found
