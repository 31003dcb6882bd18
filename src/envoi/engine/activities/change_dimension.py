"""Change dimension: from the rows of one dimension to those of another that they lead to (engine.md §6.1,
§6.5).

XML tag: changeDimension (our choice).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import population, targeting, worktable
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.activities.query import dimensions_exist
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Column, Population
from envoi.engine.targeting import quoted
from envoi.kernel import registry
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Link, Type


class ChangeDimension(ActivityType):
    """Parameters: `targetingDimension` (the new one), `link` (the path that leads to it; found when there
    is only one), `sort` (of several rows that lead to one, the first in this order gives its data; else the
    one with the lowest id), `keepData` (true), `records` (a name: all rows that lead there stay reachable
    as this collection, with their data), `columns` (added data of the new dimension).

    A population has each row once, so one row is kept for each of the new dimension; rows that lead
    nowhere, or to what the actor may not read, are left out.
    """

    type = "changeDimension"
    family = "targeting"
    ways = (("result", "result"),)

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that the new dimension is named and exists."""
        if not activity.parameters.get("targetingDimension"):
            yield _("Activity %(activity)s does not say to which dimension it changes"), {}
        yield from dimensions_exist(activity, "targetingDimension")

    def run(self, ctx: TaskContext) -> Outcome:
        """Follow the link."""
        source = population.inbound(ctx)[0]
        made = _changed(ctx, source)
        columns = targeting.fields(ctx.parameters.get("columns"), "columns")
        if columns:
            before = made
            data: list[Column | tuple[str, str]] = [
                *before.columns,
                *((name, label) for name, label, _f in columns),
            ]
            select = (
                Field("@id"),
                *(field for _column, field in targeting.carried(before)),
                *(field for _name, _label, field in columns),
            )
            made = targeting.build(
                ctx,
                QueryDef(before.schema, select=select),
                data,
                dimension=before.dimension,
                within=population.registry([before]),
                like=before,
            )
            worktable.drop(before.table)
        return targeting.outcome(ctx, ("result", made))


def _changed(ctx: TaskContext, source: Population) -> Population:
    dimension = targeting.dimension_of(ctx)
    population.key_of(dimension)
    path = str(ctx.parameters.get("link") or _only_link(ctx, source, dimension)).strip("[]")
    key = f"[{path}/{targeting.key_path(dimension).strip('[]')}]"
    carried = targeting.carried(source) if ctx.parameters.get("keepData") is not False else []
    order = targeting.sorting(ctx.parameters.get("sort"), "sort")
    select = (
        Field(key),
        *(field for _column, field in carried),
        *(Field(each.expr) for each in order),
        Field("@id"),
    )
    definition = QueryDef(source.schema, select=select, where=(Condition(f"{key} IS NOT NULL"),))
    found = targeting.select(ctx, definition, within=population.registry([source]), prefix="c_")
    columns = [column for column, _field in carried]
    last = len(select) - 1
    ranks = [
        *(
            f"c{1 + len(carried) + number}{' DESC' if each.descending else ''} NULLS LAST"
            for number, each in enumerate(order)
        ),
        f"c{last}",
    ]
    made = population.create(ctx, dimension=dimension, columns=columns)
    names = ", ".join(quoted(name) for name, _type in made.sql_columns)
    values = ", ".join(f"c{number}" for number in range(1 + len(carried)))
    count = population.run(
        ctx,
        f"INSERT INTO {quoted(made.table)} ({names}) "  # noqa: S608
        f"SELECT DISTINCT ON (c0) {values} FROM ({found.sql}) q"
        f" ORDER BY c0, {', '.join(ranks)}",
        found.params,
    )
    made = population.finish(ctx, made, count)
    records = str(ctx.parameters.get("records") or "")
    return _with_records(ctx, made, source, records, found, columns) if records else made


def _with_records(
    ctx: TaskContext,
    made: Population,
    source: Population,
    name: str,
    found: targeting.Selected,
    columns: list[Column],
) -> Population:
    schema = f"temp:{ctx.activity.name}_{name}"
    first = [Column("sourceId", Type.INT64), Column("recordId", Type.INT64)]
    lines = population.create(ctx, columns=[*first, *columns], schema=schema)
    if source.dimension:
        key = population.key_of(source.dimension)
        record = Link("record", source.dimension, ((lines.columns[1].column, key),), "record")
        lines = population.reshape(lines, links=(record,))
    names = ", ".join(quoted(column) for column, _type in lines.sql_columns)
    values = "".join(f", c{number}" for number in range(1, 1 + len(columns)))
    last = len(found.columns) - 1
    count = population.run(
        ctx,
        f"INSERT INTO {quoted(lines.table)} ({names}) "  # noqa: S608
        f"SELECT row_number() OVER (ORDER BY c0, c{last}), c0, c{last}{values} FROM ({found.sql}) q",
        found.params,
    )
    lines = population.finish(ctx, lines, count)
    link = Link(name, schema, (("id", lines.columns[0].column),), name, collection=True)
    return population.reshape(made, links=(link,), beside={schema: lines.table})


def _only_link(ctx: TaskContext, source: Population, dimension: str) -> str:
    own = registry.current().schemas.get(source.dimension)
    found = [link.name for link in own.links.values() if link.target == dimension] if own else []
    found += [link.name for link in source.links if link.target == dimension]
    if len(found) != 1:
        ways = ", ".join(found) or "none"
        raise Misconfigured(
            f"Activity {ctx.activity.name} needs the link from {source.dimension or 'its data'} to"
            f" {dimension}; there are: {ways}."
        )
    return found[0]
