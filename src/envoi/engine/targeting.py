"""What set activities have in common: reading their settings, and statements over populations (engine.md
§6.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, cast

from psycopg import sql as composed

from envoi.engine import population, sql
from envoi.engine.activities.base import Misconfigured, Outcome, TaskContext
from envoi.engine.definition import Transition
from envoi.engine.population import ID, SEGMENT, Column, Population
from envoi.kernel import query
from envoi.kernel import registry as registries
from envoi.kernel.expression import Literal, Path, parse, walk
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Link, Registry, Schema

EVERY = 2**62
"""A number of rows that no table reaches: a select inside of a statement has no other limit."""
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Selected:
    """A select to stand inside of another statement: its columns are called c0, c1, …"""

    sql: str
    params: Mapping[str, Any]
    columns: tuple[query.Column, ...]


# --- settings


def dimension_of(ctx: TaskContext) -> str:
    """Return the targeting dimension: the activity's, else the workflow's. Raises NotFound for an unknown
    one.
    """
    said = str(ctx.parameters.get("targetingDimension") or "")
    if not said:
        row = sql.one(
            "SELECT schema FROM xtk_workflow WHERE workflow_id = %(workflow)s", {"workflow": ctx.workflow_id}
        )
        said = str(row["schema"]) if row else ""
    return registries.fresh()[said].name


def conditions(said: Any, place: str) -> tuple[Condition, ...]:
    """Return what a filter says: a text is one expression, an object the `where` of a query definition.

    Raises Invalid with the place.
    """
    if not said:
        return ()
    if isinstance(said, str):
        return (Condition(said),)
    if isinstance(said, Mapping) and cast("Mapping[str, Any]", said).get("enabled") is False:
        return ()
    if isinstance(said, Mapping):
        inner = {name: value for name, value in cast("Mapping[str, Any]", said).items() if name != "enabled"}
        if "expr" in inner and "condition" not in inner:
            inner = {"condition": [inner]}
        return query.from_json({"schema": place, "where": inner}).where
    raise Misconfigured(f"{place} must be an expression, or the conditions of a query.")


def fields(said: Any, place: str) -> tuple[tuple[str, str, Field], ...]:
    """Return (name, label, field) of each datum in a list of `{"expr", "alias", "label"}`; a text is an
    expression.
    """
    found: list[tuple[str, str, Field]] = []
    for index, each in enumerate(listed(said, place), 1):
        node: Mapping[str, Any] = {"expr": each} if isinstance(each, str) else each
        expr = str(node.get("expr") or "")
        if not expr.strip():
            raise Misconfigured(f"{place}[{index}] has no expression.")
        name = str(node.get("alias") or node.get("name") or "").lstrip("@")
        if not name:
            name = free(name_of(expr), [ID, *(known for known, _, _ in found)])
        found.append((name, str(node.get("label") or ""), Field(expr)))
    return tuple(found)


def sorting(said: Any, place: str) -> tuple[Field, ...]:
    """Return the fields that a list of `{"expr", "descending"}` sorts by; a text is an expression."""
    return tuple(
        Field(each)
        if isinstance(each, str)
        else Field(
            str(each.get("expr") or ""), descending=bool(each.get("descending") or each.get("sortDesc"))
        )
        for each in listed(said, place)
    )


def pairs(said: Any, place: str) -> tuple[tuple[str, str], ...]:
    """Return (source, destination) of a list of `{"source", "destination"}`; both are expressions."""
    found = tuple(
        (str(each.get("source") or ""), str(each.get("destination") or "")) for each in listed(said, place)
    )
    if not found or not all(source and destination for source, destination in found):
        raise Misconfigured(f"{place} needs a source and a destination expression in each line.")
    return found


def listed(said: Any, place: str) -> list[Any]:
    """Return a list setting. Raises Misconfigured for anything else; nothing is an empty list."""
    if said in (None, ""):
        return []
    if not isinstance(said, list) or not all(
        isinstance(each, (str, Mapping)) for each in cast("list[Any]", said)
    ):
        raise Misconfigured(f"{place} must be a list.")
    return cast("list[Any]", said)


def free(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not among those taken: the name itself, else with the first number that is
    free.
    """
    known, number, found = set(taken), 1, name
    while found in known:
        number += 1
        found = f"{name}{number}"
    return found


