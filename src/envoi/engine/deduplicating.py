"""Doubles of a population: which rows are kept, and what they take from the others (engine.md §6.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envoi.engine import population, targeting
from envoi.engine.activities.base import Misconfigured, TaskContext
from envoi.engine.population import ID, Population
from envoi.engine.targeting import quoted
from envoi.kernel.expression import Kind
from envoi.kernel.query import Condition, Field, QueryDef

METHODS = ("first", "random", "list", "nonEmpty", "min", "max")


@dataclass(frozen=True)
class Merge:
    """Data that the kept row takes from one record."""

    columns: tuple[str, ...]
    filter: tuple[Condition, ...]
    sort: tuple[Field, ...]
    filled: bool


def no_zero(ctx: TaskContext) -> str:
    """Return the condition, behind others, that leaves out rows with id 0; empty when they are kept."""
    return "" if ctx.parameters.get("keepZeroIds") else f" AND p.{ID} <> 0"


def deduplicated(ctx: TaskContext, source: Population) -> Population:
    """Return the rows that are kept, with merged data, as the activity's settings say. One statement."""
    said = ctx.parameters
    keys = [Field(str(each)) for each in targeting.listed(said.get("keys"), "keys")]
    if not keys:
        raise Misconfigured(f"Activity {ctx.activity.name} has no field by which rows are doubles.")
    method = str(said.get("method") or "first")
    if method not in METHODS:
        raise Misconfigured(f"Activity {ctx.activity.name} chooses doubles by the unknown method {method!r}.")
    keep = targeting.whole(said.get("keep") or 1, "keep", least=1)
    merges = _merges(ctx, source, keep)
    own = [field for _, field in targeting.carried(source)]
    select = [Field("@id"), *own, *keys]
    places = {"keys": 1 + len(own), "criterion": len(select)}
    if method in ("list", "nonEmpty", "min", "max"):
        select.append(Field(str(said.get("expr") or "")))
    merge_places: list[tuple[int, int]] = []
    for merge in merges:
        condition = len(select)
        select.append(Field(_condition(merge)))
        merge_places.append((condition, len(select)))
        select += [Field(each.expr) for each in merge.sort]
    definition = QueryDef(source.schema, select=tuple(select))
    within = population.registry([source])
    if targeting.multiplies(definition, within):
        raise Misconfigured(
            f"Activity {ctx.activity.name} looks for doubles by a link that leads to many rows."
        )
    found = targeting.select(ctx, definition, within=within, prefix="d_")
    params: dict[str, Any] = dict(found.params)
    by = ", ".join(
        _key(f"c{places['keys'] + number}", found.columns[places["keys"] + number].kind)
        for number in range(len(keys))
    )
    order = _order(ctx, method, f"c{places['criterion']}", params)
    values = [f"c{1 + number}" for number in range(len(own))]
    windows: list[str] = []
    for number, (merge, (condition, first)) in enumerate(zip(merges, merge_places, strict=True)):
        ranks = [f"(c{condition} IS TRUE) DESC"]
        ranks += [
            f"c{first + place}{' DESC' if each.descending else ''} NULLS LAST"
            for place, each in enumerate(merge.sort)
        ]
        windows.append(f"m{number} AS (PARTITION BY {by} ORDER BY {', '.join((*ranks, 'c0'))})")
        for name in merge.columns:
            place = next(index for index, each in enumerate(source.columns) if each.attribute == name)
            values[place] = (
                f"CASE WHEN first_value(c{condition} IS TRUE) OVER m{number}"
                f" THEN first_value(c{1 + place}) OVER m{number} ELSE c{1 + place} END"
            )
    windows.insert(0, f"k AS (PARTITION BY {by} ORDER BY {order})")
    made = population.create(ctx, dimension=source.dimension, columns=source.columns, like=source)
    names = ", ".join(quoted(name) for name, _ in made.sql_columns)
    shown = "".join(f", {value} AS v{number}" for number, value in enumerate(values))
    taken = "".join(f", v{number}" for number in range(len(values)))
    zero = "" if said.get("keepZeroIds") else " WHERE c0 <> 0"
    statement = (
        f"INSERT INTO {quoted(made.table)} ({names}) SELECT c0{taken} FROM"  # noqa: S608 quoted names, compiled
        f" (SELECT c0{shown}, row_number() OVER k AS n FROM ({found.sql}) q{zero}"
        f" WINDOW {', '.join(windows)}) q"
        " WHERE n <= %(keep)s"
    )
    return population.finish(ctx, made, population.run(ctx, statement, {**params, "keep": keep}))


def _key(column: str, kind: Kind) -> str:
    # Equal texts are equal in any collation; this one compares bytes.
    return f'{column} COLLATE "C"' if kind in (Kind.TEXT, Kind.NULL) else column


def _order(ctx: TaskContext, method: str, criterion: str, params: dict[str, Any]) -> str:
    match method:
        case "random":
            first = targeting.order_of(ctx, "c0")
        case "list":
            params["listed"] = [str(each) for each in ctx.parameters.get("values") or ()]
            first = f"array_position(%(listed)s::text[], ({criterion})::text) NULLS LAST"
        case "nonEmpty":
            first = f"(coalesce(({criterion})::text, '') = '')"
        case "min":
            first = f"{criterion} NULLS LAST"
        case "max":
            first = f"{criterion} DESC NULLS LAST"
        case _:
            return "c0"
    return f"{first}, c0"


def _merges(ctx: TaskContext, source: Population, keep: int) -> list[Merge]:
    found: list[Merge] = []
    seen: set[str] = set()
    for number, each in enumerate(targeting.listed(ctx.parameters.get("merge"), "merge"), 1):
        columns = tuple(str(name).lstrip("@") for name in each.get("columns") or ())
        for name in columns:
            if source.column(name) is None or name in seen:
                raise Misconfigured(
                    f"merge[{number}] of {ctx.activity.name}: there is no @{name}, or it is named twice."
                )
            seen.add(name)
        found.append(
            Merge(
                columns,
                targeting.conditions(each.get("filter"), f"merge[{number}]/filter"),
                targeting.sorting(each.get("sort"), f"merge[{number}]/sort"),
                bool(each.get("nonEmpty")),
            )
        )
    if found and keep != 1:
        raise Misconfigured(f"Activity {ctx.activity.name} merges doubles: it can keep one of them only.")
    return found


def _condition(merge: Merge) -> str:
    """Return, as one expression, whether a record may give its data."""
    parts = [f"({expr})" for expr in _expressions(merge.filter)]
    if merge.filled:
        parts += [f"{targeting.xpath(name)} IS NOT NULL" for name in merge.columns]
    return " AND ".join(parts) or "1 = 1"


def _expressions(found: Sequence[Condition]) -> list[str]:
    if any(each.set_operator or each.conditions or each.operator != "AND" for each in found):
        raise Misconfigured("The filter of a merge is one expression.")
    return [each.expr for each in found]
