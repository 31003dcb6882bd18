"""Edit schema: what the data of a population are called, and what they lead to (engine.md §6.1, §6.5).

XML tag: editSchema (our choice).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from envoi.engine import population, targeting
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.activities.union import known_sources
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import ID, NAME, Column, Population
from envoi.kernel import registry
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.registry import Link


class EditSchema(ActivityType):
    """Parameters: `rename` (`{"attribute", "name", "label"}`), `remove` (names), `compute` (`{"expr",
    "alias", "label"}`), `links` (`{"name", "set": activity or "schema", "joins": [{"source",
    "destination"}], "cardinality": "0-1" | "1-N"}`; source and destination are attributes), `mainSet`.

    Renaming, removing and linking change what the table means from here on; the table itself, and what other
    branches see of it, stay. Only what is computed makes a table of its own.
    """

    type = "editSchema"
    family = "targeting"
    ways = (("result", "result"),)
    joins = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that sets lead here."""
        yield from known_sources(activity, definition, "mainSet")

    def run(self, ctx: TaskContext) -> Outcome:
        """Edit."""
        found = population.inbound(ctx)
        source = targeting.in_order(ctx, found, str(ctx.parameters.get("mainSet") or ""))[0]
        sets = targeting.sources(ctx, found)
        if ctx.parameters.get("compute"):
            source = _computed(ctx, source)
        columns = _columns(ctx, source)
        links, beside = _links(ctx, source, sets)
        made = population.view(
            source,
            f"temp:{ctx.activity.name}",
            columns=columns,
            links=(*_kept(source, columns), *links),
            beside={**source.beside, **beside},
        )
        return targeting.outcome(ctx, ("result", made))


def _computed(ctx: TaskContext, source: Population) -> Population:
    added = targeting.fields(ctx.parameters.get("compute"), "compute")
    data: list[Column | tuple[str, str]] = [
        *source.columns,
        *((name, label) for name, label, _field in added),
    ]
    select = (
        Field("@id"),
        *(field for _column, field in targeting.carried(source)),
        *(field for _name, _label, field in added),
    )
    return targeting.build(
        ctx,
        QueryDef(source.schema, select=select),
        data,
        dimension=source.dimension,
        within=population.registry([source]),
        like=source,
    )


def _columns(ctx: TaskContext, source: Population) -> tuple[Column, ...]:
    removed = {str(each).lstrip("@") for each in targeting.listed(ctx.parameters.get("remove"), "remove")}
    renamed: dict[str, Mapping[str, Any]] = {}
    for each in targeting.listed(ctx.parameters.get("rename"), "rename"):
        renamed[str(each.get("attribute") or "").lstrip("@")] = each
    for name in (*removed, *renamed):
        if source.column(name) is None:
            raise Misconfigured(f"The population that {ctx.activity.name} edits has no @{name}.")
    found: list[Column] = []
    for column in source.columns:
        if column.attribute in removed:
            continue
        said = renamed.get(column.attribute, {})
        name = str(said.get("name") or column.attribute).lstrip("@")
        if not NAME.match(name) or name == ID or any(name == each.attribute for each in found):
            raise Misconfigured(f"{ctx.activity.name} cannot call a datum @{name}: it is taken, or no name.")
        found.append(replace(column, attribute=name, label=str(said.get("label") or column.label)))
    return tuple(found)


def _kept(source: Population, columns: tuple[Column, ...]) -> Iterable[Link]:
    there = {ID, *(column.column for column in columns)}
    return (link for link in source.links if all(own in there for own, _theirs in link.join))


def _links(
    ctx: TaskContext, source: Population, sets: Mapping[str, Population]
) -> tuple[list[Link], dict[str, str]]:
    links: list[Link] = []
    beside: dict[str, str] = {}
    for said in targeting.listed(ctx.parameters.get("links"), "links"):
        name = str(said.get("name") or "")
        if not NAME.match(name):
            raise Misconfigured(f"A link of activity {ctx.activity.name} has no name.")
        other = sets.get(str(said.get("set") or ""))
        if other is not None:
            schema = f"temp:{ctx.activity.name}_{name}"
            beside[schema] = other.table
            theirs = population.schema_of(other)
        else:
            theirs = registry.fresh()[str(said.get("schema") or "")]
            schema = theirs.name
        own = population.schema_of(source)
        pairs = targeting.pairs(said.get("joins"), "joins")
        join = tuple((_column(own, here), _column(theirs, there)) for here, there in pairs)
        links.append(Link(name, schema, join, name, collection=said.get("cardinality") == "1-N"))
    return links, beside


def _column(schema: registry.Schema, said: str) -> str:
    name = said.strip("[]").lstrip("@")
    found = schema.attributes.get(name)
    if found is None or not found.column:
        raise Misconfigured(f"{schema.name} has no stored @{name} to be joined by.")
    return found.column