def name_of(expr: str) -> str:
    """Return what a datum is called that is given without a name: the last part of a path, else `datum`."""
    node = parse(expr)
    if isinstance(node, Path):
        name = node.attribute or (node.steps[-1] if node.steps else "")
        return name.rpartition("/")[2] or "datum"
    return "datum"


def whole(said: Any, place: str, *, least: int = 0) -> int:
    """Return a whole number setting. Raises Misconfigured for what is none, or too small."""
    text = str(said).strip()
    # A script gives whole numbers as 10.0.
    fits = re.fullmatch(r"\d{1,18}(\.0)?", text, re.ASCII) and not isinstance(said, bool)
    number = int(text.partition(".")[0]) if fits else -1
    if number < least:
        raise Misconfigured(f"{place} must be a whole number of at least {least}, not {said!r}.")
    return number


def share(said: Any, total: int, place: str) -> int:
    """Return a percentage of `total` rows, rounded half up. Raises Misconfigured for no number from 0 to
    100.
    """
    try:
        percent = Decimal(str(said))
    except InvalidOperation:
        percent = Decimal(-1)
    if not percent.is_finite() or not 0 <= percent <= 100:
        raise Misconfigured(f"{place} must be a percentage from 0 to 100, not {said!r}.")
    return int((percent * total / 100).quantize(Decimal(1), ROUND_HALF_UP))


def literal(text: str) -> str:
    """Return a text as an expression."""
    return str(Literal(text))


# --- transitions


def way_of(ctx: TaskContext, kind: str) -> Transition | None:
    """Return the enabled way out of this kind, or of this name; None when the activity has none."""
    return next(
        (way for way in ctx.activity.transitions if way.enabled and kind in (way.kind, way.name)), None
    )


def outcome(ctx: TaskContext, *results: tuple[str, Population | None]) -> Outcome:
    """Complete, firing for each (kind, population) the way of that kind, and write the counts into the
    journal.
    """
    found: list[Any] = []
    for kind, made in results:
        way = way_of(ctx, kind)
        if made is None:
            continue
        name = way.name if way else kind
        population.says(ctx, made, name)
        found.append(population.fired(name, made))
    return Outcome(tuple(found))


def in_order(ctx: TaskContext, populations: Sequence[Population], first: str = "") -> list[Population]:
    """Return inbound populations in the order in which their transitions are drawn; that of `first` leads."""
    drawn = {pair: place for place, pair in enumerate(ctx.definition.inbound.get(ctx.activity.name, ()))}
    ranked = sorted(
        zip(ctx.events, populations, strict=True),
        key=lambda each: (each[0].source != first, drawn.get((each[0].source, each[0].transition), 0)),
    )
    return [made for _, made in ranked]


def sources(ctx: TaskContext, populations: Sequence[Population]) -> dict[str, Population]:
    """Return inbound populations by the name of the activity, and of the transition, that they come from."""
    found: dict[str, Population] = {}
    for event, made in zip(ctx.events, populations, strict=True):
        found.setdefault(event.source, made)
        found.setdefault(f"{event.source}/{event.transition}", made)
    return found


def same_dimension(ctx: TaskContext, populations: Sequence[Population]) -> str:
    """Return the dimension that all have. Raises Misconfigured when they differ."""
    found = {made.dimension for made in populations}
    if len(found) > 1:
        names = ", ".join(sorted(each or "none" for each in found))
        raise Misconfigured(
            f"Activity {ctx.activity.name} needs populations of one targeting dimension and gets {names}."
            " Change the dimension of one of them before."
        )
    return found.pop()


# --- statements


def quoted(name: str) -> str:
    """Return an identifier as SQL quotes it, for statements with parameters."""
    return composed.Identifier(name).as_string(None).replace("%", "%%")


