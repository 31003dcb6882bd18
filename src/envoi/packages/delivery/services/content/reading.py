"""What a message says of its reader, read for many messages by one statement.

When the content is frozen, the fields that its templates use become a query over the delivery log, with a
link to the target and one to the data that a workflow has computed, bound by the rights of who analyses. The
compiled statement is kept: a sender runs it without rights of its own. It reads from `envoi_log`, which
`fetch` puts before it: the messages of a part, or some by their numbers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from django.db import ProgrammingError, connection, transaction
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from psycopg.errors import UndefinedColumn, UndefinedTable

from envoi.engine import population, targeting
from envoi.engine.population import Population
from envoi.kernel import clock, query, registry
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.expression import Kind
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Attribute, Link, Registry, Schema, Type
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import DeliveryMapping, Flag, MessageStatus
from envoi.packages.delivery.services import coupons, log_tables
from envoi.packages.delivery.services.content.loops import Loop

LOG, DATA, COUPON = "temp:deliveryMessage", "temp:targetData", "temp:couponValue"
COUPON_ROOT = "coupon"
LOG_TABLE = "envoi_log"
OWN = ("@id", "@target", "@address", "@flags")
"""What the first columns of the query are."""
TARGET_DATA = "targetData"
ROWS = "ROWS"
"""The kind of a column that holds rows of a collection."""
FORMAT = "_format"
"""The column that holds which format a reader wants."""


@dataclass(frozen=True)
class Column:
    """A column of the query beyond `OWN`: the path by which templates know it, and what it gives."""

    path: str
    kind: str


@dataclass(frozen=True)
class Statement:
    """A compiled query over `envoi_log`; `now` names the parameters that are the time of reading."""

    sql: str
    params: Mapping[str, Any]
    now: tuple[str, ...]
    columns: tuple[Column, ...]
    """Those of the query, then one of kind `ROWS` for each of `collections`."""
    collections: tuple[Statement, ...] = ()
    """Statements that give for the number of a message rows of its reader, in their order."""

    def kept(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "sql": self.sql,
            "params": {name: packed(value) for name, value in self.params.items()},
            "now": list(self.now),
            "columns": [[each.path, each.kind] for each in self.columns],
            "collections": [each.kept() for each in self.collections],
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Statement:
        """Return what `kept` has given."""
        return cls(
            kept["sql"],
            {name: unpacked(value) for name, value in kept["params"].items()},
            tuple(kept["now"]),
            tuple(Column(path, kind) for path, kind in kept["columns"]),
            tuple(cls.of(each) for each in kept.get("collections", ())),
        )


def person_schema(mapping: DeliveryMapping) -> Schema | None:
    """Return the schema of who reads the messages of a mapping; None for external files."""
    if not mapping.schema:
        return None
    known = registry.fresh()
    found = known[mapping.schema]
    for step in filter(None, mapping.recipient_path.split("/")):
        found = known[found.links[step].target]
    return found


def prepare(
    paths: Iterable[str],
    mapping: DeliveryMapping,
    *,
    actor: Actor,
    now: datetime,
    data: Population | None = None,
    further: Mapping[str, str] | None = None,
    coupon: int | None = None,
    loops: Mapping[str, Loop] | None = None,
) -> tuple[Statement, list[str]]:
    """Return the statement that reads what `paths` name, and what of the workflow's data is not there.

    `data` is the table of the workflow's data as it will be read; `further` are expressions over the
    dimension by the path of their column, `coupon` the number of one whose values the messages have, `loops`
    what is read of the collections among the paths. Raises Invalid for a path that leads nowhere, with the
    nearest name, or to many rows; NotAllowed for one that takes a right.
    """
    known = _registry(mapping, data, coupon)
    chosen: dict[str, str] = {}
    missing: list[str] = []
    rows: list[tuple[str, Statement]] = []
    for path in sorted(paths):
        loop = (loops or {}).get(path)
        if loop is not None and (made := _rows_of(path, loop, mapping, known, actor, now)) is not None:
            rows.append((path, made))
            continue
        found = _expressions(path, mapping, known, actor)
        if found is None:
            missing.append(path)
        else:
            chosen |= found
    for path, expr in (further or {}).items():
        chosen[path] = _joined((), expr)
    select = (*(Field(each) for each in OWN), *(Field(each) for each in chosen.values()))
    definition = QueryDef(LOG, select=select, order_by=(Field("@id"),), line_count=targeting.EVERY)
    if targeting.multiplies(definition, known):
        many = next(path for path, expr in chosen.items() if _multiplies(expr, known))
        raise Invalid(
            _("%(path)s is a collection: go through it with {%% for each in %(path)s %%}.") % {"path": many}
        )
    compiled = query.compile(definition, actor=actor, now=now, within=known)
    columns = tuple(
        Column(path, column.kind.name)
        for path, column in zip(chosen, compiled.columns[len(OWN) :], strict=True)
    )
    moving = tuple(name for name, value in compiled.params.items() if value == now)
    columns += tuple(Column(path, ROWS) for path, _made in rows)
    collections = tuple(made for _path, made in rows)
    return Statement(compiled.sql, dict(compiled.params), moving, columns, collections), missing


def _rows_of(
    path: str, loop: Loop, mapping: DeliveryMapping, known: Registry, actor: Actor, now: datetime
) -> Statement | None:
    """Return the statement that reads a collection; None when the path is none."""
    ((_path, whole),) = (_expressions(path, mapping, known, actor) or {"": "@id"}).items()
    if not _multiplies(whole, known):
        return None
    chosen: dict[str, str] = {}
    for name in sorted(loop.fields):
        chosen |= {
            read.removeprefix(f"{path}."): expr
            for read, expr in (_expressions(f"{path}.{name}", mapping, known, actor) or {}).items()
        }
    key = _key(whole, known)
    select = (Field("@id"), Field(key), *(Field(each) for each in chosen.values()))
    where = (Condition(f"{key} IS NOT NULL"),)
    compiled = query.compile(
        QueryDef(LOG, select=select, where=where, line_count=targeting.EVERY),
        actor=actor,
        now=now,
        within=known,
    )
    names = [f"c{index}" for index in range(len(select))]
    at = list(chosen).index(loop.order) + 2 if loop.order in chosen else 1
    order = f"c{at} {'DESC' if loop.down or not loop.order else 'ASC'} NULLS LAST, c1"
    of = ", ".join(names)
    sql = f"""SELECT {of} FROM (SELECT *, row_number() OVER (PARTITION BY c0 ORDER BY {order}) AS place
        FROM (%s) AS read ({of})) AS numbered WHERE place <= {int(loop.most)} ORDER BY c0, place"""  # noqa: S608
    columns = tuple(
        Column(name, column.kind.name) for name, column in zip(chosen, compiled.columns[2:], strict=True)
    )
    moving = tuple(name for name, value in compiled.params.items() if value == now)
    return Statement(sql.replace("%s", compiled.sql, 1), dict(compiled.params), moving, columns)


def _key(whole: str, known: Registry) -> str:
    """Return the expression of the primary key of the schema that a path of links leads to."""
    place = known[LOG]
    steps = whole.strip("[]").split("/")
    for step in steps:
        place = known[place.links[step].target]
    name = next(name for name, each in place.attributes.items() if each.column == place.key[0])
    return f"[{'/'.join(steps)}/@{name}]"


def of_dimension(
    paths: Iterable[str], mapping: DeliveryMapping, *, actor: Actor
) -> dict[str, tuple[str, bool]]:
    """Return the fields among `paths` that a row of the dimension has: the expression over the dimension of
    each, and whether it is a text. Raises Invalid, NotAllowed as `prepare`.
    """
    known = _registry(mapping, None)
    chosen: dict[str, str] = {}
    for path in paths:
        chosen |= _expressions(path, mapping, known, actor) or {}
    select = tuple(Field(each) for each in chosen.values())
    if not select:
        return {}
    definition = QueryDef(LOG, select=(Field("@id"), *select), line_count=targeting.EVERY)
    columns = query.compile(definition, actor=actor, now=clock.now(), within=known).columns[1:]
    return {
        path: (expr.replace("[target/", "[", 1), column.kind.name == Kind.TEXT.name)
        for (path, expr), column in zip(chosen.items(), columns, strict=True)
        if expr.startswith("[target/")
    }


def fetch(
    found: Statement,
    storage: str,
    run_id: int,
    which: str,
    params: Mapping[str, Any],
    *,
    pending: bool = True,
) -> list[tuple[Any, ...]]:
    """Return rows of a statement: `OWN`, then its columns, by number of message.

    `which` is a condition on `id` with `params`; `envoi_most` of them cuts nothing off, but tells the planner
    how few rows these are. Raises Conflict when a field was taken away since the statement was made.
    """
    table = quoted(log_tables.table("broad_log", storage))
    state = f"AND status = {int(MessageStatus.PENDING)}" if pending else ""
    log = f"""SELECT id, target_id, address, flags FROM {table}
        WHERE run_id = %(envoi_run)s AND {which} {state} ORDER BY id LIMIT %(envoi_most)s"""  # noqa: S608 quoted
    return _with_rows(found, log, {**params, "envoi_run": run_id})


def grouped(
    found: Statement, storage: str, run_id: int, *, most: int
) -> list[tuple[tuple[Any, ...], int]] | None:
    """Return the different values of a statement's columns among the pending messages of a run, those of
    seeds aside, and how many messages have them; None when there are more than `most`. Raises as `fetch`.
    """
    table = quoted(log_tables.table("broad_log", storage))
    log = f"""SELECT id, target_id, address, flags FROM {table} WHERE run_id = %(envoi_run)s
        AND status = {int(MessageStatus.PENDING)} AND flags & {int(Flag.SEED)} = 0"""  # noqa: S608 quoted
    names = [f"c{index}" for index in range(len(OWN) + len(found.columns))]
    of = ", ".join(names[len(OWN) :])
    over = f"""SELECT {f"{of}, " if of else ""}count(*) FROM (%s) AS read ({", ".join(names)})
        {f"GROUP BY {of}" if of else ""} LIMIT {most + 1}"""  # noqa: S608 names of ours
    whole = replace(found, sql=over.replace("%s", found.sql, 1))
    rows = _run(whole, log, {"envoi_run": run_id})
    return None if len(rows) > most else [(row[:-1], int(row[-1])) for row in rows]


def sample(found: Statement, target_id: int, address: str) -> tuple[Any, ...]:
    """Return the row of a message to one target that nobody sends."""
    log = """SELECT 0::bigint AS id, %(envoi_target)s::bigint AS target_id,
        %(envoi_address)s::text AS address, 0::smallint AS flags"""
    return _with_rows(found, log, {"envoi_target": target_id, "envoi_address": address})[0]


def _with_rows(found: Statement, log: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return rows of a statement with those of its collections: one statement more for each of these."""
    rows: list[tuple[Any, ...]] = _run(found, log, params)
    for each in found.collections:
        of: dict[int, list[dict[str, Any]]] = {}
        for row in _run(each, log, params):
            of.setdefault(row[0], []).append(_object(each.columns, row[2:]))
        rows = [row + (of.get(row[0], []),) for row in rows]  # noqa: RUF005 its type is known
    return rows


