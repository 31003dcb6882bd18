"""Data added to a population: expressions, links to other rows, lines and aggregates of collections
(engine.md §6.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from envoi.engine import combining, population, targeting, worktable
from envoi.engine.activities.base import Misconfigured, TaskContext
from envoi.engine.population import ID, TARGET, Column, Population
from envoi.engine.targeting import quoted
from envoi.kernel import registry as registries
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Link, Registry, Type

SOURCE = "_source"
"""The link from a line of a collection back to the row of the population that it belongs to."""
_FUNCTIONS = {
    "count": "Count",
    "distinct": "CountDistinct",
    "sum": "Sum",
    "min": "Min",
    "max": "Max",
    "avg": "Avg",
}
Said = Mapping[str, Any]


@dataclass
class Added:
    """What is joined to each row (alias b, its id c0) on the way into the result."""

    columns: list[Column] = field(default_factory=list[Column])
    values: list[str] = field(default_factory=list[str])
    joins: list[str] = field(default_factory=list[str])
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    links: list[Link] = field(default_factory=list[Link])
    beside: dict[str, str] = field(default_factory=dict[str, str])


def enriched(ctx: TaskContext, main: Population, sets: Mapping[str, Population]) -> Population:
    """Return the main population with all that the activity's settings add. Raises Misconfigured with the
    place.
    """
    said = ctx.parameters
    within = population.registry([main, *sets.values()])
    keeps = said.get("keepData") is not False
    data: list[Column | tuple[str, str]] = []
    select = [Field("@id")]
    for column, each in targeting.carried(main) if keeps else ():
        data.append(column)
        select.append(each)
    for name, label, each in targeting.fields(said.get("columns"), "columns"):
        data.append((name, label))
        select.append(each)
    added = Added()
    lines: list[tuple[Said, Population | str]] = []
    for number, each in enumerate(targeting.listed(said.get("links"), "links")):
        other = _linked(ctx, each, sets)
        if each.get("cardinality", "0-1") == "1-N":
            lines.append((each, other))
        else:
            _add_link(ctx, main, each, other, within, added, f"l{number}")
    collections = targeting.listed(said.get("collections"), "collections")
    _add_collections(ctx, main, collections, within, added)
    reconciliation = cast("Said", said.get("reconciliation") or {})
    rekeyed = bool(reconciliation) and not reconciliation.get("keepUnreconciled")
    if reconciliation:
        _add_reconciliation(ctx, main, reconciliation, within, added, rekeyed=rekeyed)
    definition = QueryDef(main.schema, select=tuple(select))
    if rekeyed:
        made = _inserted(
            ctx, main, definition, data, within, added, dimension=str(reconciliation["dimension"])
        )
    elif added.joins:
        made = _inserted(ctx, main, definition, data, within, added)
    else:
        made = targeting.build(
            ctx, definition, data, dimension=main.dimension, within=within, like=main if keeps else None
        )
    for each in collections:
        if each.get("kind", "lines") == "lines":
            made = _with_lines(ctx, made, each)
    for each, other in lines:
        made = _with_matches(ctx, made, each, other, sets)
    return made


def collected(ctx: TaskContext, made: Population, collections: Sequence[Said]) -> Population:
    """Return a population that was just made with what its collections add; the table before it is
    dropped.
    """
    within = population.registry([made])
    added = Added()
    _add_collections(ctx, made, collections, within, added)
    result = made
    if added.joins:
        select = (Field("@id"), *(each for _, each in targeting.carried(made)))
        data: list[Column | tuple[str, str]] = list(made.columns)
        result = _inserted(ctx, made, QueryDef(made.schema, select=select), data, within, added)
        worktable.drop(made.table)
    for each in collections:
        if each.get("kind", "lines") == "lines":
            result = _with_lines(ctx, result, each)
    return result


# --- one row for each


def _inserted(
    ctx: TaskContext,
    main: Population,
    definition: QueryDef,
    data: Sequence[Column | tuple[str, str]],
    within: Registry,
    added: Added,
    *,
    dimension: str | None = None,
) -> Population:
    """Fill a population from a select and what is joined to it; `dimension`: the first added value is its
    new id.
    """
    if targeting.multiplies(definition, within):
        raise Misconfigured(
            f"Activity {ctx.activity.name}: a column passes a link with many rows; collect them instead."
        )
    base = targeting.select(ctx, definition, within=within, prefix="b_")
    columns = [
        each if isinstance(each, Column) else targeting.fresh(each[0], each[1], found, main.schema, within)
        for each, found in zip(data, base.columns[1:], strict=True)
    ]
    values = [f"b.c{number + 1}" for number in range(len(columns))]
    key, extra, extra_values = "b.c0", added.columns, added.values
    bounds = ""
    if dimension is not None:
        key, extra, extra_values = added.values[-1], added.columns[:-1], added.values[:-1]
        bounds = f" WHERE {key} IS NOT NULL"
    made = population.create(
        ctx,
        dimension=main.dimension if dimension is None else dimension,
        columns=[*columns, *extra],
        like=main if dimension is None else None,
        links=added.links,
        beside=added.beside,
    )
    # Links that were added name the column that they were given before all columns had their final names.
    made = population.reshape(made, links=tuple(_renamed(made, each, added) for each in made.links))
    names = ", ".join(quoted(name) for name, _ in made.sql_columns)
    casts = [
        f"({value})::{kind}"
        for value, (_, kind) in zip([*values, *extra_values], made.sql_columns[1:], strict=True)
    ]
    distinct, order = ("DISTINCT ON (1) ", " ORDER BY 1, b.c0") if dimension is not None else ("", "")
    statement = (
        f"INSERT INTO {quoted(made.table)} ({names}) SELECT {distinct}{', '.join((key, *casts))}"  # noqa: S608
        f" FROM ({base.sql}) b{''.join(added.joins)}{bounds}{order}"
    )
    count = population.run(ctx, statement, {**base.params, **added.params})
    return population.finish(ctx, made, count)


def _renamed(made: Population, link: Link, added: Added) -> Link:
    if link not in added.links:
        return link
    own = made.column(link.join[0][0])
    return replace(link, join=((own.column if own else link.join[0][0], link.join[0][1]),))


def _linked(ctx: TaskContext, said: Said, sets: Mapping[str, Population]) -> Population | str:
    name = str(said.get("set") or "")
    if name:
        if name not in sets:
            raise Misconfigured(
                f"A link of activity {ctx.activity.name} is to {name!r}: no such set arrives."
            )
        return sets[name]
    return registries.fresh()[str(said.get("schema") or "")].name


def _matches(
    ctx: TaskContext,
    main: Population,
    said: Said,
    other: Population | str,
    within: Registry,
    prefix: str,
    columns: Sequence[Field] = (),
) -> tuple[str, dict[str, Any], targeting.Selected]:
    """Return a select of (source: id of ours, d.*: key of theirs and columns) for all pairs that match."""
    schema = other if isinstance(other, str) else other.schema
    pairs = targeting.pairs(said.get("joins"), "joins")
    ours = targeting.select(
        ctx,
        QueryDef(main.schema, select=(Field("@id"), *(Field(source) for source, _ in pairs))),
        within=within,
        prefix=f"{prefix}s_",
    )
    theirs = targeting.select(
        ctx,
        QueryDef(
            schema,
            select=(
                Field(targeting.key_path(schema, within)),
                *(Field(there) for _, there in pairs),
                *columns,
            ),
            where=targeting.conditions(said.get("filter"), "filter"),
        ),
        within=within,
        prefix=f"{prefix}d_",
    )
    equal = [
        combining.equality(f"s.c{n}", ours.columns[n].kind, f"d.c{n}", theirs.columns[n].kind, ctx)
        for n in range(1, len(pairs) + 1)
    ]
    sql = f"FROM ({ours.sql}) s JOIN ({theirs.sql}) d ON {' AND '.join(equal)}"
    return sql, {**ours.params, **theirs.params}, theirs


def _add_link(
    ctx: TaskContext,
    main: Population,
    said: Said,
    other: Population | str,
    within: Registry,
    added: Added,
    alias: str,
) -> None:
    name = str(said.get("name") or "")
    if not name:
        raise Misconfigured(f"A link of activity {ctx.activity.name} has no name.")
    data = targeting.fields(said.get("columns"), f"columns of {name}")
    sql, params, theirs = _matches(ctx, main, said, other, within, f"{alias}_", [each for _, _, each in data])
    first = len(theirs.columns) - len(data)
    values = "".join(f", d.c{first + number}" for number in range(len(data)))
    chosen = f"SELECT DISTINCT ON (s.c0) s.c0 AS source, d.c0 AS target{values} {sql} ORDER BY s.c0, d.c0"
    outer = "" if said.get("cardinality") == "1-1" else "LEFT "
    added.joins.append(f" {outer}JOIN ({chosen}) {alias} ON {alias}.source = b.c0")
    added.params |= params
    schema = other if isinstance(other, str) else other.schema
    column = Column(f"{name}-id", Type.INT64, name)
    added.columns.append(column)
    added.values.append(f"{alias}.target")
    key = ID if isinstance(other, Population) else population.key_of(schema)
    if isinstance(other, Population):
        schema = _kept_name(ctx, name)
        added.beside[schema] = other.table
    added.links.append(Link(name, schema, ((column.attribute, key),), name))
    for number, (attribute, label, _) in enumerate(data):
        found = targeting.fresh(
            attribute,
            label,
            theirs.columns[first + number],
            other if isinstance(other, str) else other.schema,
            within,
        )
        added.columns.append(found)
        added.values.append(f"{alias}.c{first + number}")


def _add_reconciliation(
    ctx: TaskContext, main: Population, said: Said, within: Registry, added: Added, *, rekeyed: bool
) -> None:
    dimension = registries.fresh()[str(said.get("dimension") or "")].name
    link = {
        **said,
        "name": str(said.get("name") or registries.fresh()[dimension].local_name),
        "cardinality": "0-1",
        "columns": None,
    }
    before = len(added.links)
    _add_link(ctx, main, link, dimension, within, added, "r")
    if rekeyed:
        # The key that was found becomes the id: it has to be the last value, and needs no link.
        del added.links[before:]


def _add_collections(
    ctx: TaskContext, main: Population, collections: Sequence[Said], within: Registry, added: Added
) -> None:
    for number, said in enumerate(collections):
        kind = str(said.get("kind") or "lines")
        if kind == "aggregates":
            _add_aggregates(ctx, main, said, within, added, f"a{number}")
        elif kind == "single":
            _add_single(ctx, main, said, within, added, f"o{number}")
        elif kind != "lines":
            raise Misconfigured(
                f"A collection of activity {ctx.activity.name} is of the unknown kind {kind!r}."
            )


def _add_aggregates(
    ctx: TaskContext, main: Population, said: Said, within: Registry, added: Added, alias: str
) -> None:
    schema, known, bounds = _lines_of(ctx, main, said, within)
    nodes: list[Field] = []
    names: list[tuple[str, str]] = []
    for each in targeting.listed(said.get("aggregates"), "aggregates"):
        function = str(each.get("function") or "count")
        if function not in _FUNCTIONS:
            raise Misconfigured(f"An aggregate of activity {ctx.activity.name} is the unknown {function!r}.")
        expr = str(each.get("expr") or "")
        nodes.append(Field(f"{_FUNCTIONS[function]}({expr})"))
        names.append((str(each.get("alias") or function), str(each.get("label") or "")))
    key = Field(f"[{SOURCE}/@id]")
    found = targeting.select(
        ctx,
        QueryDef(schema, select=(key, *nodes), where=bounds, group_by=(key,)),
        within=known,
        prefix=f"{alias}_",
    )
    added.joins.append(f" LEFT JOIN ({found.sql}) {alias} ON {alias}.c0 = b.c0")
    added.params |= found.params
    for number, ((name, label), each) in enumerate(zip(names, found.columns[1:], strict=True), 1):
        column = population.of_expression(name, each)
        added.columns.append(replace(column, label=label or name))
        counts = nodes[number - 1].expr.startswith("Count")
        added.values.append(f"coalesce({alias}.c{number}, 0)" if counts else f"{alias}.c{number}")


def _add_single(
    ctx: TaskContext, main: Population, said: Said, within: Registry, added: Added, alias: str
) -> None:
    schema, known, bounds = _lines_of(ctx, main, said, within)
    data = targeting.fields(said.get("columns"), "columns")
    order = targeting.sorting(said.get("sort"), "sort")
    select = (
        Field(f"[{SOURCE}/@id]"),
        Field(targeting.key_path(schema, known)),
        *(each for _, _, each in data),
        *(Field(each.expr) for each in order),
    )
    found = targeting.select(
        ctx, QueryDef(schema, select=select, where=bounds), within=known, prefix=f"{alias}_"
    )
    ranks = _ranks(order, 2 + len(data))
    chosen = f"SELECT DISTINCT ON (c0) * FROM ({found.sql}) q ORDER BY c0, {', '.join(ranks)}"  # noqa: S608 compiled
    added.joins.append(f" LEFT JOIN ({chosen}) {alias} ON {alias}.c0 = b.c0")
    added.params |= found.params
    for number, (name, label, _) in enumerate(data, 2):
        added.columns.append(targeting.fresh(name, label, found.columns[number], schema, known))
        added.values.append(f"{alias}.c{number}")


def _ranks(order: Sequence[Field], first: int) -> list[str]:
    return [
        *(f"c{first + n}{' DESC' if each.descending else ''} NULLS LAST" for n, each in enumerate(order)),
        "c1",
    ]


# --- many rows for each


def _with_lines(ctx: TaskContext, made: Population, said: Said) -> Population:
    """Return a population with the lines of a collection as a second table."""
    within = population.registry([made])
    schema, known, bounds = _lines_of(ctx, made, said, within)
    name = str(said.get("name") or _steps(said)[-1])
    data = targeting.fields(said.get("columns"), f"columns of {name}")
    order = targeting.sorting(said.get("sort"), "sort")
    select = (
        Field(f"[{SOURCE}/@id]"),
        Field(targeting.key_path(schema, known)),
        *(each for _, _, each in data),
        *(Field(each.expr) for each in order),
    )
    found = targeting.select(ctx, QueryDef(schema, select=select, where=bounds), within=known, prefix="c_")
    columns = [
        targeting.fresh(each[0], each[1], column, schema, known)
        for each, column in zip(data, found.columns[2 : 2 + len(data)], strict=True)
    ]
    most = targeting.whole(said.get("limit") or 0, "limit")
    return _attached(
        ctx,
        made,
        name,
        found.sql,
        dict(found.params),
        columns,
        schema,
        known,
        _ranks(order, 2 + len(data)),
        most,
    )


def _with_matches(
    ctx: TaskContext, made: Population, said: Said, other: Population | str, sets: Mapping[str, Population]
) -> Population:
    """Return a population with all rows that a 1-N link finds as a second table."""
    within = population.registry([made, *(each for each in sets.values() if each.schema != made.schema)])
    name = str(said.get("name") or "")
    data = targeting.fields(said.get("columns"), f"columns of {name}")
    sql, params, theirs = _matches(ctx, made, said, other, within, "n_", [each for _, _, each in data])
    first = len(theirs.columns) - len(data)
    values = "".join(f", d.c{first + number} AS c{2 + number}" for number in range(len(data)))
    schema = other if isinstance(other, str) else other.schema
    columns = [
        targeting.fresh(each[0], each[1], column, schema, within)
        for each, column in zip(data, theirs.columns[first:], strict=True)
    ]
    rows = f"SELECT s.c0 AS c0, d.c0 AS c1{values} {sql}"
    return _attached(ctx, made, name, rows, params, columns, schema, within, ["c1"], 0)


def _attached(
    ctx: TaskContext,
    made: Population,
    name: str,
    rows: str,
    params: dict[str, Any],
    columns: Sequence[Column],
    schema: str,
    known: Registry,
    ranks: Sequence[str],
    most: int,
) -> Population:
    """Make the table of lines from `rows` (c0: id of ours, c1: key of theirs, c2…: columns) and link it."""
    record = "record"
    links = (
        [Link(record, schema, (("recordId", known[schema].key[0]),), record)]
        if schema in registries.current()
        else []
    )
    lines = population.create(
        ctx,
        columns=[Column("sourceId", Type.INT64), Column("recordId", Type.INT64), *columns],
        schema=_kept_name(ctx, name),
        links=links,
    )
    source, target = lines.columns[0].column, lines.columns[1].column
    lines = population.reshape(
        lines, links=tuple(replace(each, join=((target, each.join[0][1]),)) for each in lines.links)
    )
    names = ", ".join(quoted(each) for each, _ in lines.sql_columns)
    casts = ", ".join(f"(c{number})::{kind}" for number, (_, kind) in enumerate(lines.sql_columns[1:]))
    order = ", ".join(ranks)
    statement = (
        f"INSERT INTO {quoted(lines.table)} ({names}) "  # noqa: S608
        f"SELECT row_number() OVER (ORDER BY c0, {order}), {casts}"
        f" FROM (SELECT q.*, row_number() OVER (PARTITION BY c0 ORDER BY {order}) AS place FROM ({rows}) q) q"
        f"{' WHERE place <= %(most)s' if most else ''}"
    )
    count = population.run(ctx, statement, {**params, "most": most})
    lines = population.finish(ctx, lines, count)
    link = Link(name, lines.schema, ((ID, source),), name, collection=True)
    return population.reshape(
        made, links=(*made.links, link), beside={**made.beside, lines.schema: lines.table}
    )


def _kept_name(ctx: TaskContext, name: str) -> str:
    return f"temp:{ctx.activity.name}_{name}"


def _steps(said: Said) -> list[str]:
    steps = str(said.get("link") or "").strip("[]").split("/")
    if not steps[-1]:
        raise Misconfigured("A collection needs the link that leads to its rows.")
    return steps


def _lines_of(
    ctx: TaskContext, main: Population, said: Said, within: Registry
) -> tuple[str, Registry, tuple[Condition, ...]]:
    """Return the schema of a collection's rows, a registry in which they know their row of the population,
    and the conditions under which they are counted.
    """
    steps = _steps(said)
    if steps[0] == TARGET:
        steps = steps[1:]
    own = within[main.schema]
    link = own.links.get(steps[0])
    beyond = within[main.dimension] if main.dimension else None
    through = False
    if link is None and beyond is not None:
        link, through = beyond.links.get(steps[0]), True
    if len(steps) != 1 or link is None or not link.collection:
        raise Misconfigured(
            f"Activity {ctx.activity.name}: {'/'.join(steps)} is no link from"
            f" {main.dimension or main.schema} to many rows."
        )
    if through and beyond is not None and any(column != beyond.key[0] for column, _ in link.join):
        raise Misconfigured(f"Activity {ctx.activity.name}: the link {link.name} does not start at the key.")
    join = tuple((theirs, ID if through else ours) for ours, theirs in link.join)
    schema = within[link.target]
    back = Link(SOURCE, main.schema, join, "")
    known = Registry({**within.schemas, schema.name: replace(schema, links={**schema.links, SOURCE: back})})
    bounds = [Condition(f"[{SOURCE}/@id] IS NOT NULL")]
    if beyond is not None and beyond.folder is not None and not _sees_all(ctx):
        key = targeting.key_path(beyond.name, known)
        bounds.append(Condition(f"[{SOURCE}/{TARGET}/{key.strip('[]')}] IS NOT NULL"))
    filter_ = targeting.conditions(said.get("filter"), "filter")
    if filter_:
        bounds.append(Condition(conditions=filter_))
    return schema.name, known, tuple(bounds)


def _sees_all(ctx: TaskContext) -> bool:
    return ctx.actor.is_administrator and ctx.actor.root_path == "/"
