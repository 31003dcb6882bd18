"""Subsets of a population: conditions, limits, order (engine.md §6.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from envoi.engine import distribution, population, targeting
from envoi.engine.activities.base import Fired, Misconfigured, Outcome, TaskContext
from envoi.engine.population import ID, Population
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Link, Registry


@dataclass(frozen=True)
class Subset:
    """One subset as its settings say it. `limit` is percent, count or none."""

    name: str
    code: str = ""
    filter: tuple[Condition, ...] = ()
    limit: str = "none"
    amount: Any = 0
    of_segment: bool = False
    random: bool = False
    sort: tuple[Field, ...] = ()
    group: str = ""
    values: tuple[tuple[Any, Any], ...] = field(default=())
    """(value, percent or count) of the groups that are named."""

    def filter_alone(self) -> tuple[Condition, ...]:
        """Return the filter as one condition, so that others can follow it."""
        return (Condition(conditions=self.filter),) if self.filter else ()


def subsets(said: Any) -> list[Subset]:
    """Return the subsets that settings say. Raises Misconfigured or Invalid with the place."""
    found: list[Subset] = []
    for number, each in enumerate(targeting.listed(said, "the list of subsets"), 1):
        node = cast("Mapping[str, Any]", each if isinstance(each, Mapping) else {"name": each})
        name = str(node.get("name") or f"subset{number}")
        limiter = cast("Mapping[str, Any]", node.get("limiter") or {})
        limiter = distribution.applied(limiter, f"subset {name}")
        kind = str(
            limiter.get("type")
            or ("percent" if "percent" in limiter else "count" if "count" in limiter else "")
        )
        if limiter.get("enabled") is False or not kind:
            kind = "none"
        if kind not in ("percent", "count", "none"):
            raise Misconfigured(f"The limit of subset {name} must be percent, count or none, not {kind!r}.")
        sort = targeting.sorting(limiter.get("sort"), f"the order of subset {name}")
        found.append(
            Subset(
                name=name,
                code=str(node.get("code") or ""),
                filter=targeting.conditions(node.get("filter"), f"the filter of subset {name}"),
                limit=kind,
                amount=limiter.get(kind, 10 if kind == "percent" else 0),
                of_segment=bool(limiter.get("ofSegment")),
                random=bool(limiter.get("random", not sort and kind == "percent")),
                sort=sort,
                group=str(limiter.get("groupBy") or ""),
                values=tuple(
                    (line.get("value"), line.get(kind, 0))
                    for line in targeting.listed(limiter.get("values"), f"the values of subset {name}")
                ),
            )
        )
    return found


def split(ctx: TaskContext, source: Population, wanted: Sequence[Subset]) -> Outcome:
    """Make the subsets and what is left of a population, and fire their ways."""
    overlap, one_table = bool(ctx.parameters.get("overlap")), bool(ctx.parameters.get("oneTable"))
    made: list[Population] = []
    results: list[tuple[str, Population]] = []
    for each in wanted:
        if overlap and one_table:
            raise Misconfigured(
                f"Subsets of activity {ctx.activity.name} overlap: they do not fit into one table."
            )
        found = _subset(ctx, source, each, [] if overlap else made)
        made.append(found)
        results.append((each.name, found))
    rest = None
    if targeting.way_of(ctx, "remainder"):
        where = " AND ".join(targeting.absent(each) for each in made) or "true"
        rest = targeting.copy_rows(ctx, source, where, schema=f"temp:{ctx.activity.name}_remainder")
    fired: list[Fired] = []
    if one_table:
        from envoi.engine import combining

        whole = combining.united(ctx, made) if made else None
        return targeting.outcome(ctx, ("result", whole), ("remainder", rest))
    for name, found in results:
        population.says(ctx, found, name)
        fired.append(population.fired(name, found))
    return Outcome((*fired, *targeting.outcome(ctx, ("remainder", rest)).fired))


def _subset(
    ctx: TaskContext, source: Population, subset: Subset, earlier: Sequence[Population]
) -> Population:
    schema = f"temp:{ctx.activity.name}_{subset.name}"
    free = " AND ".join(targeting.absent(each) for each in earlier) or "true"
    plain = subset.limit == "none"
    if plain and not subset.filter:
        return targeting.copy_rows(ctx, source, free, code=subset.code, schema=schema)
    if plain:
        return _filtered(ctx, source, subset, earlier, schema)
    within = _with_earlier(source, earlier)
    where = (*subset.filter_alone(), *_not_taken(earlier))
    select = [Field("@id")]
    if subset.group:
        select.append(Field(subset.group))
    select += [Field(each.expr) for each in subset.sort]
    found = targeting.select(
        ctx, QueryDef(source.schema, select=tuple(select), where=where), within=within, prefix="s_"
    )
    order = [
        f"c{1 + bool(subset.group) + number}{' DESC NULLS LAST' if each.descending else ' NULLS LAST'}"
        for number, each in enumerate(subset.sort)
    ]
    order.append(targeting.order_of(ctx, "c0", subset.name) if subset.random else "c0")
    order.append("c0")
    if subset.group:
        chosen, params = _by_group(ctx, source, subset, found, order, within)
    else:
        chosen, params = _limited(ctx, source, subset, found, order)
    return targeting.copy_rows(
        ctx,
        source,
        f"p.{ID} IN (SELECT c0 FROM ({chosen}) chosen)",  # noqa: S608 compiled
        params,
        code=subset.code,
        schema=schema,
    )


def _filtered(
    ctx: TaskContext, source: Population, subset: Subset, earlier: Sequence[Population], schema: str
) -> Population:
    data: list[Any] = [column for column, _ in targeting.carried(source)]
    select = [Field("@id"), *(each for _, each in targeting.carried(source))]
    data, select = targeting.with_segment(data, select, subset.code)
    definition = QueryDef(
        source.schema, select=tuple(select), where=(*subset.filter_alone(), *_not_taken(earlier))
    )
    within = _with_earlier(source, earlier)
    return targeting.build(
        ctx, definition, data, dimension=source.dimension, within=within, schema=schema, like=source
    )


def _limited(
    ctx: TaskContext, source: Population, subset: Subset, found: targeting.Selected, order: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    place = f"the limit of subset {subset.name}"
    params = dict(found.params)
    if subset.limit == "count":
        limit = "%(most)s"
        params["most"] = targeting.whole(subset.amount, place)
    elif not subset.of_segment:
        limit = "%(most)s"
        params["most"] = targeting.share(subset.amount, source.count, place)
    else:
        targeting.share(subset.amount, 0, place)
        limit = f"(SELECT floor(count(*) * %(percent)s::numeric / 100 + 0.5)::bigint FROM ({found.sql}) n)"  # noqa: S608
        params["percent"] = str(subset.amount)
    return f"SELECT c0 FROM ({found.sql}) q ORDER BY {', '.join(order)} LIMIT {limit}", params  # noqa: S608


def _by_group(
    ctx: TaskContext,
    source: Population,
    subset: Subset,
    found: targeting.Selected,
    order: Sequence[str],
    within: Registry,
) -> tuple[str, dict[str, Any]]:
    """Return the rows that a limit for each group leaves."""
    params = dict(found.params)
    place = f"the limit of subset {subset.name}"
    size, rows = "count(*) OVER (PARTITION BY c1)", found.sql
    if subset.limit == "percent" and not subset.of_segment:
        whole = targeting.select(
            ctx,
            QueryDef(source.schema, select=(Field("@id"), Field(subset.group))),
            within=within,
            prefix="g_",
        )
        params |= whole.params
        size = "size"
        rows = (
            f"SELECT s.*, w.size FROM ({found.sql}) s JOIN (SELECT c1 AS value, count(*) AS size"  # noqa: S608
            f" FROM ({whole.sql}) g GROUP BY c1) w ON w.value IS NOT DISTINCT FROM s.c1"
        )

    def limit(amount: Any, name: str) -> str:
        if subset.limit == "count":
            params[name] = targeting.whole(amount, place)
            return f"%({name})s::bigint"
        targeting.share(amount, 0, place)
        params[name] = str(amount)
        return f"floor({size} * %({name})s::numeric / 100 + 0.5)"

    most = limit(subset.amount, "each") if not subset.values else ""
    if subset.values:
        lines = list[str]()
        for number, (value, amount) in enumerate(subset.values):
            params[f"value{number}"] = "" if value is None else str(value)
            taken = limit(amount, f"each{number}")
            lines.append(f"WHEN coalesce(c1::text, '') = %(value{number})s THEN {taken}")
        most = f"CASE {' '.join(lines)} ELSE 0 END"
    ranked = (
        f"SELECT c0, row_number() OVER (PARTITION BY c1 ORDER BY {', '.join(order)}) AS place,"  # noqa: S608
        f" {most} AS most FROM ({rows}) q"
    )
    return f"SELECT c0 FROM ({ranked}) q WHERE place <= most", params  # noqa: S608 compiled


def _with_earlier(source: Population, earlier: Sequence[Population]) -> Registry:
    """Return a registry in which a row of `source` knows whether an earlier subset has it."""
    known = population.registry([source, *earlier])
    own = known[source.schema]
    links = {
        f"taken{number}": Link(f"taken{number}", each.schema, ((ID, ID),), "")
        for number, each in enumerate(earlier)
    }
    return Registry({**known.schemas, source.schema: replace(own, links={**own.links, **links})})


def _not_taken(earlier: Sequence[Population]) -> tuple[Condition, ...]:
    return tuple(Condition(f"[taken{number}]", set_operator="NOT EXISTS") for number, _ in enumerate(earlier))