def _object(columns: Sequence[Column], values: Sequence[Any]) -> dict[str, Any]:
    """Return a row of a collection as templates see it."""
    made: dict[str, Any] = {}
    for column, value in zip(columns, values, strict=True):
        *steps, last = column.path.split(".")
        place = made
        for step in steps:
            place = place.setdefault(step, {})
        if (shown := plain(value, column.kind)) is not None:
            place[last] = shown
    return made


def _run(found: Statement, log: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    whole = f"WITH {LOG_TABLE} AS MATERIALIZED ({log}) {found.sql}"
    values = {**found.params, **dict.fromkeys(found.now, clock.now()), **params}
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(whole, values)
            return cursor.fetchall()
    except ProgrammingError as error:
        if not isinstance(error.__cause__, (UndefinedColumn, UndefinedTable)):
            raise
        raise Conflict(
            _("A field that the content uses was taken away: analyse the delivery again.")
        ) from error


def plain(value: Any, kind: str) -> Any:
    """Return a value of a column as templates take it; None is one that is left out."""
    if value is None:
        return "" if kind == Kind.TEXT.name else None
    if isinstance(value, Decimal):
        return int(value) if kind == Kind.INTEGER.name and value.is_finite() else float(value)
    return str(value) if isinstance(value, UUID) else value


def packed(value: Any) -> Any:
    """Return a value as JSON that `unpacked` understands."""
    match value:
        case datetime():
            return {"time": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case Decimal():
            return {"decimal": str(value)}
        case timedelta():
            return value.total_seconds()
        case UUID():
            return str(value)
        case list():
            return {"rows": [packed(each) for each in cast("list[Any]", value)]}
        case dict():
            return {"object": {name: packed(each) for name, each in cast("dict[str, Any]", value).items()}}
        case _:
            return value


def unpacked(value: Any) -> Any:
    """Undo `packed`."""
    match value:
        case {"time": text}:
            return parse_datetime(text)
        case {"date": text}:
            return parse_date(text)
        case {"decimal": text}:
            return Decimal(text)
        case {"rows": rows}:
            return [unpacked(each) for each in rows]
        case {"object": members}:
            return {name: unpacked(each) for name, each in members.items()}
        case _:
            return value


# --- paths


def _expressions(path: str, mapping: DeliveryMapping, known: Registry, actor: Actor) -> dict[str, str] | None:
    """Return what a path reads, as path -> expression; None when the workflow has no such datum; nothing for
    what is the same in all messages.
    """
    root, _dot, rest = path.partition(".")
    dimension = known.schemas.get(mapping.schema)
    if root == TARGET_DATA or (root == "recipient" and not mapping.schema):
        # Of the lines of a file all data are such.
        return _of_data(root, rest, known)
    if dimension is not None and root == "recipient":
        steps = tuple(filter(None, mapping.recipient_path.split("/")))
    elif dimension is not None and root == dimension.local_name:
        steps = ()
    elif root == COUPON_ROOT:
        if rest != "value":
            raise Invalid(_("A coupon has a value alone: write {{ coupon.value }}."))
        return {path: f"[{COUPON_ROOT}/@value]"} if COUPON in known.schemas else {}
    elif root in ("delivery", "message", "variables", "operator", "visitor"):
        return {}
    else:
        names = ["recipient", "targetData", "delivery", "message", "operator", "variables", "coupon"]
        raise Invalid(
            _("There is no %(name)s in a message; known are %(known)s.")
            % {"name": root, "known": ", ".join(names)}
        )
    start = dimension
    for step in steps:
        start = known[start.links[step].target]
    if not rest:
        found = query.select_all(start.name, actor=actor, within=known)
        return {
            f"{root}.{each.expr.strip('[]').replace('/@', '.').replace('@', '').replace('/', '.')}": _joined(
                steps, each.expr
            )
            for each in found
        }
    inner, read = _attribute(rest.split("."), start, known, path)
    return {f"{root}.{read}": _joined(steps, inner)}


def _of_data(root: str, rest: str, known: Registry) -> dict[str, str] | None:
    schema = known.schemas.get(DATA)
    if schema is None:
        return None
    if not rest:
        return {f"{root}.{name}": f"[{TARGET_DATA}/@{name}]" for name in schema.attributes if name != "id"}
    name = rest.partition(".")[0]
    return {f"{root}.{name}": f"[{TARGET_DATA}/@{name}]"} if name in schema.attributes else None


def _attribute(parts: Sequence[str], start: Schema, known: Registry, path: str) -> tuple[str, str]:
    """Return the expression of an attribute, from a schema, and the path that was read: what follows the
    attribute is a method of its value. Raises Invalid for what is none, with the nearest name.
    """
    place, links = start, list[str]()
    for index, part in enumerate(parts):
        for end in range(len(parts), index, -1):
            name = "/".join(parts[index:end])
            if name in place.attributes:
                element, _slash, last = name.rpartition("/")
                way = "/".join([*links, *filter(None, [element]), f"@{last}"])
                return f"[{way}]", ".".join(parts[:end])
        link = place.links.get(part)
        if link is None:
            break
        links.append(part)
        place = known[link.target]
    inside = parts[len(links) :]
    if not inside:
        return f"[{'/'.join(links)}]", ".".join(parts)
    known_names = [*(each.replace("/", ".") for each in place.attributes), *place.links]
    close = difflib.get_close_matches(".".join(inside), known_names, n=1)
    before = path.removesuffix(".".join(inside))
    hint = _("Did you mean %(name)s?") % {"name": f"{before}{close[0]}"} if close else ""
    said = _("%(path)s is no field of %(schema)s.") % {
        "path": path,
        "schema": registry.translate(place.label),
    }
    raise Invalid(f"{said} {hint}".strip())


def _joined(steps: Sequence[str], expr: str) -> str:
    return f"[{'/'.join(['target', *steps, expr.strip('[]')])}]"


def _multiplies(expr: str, known: Registry) -> bool:
    return targeting.multiplies(QueryDef(LOG, select=(Field(expr),)), known)


def _registry(mapping: DeliveryMapping, data: Population | None, coupon: int | None = None) -> Registry:
    schemas = dict(registry.fresh().schemas)
    links: dict[str, Link] = {}
    if mapping.schema:
        dimension = schemas[mapping.schema]
        links["target"] = Link(
            "target", dimension.name, (("target_id", dimension.key[0]),), dimension.singular
        )
    if data is not None:
        schemas[DATA] = replace(population.schema_of(data), name=DATA)
        links[TARGET_DATA] = Link(TARGET_DATA, DATA, (("target_id", population.ID),), TARGET_DATA)
    if coupon is not None:
        schemas[COUPON] = Schema(
            name=COUPON,
            table=coupons.table(coupon),
            package="",
            label=COUPON,
            singular=COUPON,
            key=("id",),
            attributes={"value": Attribute("value", Type.STRING, "Value", column="value")},
            links={},
            text="@value",
        )
        links[COUPON_ROOT] = Link(COUPON_ROOT, COUPON, (("id", "broad_log_id"),), COUPON_ROOT)
    schemas[LOG] = Schema(
        name=LOG,
        table=LOG_TABLE,
        package="",
        label=LOG,
        singular=LOG,
        key=("id",),
        attributes={
            "id": Attribute("id", Type.INT64, "Primary key", column="id"),
            "target": Attribute("target", Type.INT64, "Target", column="target_id"),
            "address": Attribute("address", Type.STRING, "Address", column="address"),
            "flags": Attribute("flags", Type.SHORT, "Flags", column="flags"),
        },
        links=links,
        text="@id",
    )
    return Registry(schemas)