def select(ctx: TaskContext, definition: QueryDef, *, within: Registry | None, prefix: str) -> Selected:
    """Return a select to be put into a statement in parentheses; `prefix` keeps its parameters apart."""
    compiled = query.compile(
        definition if definition.line_count is not None else replace(definition, line_count=EVERY),
        actor=ctx.actor,
        zone=str(ctx.zone),
        variables=population.values(ctx),
        now=ctx.now,
        within=within,
    )
    text = _PARAMETER.sub(lambda found: f"%({prefix}{found[1]})s", compiled.sql)
    return Selected(
        text, {f"{prefix}{name}": each for name, each in compiled.params.items()}, compiled.columns
    )


def carried(made: Population, only: Iterable[str] | None = None) -> list[tuple[Column, Field]]:
    """Return each datum of a population with the field that reads it; `only` names those wanted."""
    wanted = None if only is None else set(only)
    return [
        (each, Field(xpath(each.attribute)))
        for each in made.columns
        if wanted is None or each.attribute in wanted
    ]


def xpath(attribute: str) -> str:
    """Return an attribute as an expression reads it."""
    return f"@{attribute}" if attribute.replace("_", "").isalnum() else f"[@{attribute}]"


def key_path(schema: str, within: Registry | None = None) -> str:
    """Return the attribute of a schema's key, as an expression reads it."""
    found = (within or registries.fresh())[schema]
    attribute = found.attribute_of(found.key[0])
    return attribute.xpath if attribute else "@id"


def build(
    ctx: TaskContext,
    definition: QueryDef,
    data: Sequence[Column | tuple[str, str]],
    *,
    dimension: str,
    within: Registry | None = None,
    schema: str = "",
    like: Population | None = None,
) -> Population:
    """Make a population of what a query selects: `id`, then one node for each of `data`.

    A datum is a column that is carried on, or (name, label) of a new one, whose type follows from its
    expression. Where the query passes a collection, rows of one id become one. Raises as `query.compile`
    does.
    """
    compiled = query.compile(
        replace(definition, line_count=1),
        actor=ctx.actor,
        zone=str(ctx.zone),
        variables=population.values(ctx),
        now=ctx.now,
        within=within,
    )
    columns = [
        each if isinstance(each, Column) else fresh(each[0], each[1], found, definition.schema, within)
        for each, found in zip(data, compiled.columns[1:], strict=True)
    ]
    made = population.create(ctx, dimension=dimension, columns=columns, schema=schema, like=like)
    several = multiplies(definition, within)
    if several and not definition.order_by:
        definition = replace(definition, distinct=True)
    count = population.insert(ctx, made, definition, within=within)
    return population.finish(ctx, made, count, doubles=several)


def fresh(name: str, label: str, found: query.Column, schema: str, within: Registry | None = None) -> Column:
    """Return the column of a new datum. A copy of an attribute keeps its enumeration and the right that it
    takes.
    """
    column = population.of_expression(name, found)
    if found.attribute is not None:
        owner = _owner(found.expr, schema, within)
        if owner is not None:
            column = replace(column, source=(owner.name, found.attribute.name))
    return replace(column, label=label or column.label)


def merged(first: Column, other: Column) -> Column:
    """Return the column that holds values of both: of their type when they have one, else of text."""
    if first.type is other.type:
        return first
    types = registries.Type
    ranks = [types.BYTE, types.SHORT, types.LONG, types.INT64, types.DOUBLE]
    if first.type in ranks and other.type in ranks:
        return replace(first, type=max(first.type, other.type, key=ranks.index), source=None)
    return replace(first, type=types.MEMO, source=None)


def multiplies(definition: QueryDef, within: Registry | None) -> bool:
    """Return whether a query passes a collection, so that it may give a row several times."""
    known = within or registries.current()
    start = known[definition.schema]
    texts = [each.expr for each in (*definition.select, *definition.order_by)]
    texts += _texts(definition.where)
    if definition.group_by:
        return False
    return any(
        _crosses(node, start, known)
        for text in texts
        for node in walk(parse(text))
        if isinstance(node, Path) and node.steps
    )


