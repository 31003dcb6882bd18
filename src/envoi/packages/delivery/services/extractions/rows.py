"""The rows of a file for a provider: one table of messages and seed addresses, in the order of the file.

It is made and read in one transaction, and dropped in it. Seeds have the expressions of the others, worked
out over their own table; what that lacks is taken from somebody drawn among the others (delivery.md §2.11).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import psycopg
from django.db import connection

from envoi.engine import population, targeting
from envoi.kernel import query
from envoi.kernel.errors import Refused
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Registry
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import DeliveryRun, Flag, MessageStatus
from envoi.packages.delivery.services import channels, file_target, log_tables
from envoi.packages.delivery.services.extractions.definition import Column, Extraction

SCHEMA = "temp:extraction"
HELD = 2000
"""Rows that are held at a time."""
_OF_AN_ADDRESS = ("location/", "postalAddress/", "@email", "@phone", "@mobilePhone", "@fax")
"""An empty field of these is left empty: a seed's address is its own or none."""


@dataclass(frozen=True)
class Table:
    """The table, and its columns in the order of the file."""

    name: str
    columns: tuple[str, ...]
    order: str
    rows: int


def settled(run: DeliveryRun, said: Extraction, *, actor: Actor) -> Extraction:
    """Return what the file of a run is like: that of an external file has the columns of this unless others
    are chosen. Raises Conflict when the population is gone.
    """
    if not file_target.concerns(run.delivery.mapping) or not all(each.own for each in said.columns):
        return said
    lines = file_target.source(run.delivery, actor=actor)
    columns = (Column(f"[@{each.attribute}]", each.label or each.attribute) for each in lines.columns)
    return replace(said, columns=tuple(columns))


def make(run: DeliveryRun, said: Extraction, *, actor: Actor) -> Table:
    """Make the table of the pending messages of a run, in the caller's transaction.

    Raises Invalid for an expression that is wrong.
    """
    name = f"wkdlv_{run.delivery_id}_{run.pk}_file"
    people, within = _people(run, f"{name}_ids")
    select = _select(run, said, people=True)
    compiled = query.compile(
        QueryDef(SCHEMA, select=(Field("@id"), *select), line_count=targeting.EVERY),
        actor=actor,
        now=run.started_at,
        within=within,
    )
    columns = tuple(f"c{number}" for number in range(1, len(select) + 1))
    shown = ", ".join(f"q.{each}" for each in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {quoted(name)} AS SELECT q.c0 AS id, false AS seed, {shown}"  # noqa: S608 quoted
            f" FROM ({compiled.sql}) q",
            dict(compiled.params),
        )
        cursor.execute(f"DROP TABLE {quoted(people)}")
    _seeds(run, said, name, columns, actor)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {quoted(name)}")  # noqa: S608 quoted
        row = cursor.fetchone()
    shown = columns[: len(said.columns)]
    return Table(name, shown, _order(run, said, name, columns), int(row[0]) if row else 0)


def stream(table: Table) -> Iterator[Sequence[object]]:
    """Yield the cells of each row, through a cursor of the server."""
    shown = ", ".join(f"r.{each}" for each in table.columns)
    raw = cast("psycopg.Connection[Any]", connection.connection)
    with psycopg.ServerCursor(raw, "envoi_extraction") as cursor:
        cursor.itersize = HELD
        statement = f"SELECT {shown} FROM {table.order}"  # noqa: S608 quoted
        yield from cursor.execute(cast("Any", statement))


def drop(table: Table) -> None:
    """Drop the table, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {quoted(table.name)}")


def _people(run: DeliveryRun, name: str) -> tuple[str, Registry]:
    """Make a table of those who have a message, with the data that came along when a workflow chose them."""
    log = log_tables.partition("broad_log", run.storage, run.pk)
    stored = population.stored(file_target.table_of(run.delivery))
    key = file_target.key(run.delivery.mapping, run.pk, "p.id")
    columns = stored[0].columns if stored else ()
    carried = "".join(f", p.{quoted(each.column)}" for each in columns)
    joined = f" JOIN {quoted(stored[0].table)} p ON {key} = b.target_id" if stored else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""CREATE TABLE {quoted(name)} AS SELECT b.target_id AS id{carried}
                FROM {quoted(log)} b{joined} WHERE b.run_id = %s AND b.status = %s
                  AND b.flags & {int(Flag.SEED)} = 0""",  # noqa: S608 quoted
            [run.pk, int(MessageStatus.PENDING)],
        )
        cursor.execute(f"ANALYZE {quoted(name)}")
    made = population.Population(name, SCHEMA, run.delivery.mapping.schema, columns=columns)
    return name, population.registry([made])


