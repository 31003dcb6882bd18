"""Set operations on populations, each one statement (engine.md §6.5): union, intersection, what an
exclusion excludes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from envoi.engine import population, targeting
from envoi.engine.activities.base import Misconfigured, TaskContext
from envoi.engine.population import ID, Column, Population
from envoi.engine.targeting import quoted
from envoi.kernel.expression import Kind
from envoi.kernel.query import Condition, Field, QueryDef


@dataclass(frozen=True)
class Part:
    """A piece of a statement and its parameters."""

    sql: str
    params: dict[str, Any] = field(default_factory=dict[str, Any])


def reconciled(ctx: TaskContext, inbound: Sequence[Population]) -> tuple[str, ...]:
    """Return the attributes by which rows are the same, () for their ids (parameter `reconcile`).

    Raises Misconfigured for an attribute that not all populations have.
    """
    said = ctx.parameters.get("reconcile") or "id"
    if said == "id":
        return ()
    shared = common_attributes(inbound)
    wanted = shared if said == "columns" else [str(each) for each in targeting.listed(said, "reconcile")]
    for name in wanted:
        if name not in shared:
            raise Misconfigured(
                f"Activity {ctx.activity.name} cannot reconcile on @{name}: not every population has it."
            )
    if not wanted:
        raise Misconfigured(f"The populations of activity {ctx.activity.name} have no column in common.")
    return tuple(wanted)


def common_attributes(inbound: Sequence[Population]) -> list[str]:
    """Return the attributes that all populations have, in the order of the first."""
    return [
        each.attribute
        for each in inbound[0].columns
        if all(other.column(each.attribute) is not None for other in inbound[1:])
    ]


def united(
    ctx: TaskContext,
    inbound: Sequence[Population],
    keys: Sequence[str] = (),
    *,
    common: bool = False,
    most: int = 0,
    less: Population | None = None,
) -> Population:
    """Return the union, the first population that has a row giving its data; `less`: without the rows of
    that one.

    Data without a dimension get new numbers, and rows that are equal stay, unless `keys` make them one.
    """
    dimension = targeting.same_dimension(ctx, inbound)
    columns = _columns(inbound, common=common)
    made = population.create(ctx, dimension=dimension, columns=columns, like=inbound[0])
    parts: list[str] = []
    for number, each in enumerate(inbound):
        values = [f"{_value(each, column)} AS {quoted(column.column)}" for column in made.columns]
        selected = ", ".join((f'{number} AS "O"', f"p.{ID}", *values))
        earlier = [targeting.absent(before) for before in inbound[:number]] if dimension else []
        where = f" WHERE {' AND '.join(earlier)}" if earlier else ""
        parts.append(f"SELECT {selected} FROM {quoted(each.table)} p{where}")  # noqa: S608 quoted names
    names = [quoted(name) for name, _ in made.sql_columns]
    source, bounds = f"({' UNION ALL '.join(parts)}) q", list[str]()
    if keys:
        by = ", ".join(quoted(_named(made, key).column) for key in keys)
        source = (
            f'(SELECT q.*, row_number() OVER (PARTITION BY {by} ORDER BY "O", {ID}) AS "N" FROM {source}) q'  # noqa: S608
        )
        bounds.append('"N" = 1')
    if less is not None:
        bounds.append(_not_in(less, made, keys if not dimension else ()))
    number = ID if dimension else f'row_number() OVER (ORDER BY "O", {ID})'
    # Where the place in the order does not matter, rows go in as they come.
    order = f' ORDER BY "O", {ID} LIMIT %(most)s' if most else ""
    statement = (
        f"INSERT INTO {quoted(made.table)} ({', '.join(names)}) "  # noqa: S608 quoted names
        f"SELECT {', '.join((number, *names[1:]))} FROM {source}"
        f"{' WHERE ' + ' AND '.join(bounds) if bounds else ''}{order}"
    )
    return population.finish(ctx, made, population.run(ctx, statement, {"most": most}))


def intersected(
    ctx: TaskContext, inbound: Sequence[Population], keys: Sequence[str] = (), *, common: bool = False
) -> Population:
    """Return the rows of the first population that all others have: by id, or with equal values in `keys`."""
    dimension = targeting.same_dimension(ctx, inbound)
    if not dimension and not keys:
        raise Misconfigured(
            f"Activity {ctx.activity.name} compares data without a dimension: say which columns to reconcile."
        )
    columns = _columns(inbound if not keys else inbound[:1], common=False)
    if common:
        shared = common_attributes(inbound)
        columns = [each for each in columns if each.attribute in shared]
    made = population.create(ctx, dimension=dimension, columns=columns, like=inbound[0])
    aliases = ["p", *(f"t{number}" for number in range(1, len(inbound)))]
    joins, bounds = list[str](), list[str]()
    for alias, other in list(zip(aliases, inbound, strict=True))[1:]:
        if keys:
            equal = " AND ".join(
                f"{_value(other, _named(made_of(inbound), key), 'o')} IS NOT DISTINCT FROM "
                f"{_value(inbound[0], _named(made_of(inbound), key))}"
                for key in keys
            )
            bounds.append(f"EXISTS (SELECT 1 FROM {quoted(other.table)} o WHERE {equal})")  # noqa: S608 quoted
        else:
            joins.append(f" JOIN {quoted(other.table)} {alias} ON {alias}.{ID} = p.{ID}")
    values = [_first_value(inbound, aliases, column) for column in made.columns]
    statement = (
        f"INSERT INTO {quoted(made.table)} ({', '.join(quoted(name) for name, _ in made.sql_columns)}) "  # noqa: S608
        f"SELECT {', '.join((f'p.{ID}', *values))} FROM {quoted(inbound[0].table)} p{''.join(joins)}"
        f"{' WHERE ' + ' AND '.join(bounds) if bounds else ''}"
    )
    return population.finish(ctx, made, population.run(ctx, statement))


def exclusion(ctx: TaskContext, main: Population, other: Population, rule: Any, prefix: str) -> Part:
    """Return the condition on rows of `main` (alias p) that another population does not exclude.

    Raises Misconfigured where the rule does not fit the two, and what the query compiler raises.
    """
    kind = str(rule.get("kind") or "id")
    if kind == "id":
        if main.dimension != other.dimension:
            raise Misconfigured(
                f"Activity {ctx.activity.name} excludes {other.dimension or 'data without a dimension'} from"
                f" {main.dimension or 'data without a dimension'}: the rule needs a link or a pair of fields."
            )
        return Part(targeting.absent(other))
    within = population.registry((main, other))
    if kind == "dimension":
        members = QueryDef(other.schema, select=(Field("@id"),))
        if not other.dimension:
            raise Misconfigured("Data without a dimension can be excluded by pairs of fields only.")
        key = targeting.key_path(other.dimension)
        linked = Condition(
            str(rule.get("link") or "").strip("[]"),
            set_operator="EXISTS",
            conditions=(Condition(key, set_operator="IN", subquery=members),),
        )
        found = targeting.select(
            ctx, QueryDef(main.schema, select=(Field("@id"),), where=(linked,)), within=within, prefix=prefix
        )
        return Part(
            f"NOT EXISTS (SELECT 1 FROM ({found.sql}) e WHERE e.c0 = p.{ID})",  # noqa: S608 compiled
            dict(found.params),
        )
    pairs = targeting.pairs(rule.get("joins"), "joins")
    ours = targeting.select(
        ctx,
        QueryDef(main.schema, select=(Field("@id"), *(Field(source) for source, _ in pairs))),
        within=within,
        prefix=f"{prefix}s_",
    )
    theirs = targeting.select(
        ctx,
        QueryDef(other.schema, select=tuple(Field(destination) for _, destination in pairs)),
        within=within,
        prefix=f"{prefix}d_",
    )
    equal = [
        equality(
            f"s.c{number + 1}",
            ours.columns[number + 1].kind,
            f"d.c{number}",
            theirs.columns[number].kind,
            ctx,
        )
        for number in range(len(pairs))
    ]
    return Part(
        f"NOT EXISTS (SELECT 1 FROM ({ours.sql}) s, ({theirs.sql}) d"  # noqa: S608 compiled
        f" WHERE s.c0 = p.{ID} AND {' AND '.join(equal)})",
        {**ours.params, **theirs.params},
    )


def equality(one: str, kind: Kind, other: str, other_kind: Kind, ctx: TaskContext) -> str:
    """Return the condition that two values are equal and not empty. Raises Misconfigured when they never
    can be.
    """
    if kind is not other_kind and not (kind.is_number and other_kind.is_number):
        raise Misconfigured(f"Activity {ctx.activity.name} compares {kind} with {other_kind}.")
    return f"nullif({one}, '') = {other}" if kind is Kind.TEXT else f"{one} = {other}"


def made_of(inbound: Sequence[Population]) -> Population:
    """Return a population without a table that has the columns of all, of types that hold the values of
    all.
    """
    return Population("", "", inbound[0].dimension, tuple(_columns(inbound, common=False)))


def _columns(inbound: Sequence[Population], *, common: bool) -> list[Column]:
    shared = set(common_attributes(inbound))
    found: dict[str, Column] = {}
    for each in inbound:
        for column in each.columns:
            if common and column.attribute not in shared:
                continue
            known = found.get(column.attribute)
            found[column.attribute] = targeting.merged(known, column) if known else column
    return list(found.values())


def _named(made: Population, attribute: str) -> Column:
    found = made.column(attribute)
    if found is None:
        raise Misconfigured(f"There is no column @{attribute}.")
    return found


def _value(source: Population, column: Column, alias: str = "p") -> str:
    """Return what a population has for a column of the result; NULL when it does not carry it."""
    own = source.column(column.attribute)
    if own is None:
        return f"NULL::{column.sql_type}"
    value = f"{alias}.{quoted(own.column)}"
    return value if own.type is column.type else f"{value}::{column.sql_type}"


def _first_value(inbound: Sequence[Population], aliases: Sequence[str], column: Column) -> str:
    for alias, each in zip(aliases, inbound, strict=True):
        own = each.column(column.attribute)
        if own is not None:
            value = f"{alias}.{quoted(own.column)}"
            return value if own.type is column.type else f"{value}::{column.sql_type}"
    return "NULL"


def _not_in(other: Population, made: Population, keys: Sequence[str]) -> str:
    if not keys:
        return targeting.absent(other, "q")
    equal = " AND ".join(
        f"o.{quoted(_named(other, key).column)} IS NOT DISTINCT FROM q.{quoted(_named(made, key).column)}"
        for key in keys
        if other.column(key)
    )
    return f"NOT EXISTS (SELECT 1 FROM {quoted(other.table)} o WHERE {equal})"  # noqa: S608 quoted names