def _texts(found: Iterable[Condition]) -> list[str]:
    texts: list[str] = []
    for each in found:
        if each.expr.strip() and not each.set_operator.endswith("EXISTS"):
            texts.append(each.expr)
        if not each.set_operator:
            texts += _texts(each.conditions)
    return texts


def _crosses(path: Path, start: Schema, known: Registry) -> bool:
    return any(link.collection for link in links_of(path.steps, start, known))


def links_of(steps: Sequence[str], start: Schema, known: Registry) -> list[Link]:
    """Return the links of a path, as far as they are known; the link beyond a population is among them."""
    at, found = start, list[Link]()
    for step in steps:
        link = at.links.get(step)
        if link is None and at.beyond:
            beyond = at.links[at.beyond]
            found.append(beyond)
            at = known[beyond.target]
            link = at.links.get(step)
        if link is None:
            break
        found.append(link)
        at = known[link.target]
    return found


def _owner(expr: str, schema: str, within: Registry | None) -> Schema | None:
    known = within or registries.current()
    node, at = parse(expr), known[schema]
    if not isinstance(node, Path):
        return None
    links = links_of(node.steps, at, known)
    if links:
        at = known[links[-1].target]
    elif at.beyond and node.attribute not in at.attributes:
        at = known[at.links[at.beyond].target]
    return at if not at.name.startswith("temp:") else None


def with_segment(data: list[Any], select_: list[Field], code: str) -> tuple[list[Any], list[Field]]:
    """Return data and fields with the segment code added, in the place of one that is there already."""
    if not code:
        return data, select_
    names = [each.attribute if isinstance(each, Column) else each[0] for each in data]
    field_ = Field(literal(code))
    column = Column(SEGMENT, registries.Type.STRING, "Segment code")
    if SEGMENT in names:
        place = names.index(SEGMENT)
        return [*data[:place], column, *data[place + 1 :]], [
            *select_[: place + 1], field_, *select_[place + 2 :],
        ]  # fmt: skip
    return [*data, column], [*select_, field_]


def order_of(ctx: TaskContext, column: str, *parts: str) -> str:
    """Return SQL that orders rows at random, the same way whenever this task runs again.

    A hash of the row's id and of a number that belongs to the task (and to `parts`): a task that is
    repeated after a crash draws the same rows, the next task others.
    """
    text = "/".join((str(ctx.workflow_id), str(ctx.task_id), ctx.activity.name, *parts))
    salt = int.from_bytes(_digest(text), "big", signed=True)
    return f"hashint8extended({column}, {salt})"


def _digest(text: str) -> bytes:
    import hashlib

    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def copy_rows(
    ctx: TaskContext,
    source: Population,
    where: str,
    params: Mapping[str, Any] | None = None,
    *,
    code: str = "",
    schema: str = "",
) -> Population:
    """Make a population of those rows of `source` (alias p) for which the SQL condition `where` holds.

    `code` is a segment code that each row gets.
    """
    columns = [each for each in source.columns if not (code and each.attribute == SEGMENT)]
    if code:
        columns.append(Column(SEGMENT, registries.Type.STRING, "Segment code"))
    made = population.create(
        ctx,
        dimension=source.dimension,
        columns=columns,
        schema=schema,
        like=source,
    )
    taken = [f"p.{quoted(each.column)}" for each in columns if not (code and each.attribute == SEGMENT)]
    values = [f"p.{ID}", *taken, *(["%(segment_code)s"] if code else [])]
    names = ", ".join(quoted(name) for name, _ in made.sql_columns)
    statement = (
        f"INSERT INTO {quoted(made.table)} ({names}) SELECT {', '.join(values)} "  # noqa: S608 quoted names
        f"FROM {quoted(source.table)} p WHERE {where}"
    )
    count = population.run(ctx, statement, {**(params or {}), "segment_code": code})
    return population.finish(ctx, made, count)


def absent(other: Population, alias: str = "p") -> str:
    """Return the SQL condition that a row's id is not in another population."""
    return f"NOT EXISTS (SELECT 1 FROM {quoted(other.table)} o WHERE o.{ID} = {alias}.{ID})"  # noqa: S608 quoted