def _select(run: DeliveryRun, said: Extraction, *, people: bool) -> list[Field]:
    """Return the columns, then what the rows are sorted by. `people`: over the target, else over seeds."""
    path = run.delivery.mapping.recipient_path
    found: list[Field] = []
    for each in (*said.columns, *said.order):
        expr = each.expr
        if getattr(each, "own", False):
            expr = f"[{path}/{expr}]" if path and people else f"[{expr}]"
        elif path and not people:
            expr = expr.replace(f"{path}/", "")
        found.append(Field(expr.replace("targetData/", "").replace("target/", "")))
    return found


def _seeds(run: DeliveryRun, said: Extraction, name: str, columns: Sequence[str], actor: Actor) -> None:
    select = _select(run, said, people=False)
    if file_target.concerns(run.delivery.mapping):
        # A seed has an address of its own, and never that of somebody in the file.
        lines, kind = file_target.source(run.delivery, actor=actor), channels.of(run.delivery.message_type)
        address = file_target.column(run.delivery, lines, kind.address).attribute
        own = Field(file_target.seed_address(kind.address))
        select = [own if each.expr.strip("[]@") == address else each for each in select]
    known = [each if _compiles(each, actor) else None for each in select]
    compiled = query.compile(
        QueryDef(
            "nms:seedMember",
            select=(Field("@id"), *(each or Field("@id") for each in known)),
            line_count=targeting.EVERY,
        ),
        actor=actor,
        now=run.started_at,
    )
    log = log_tables.partition("broad_log", run.storage, run.pk)
    cells = [f"q.{column}" if each else "NULL" for column, each in zip(columns, known, strict=True)]
    chosen = f"""SELECT -b.target_id FROM {quoted(log)} b WHERE b.run_id = %(run)s AND b.status = %(pending)s
                 AND b.flags & {int(Flag.SEED)} <> 0"""  # noqa: S608 quoted
    params = {**compiled.params, "run": run.pk, "pending": int(MessageStatus.PENDING)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {quoted(name)} (id, seed, {", ".join(columns)})
                SELECT -q.c0, true, {", ".join(cells)} FROM ({compiled.sql}) q
                WHERE q.c0 IN ({chosen})""",  # noqa: S608 quoted
            params,
        )
        if not cursor.rowcount:
            return
        filled = [
            column
            for column, each, field in zip(columns, known, select, strict=True)
            if each is None or not any(part in field.expr for part in _OF_AN_ADDRESS)
        ]
        if filled:
            sets = ", ".join(
                f"{each} = CASE WHEN coalesce(r.{each}::text, '') = '' THEN d.{each} ELSE r.{each} END"
                for each in filled
            )
            cursor.execute(
                f"""WITH needs AS (SELECT id, row_number() OVER (ORDER BY id) AS n
                      FROM {quoted(name)} WHERE seed),
                    drawn AS (SELECT *, row_number() OVER (ORDER BY place) AS n FROM (
                      SELECT *, hashint8extended(id, %s) AS place FROM {quoted(name)} WHERE NOT seed
                      ORDER BY place LIMIT (SELECT count(*) FROM needs)) AS near)
                    UPDATE {quoted(name)} r SET {sets} FROM needs JOIN drawn d
                      ON d.n = 1 + mod(needs.n - 1, (SELECT count(*) FROM drawn)) WHERE needs.id = r.id""",  # noqa: S608
                [run.pk],
            )


def _compiles(field: Field, actor: Actor) -> bool:
    try:
        query.compile(QueryDef("nms:seedMember", select=(field,)), actor=actor)
    except Refused:
        return False
    return True


def _order(run: DeliveryRun, said: Extraction, name: str, columns: Sequence[str]) -> str:
    """Return FROM and ORDER BY of the file."""
    keys = [
        f"{column}{' DESC' if each.descending else ''} NULLS LAST"
        for column, each in zip(columns[len(said.columns) :], said.order, strict=True)
    ]
    table = quoted(name)
    match said.seeds:
        case "start":
            return f"{table} r ORDER BY {', '.join(['seed DESC', *keys, 'id'])}"
        case "end":
            return f"{table} r ORDER BY {', '.join(['seed', *keys, 'id'])}"
        case "sorted" if keys:
            return f"{table} r ORDER BY {', '.join([*keys, 'seed', 'id'])}"
        case _:
            # Among the others, at places that a repetition finds again.
            ranked = ", ".join(["seed", *keys, "id"])
            drawn = f"mod(hashint8extended(id, {run.pk}) & 4611686018427387903, count(*) OVER ())"
            return f"""(SELECT *, CASE WHEN seed THEN {drawn}
                  ELSE row_number() OVER (ORDER BY {ranked}) END AS place FROM {table}) r
                ORDER BY place, seed, id"""  # noqa: S608 quoted
