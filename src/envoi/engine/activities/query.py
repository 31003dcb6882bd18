"""Query: the rows of a targeting dimension for which conditions hold, with data about them (engine.md §6.1,
§6.5).

XML tag: query.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import collecting, population, ready_filters, targeting
from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.population import Column, Population
from envoi.kernel import registry
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Attribute, Link, Registry, Schema, Type


class Query(ActivityType):
    """Parameters: `targetingDimension` (else the workflow's), `filter` (an expression, or `where` of a query
    definition), `filteringDimension` with `link` (the path from it to the targeting dimension, found when
    there is only one), `having` (conditions on all rows of the filtering dimension that lead to one
    target), `columns` (added data: `{"expr", "alias", "label"}`), `collections` (as in the enrichment),
    `segmentCode`, `ready` (ready-made filters that must hold too: `{"filter": "subscribers", "service":
    name}`, `{"filter": "list", "list": name}`, `{"filter": "recipient", "recipient": number or address}`),
    `useInbound` (query the population that comes in instead of the whole dimension; its data are kept).

    An empty result fires with recCount 0. Rows come once, whatever collections the query passes.
    """

    type = "query"
    family = "targeting"
    ways = (("result", "result"),)

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that dimensions exist."""
        yield from dimensions_exist(activity, "targetingDimension", "filteringDimension")

    def run(self, ctx: TaskContext) -> Outcome:
        """Select."""
        return targeting.outcome(ctx, ("result", selected(ctx)))


def dimensions_exist(activity: Activity, *names: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield a problem for each of these parameters that names a schema which is not installed."""
    for name in names:
        said = activity.parameters.get(name)
        if said and str(said) not in registry.current():
            yield (
                _("%(field)s of activity %(activity)s: there is no schema %(schema)s"),
                {
                    "field": name,
                    "schema": str(said),
                },
            )


def selected(ctx: TaskContext, without: str = "") -> Population:
    """Return the population that a query's settings say; `without`: less the rows whose ids this table holds.

    Raises Misconfigured without any settings (the product's WKF-560016), and what the query compiler raises.
    """
    said = ctx.parameters
    if not {"targetingDimension", "filter", "ready", "useInbound"} & set(said):
        raise Misconfigured(f"WKF-560016: no query is defined in activity {ctx.activity.name}.")
    columns = targeting.fields(said.get("columns"), "columns")
    within: Registry | None = None
    data: list[Column | tuple[str, str]] = []
    select = [Field("@id")]
    source: Population | None = None
    if said.get("useInbound"):
        source = population.inbound(ctx)[0]
        within = population.registry([source])
        dimension, schema = source.dimension, source.schema
        for column, field in targeting.carried(source):
            data.append(column)
            select.append(field)
    else:
        dimension = schema = targeting.dimension_of(ctx)
        population.key_of(dimension)
        select = [Field(targeting.key_path(dimension))]
    for name, label, field in columns:
        data.append((name, label))
        select.append(field)
    data, select = targeting.with_segment(data, select, str(said.get("segmentCode") or ""))
    ready = ready_filters.conditions(said.get("ready"), dimension, "ready")
    definition = QueryDef(schema, select=tuple(select), where=(*_filter(ctx, schema), *ready))
    if without:
        within, known = _beside(within, schema, without)
        definition = replace(definition, where=(*definition.where, known))
    collections = targeting.listed(said.get("collections"), "collections")
    made = targeting.build(
        ctx,
        definition,
        data,
        dimension=dimension,
        within=within,
        like=source,
    )
    return collecting.collected(ctx, made, collections) if collections else made


def _beside(within: Registry | None, schema: str, table: str) -> tuple[Registry, Condition]:
    """Return a registry in which a row knows whether a table of ids has it, and the condition that it has
    not.
    """
    known = within or registry.fresh()
    own = known[schema]
    column = own.key[0]
    history = Schema(
        "temp:given", table, "", "", "", ("id",), {"id": Attribute("id", Type.INT64, "", "id")}, {}
    )
    link = Link("given", history.name, ((column, "id"),), "")
    schemas = {
        **known.schemas,
        history.name: history,
        schema: replace(own, links={**own.links, "given": link}),
    }
    return Registry(schemas), Condition("[given]", set_operator="NOT EXISTS")


def _filter(ctx: TaskContext, schema: str) -> tuple[Condition, ...]:
    said = ctx.parameters
    filtering = str(said.get("filteringDimension") or "")
    where = targeting.conditions(said.get("filter"), "filter")
    having = targeting.conditions(said.get("having"), "having")
    if not filtering or filtering == schema:
        if having:
            raise Misconfigured(
                f"having of activity {ctx.activity.name} needs a filtering dimension of its own."
            )
        return (Condition(conditions=where),) if where else ()
    link = str(said.get("link") or _link_to(ctx, filtering, schema))
    key = Field(f"[{link}/{targeting.key_path(schema)}]")
    inner = QueryDef(filtering, select=(key,), where=where)
    if having:
        inner = replace(inner, group_by=(key,), having=having)
    return (Condition(targeting.key_path(schema), set_operator="IN", subquery=inner),)


def _link_to(ctx: TaskContext, filtering: str, schema: str) -> str:
    found = [
        link.name
        for link in registry.current()[filtering].links.values()
        if link.target == schema and not link.collection
    ]
    if len(found) != 1:
        ways = ", ".join(found) or "none"
        raise Misconfigured(
            f"Activity {ctx.activity.name} needs the link from {filtering} to {schema}; there are: {ways}."
        )
    return found[0]
