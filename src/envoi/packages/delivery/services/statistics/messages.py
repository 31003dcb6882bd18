"""Messages of a delivery, row by row, as its log tells them: filtered, page by page.

Rows are read through the registry, so that nobody sees the address of a profile that they may not see. Pages
go along the index (run, id), forward and back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import query, registry
from envoi.kernel.errors import NotFound
from envoi.kernel.expression.nodes import Literal
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Schema
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import BroadLogMsg, Delivery, DeliveryRun, MessageStatus
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.statistics.remembering import remembered

FLAGS = {"seed": 1, "control": 2, "repeat": 4, "doubt": 8}
"""Name in addresses -> bit of the column `flags`."""
CHUNK = 2_000
EXACT = 100_000
"""Messages up to which they are counted by status without being asked."""


@dataclass(frozen=True)
class Filter:
    """Which messages: what is not said takes all."""

    status: int | None = None
    reason: int | None = None
    domain: str = ""
    address: str = ""
    """A part of the address."""
    flag: str = ""
    """One of `FLAGS`."""


@dataclass(frozen=True)
class Message:
    """One row of the log. `target` is below zero for a seed address."""

    id: int
    target: int
    address: str
    status: int
    reason: int
    flags: int
    at: datetime | None
    text: str
    """What the server said."""
    rule: int = 0
    """The rule that left it out, where the log keeps it."""


@dataclass(frozen=True)
class Page:
    """Some rows in the order of the log; where the pages before and after begin."""

    rows: list[Message]
    before: int | None
    after: int | None


def schema_of(delivery: Delivery, kind: str = "broad_log") -> Schema:
    """Return the schema of a log of a delivery's mapping. Raises NotFound when the registry has none."""
    mapping = delivery.mapping
    name = mapping.broad_log_excl_schema if kind == "excl_log" else mapping.broad_log_schema
    found = registry.fresh()
    if name not in found:
        raise NotFound(_("The logs of %(mapping)s cannot be shown.") % {"mapping": mapping.label})
    return found[name]


def read(
    schema: Schema,
    run: DeliveryRun,
    wanted: Filter,
    *,
    actor: Actor,
    most: int,
    after: int | None = None,
    before: int | None = None,
) -> Page:
    """Return a page of messages: those behind the id `after`, or the last ones ahead of `before`."""
    definition = _definition(schema, run, wanted)
    where = list(definition.where)
    if before is not None:
        where.append(Condition(f"@id < {before}"))
    elif after is not None:
        where.append(Condition(f"@id > {after}"))
    found = query.run(
        replace(
            definition,
            where=tuple(where),
            order_by=(Field("@id", descending=before is not None),),
            line_count=most + 1,
        ),
        actor=actor,
    ).rows
    more = len(found) > most
    found = found[:most]
    if before is not None:
        found.reverse()
    rows = _messages(found)
    earlier = more if before is not None else after is not None
    later = True if before is not None else more
    return Page(
        rows,
        rows[0].id if rows and earlier else None,
        rows[-1].id if rows and later else None,
    )


def every(schema: Schema, run: DeliveryRun, wanted: Filter, *, actor: Actor) -> Iterator[Message]:
    """Yield all messages, a few thousand at a time from a cursor in the server."""
    definition = replace(_definition(schema, run, wanted), order_by=(Field("@id"),), line_count=2**62)
    compiled = query.compile(definition, actor=actor)

    def found() -> Iterator[Message]:
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            cursor.execute(compiled.sql, dict(compiled.params))
            while rows := cursor.fetchmany(CHUNK):
                yield from _messages(rows)

    return found()


def by_status(delivery: Delivery, run: DeliveryRun) -> dict[int, int]:
    """Return how many messages have each status, seeds and control group among them.

    It reads all of a run: ask for it where `EXACT` allows, or when somebody wants to know.
    """

    def count() -> dict[int, int]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT status, count(*) FROM {quoted(log_tables.table("broad_log", run.storage))}
                    WHERE run_id = %s GROUP BY status""",  # noqa: S608 quoted
                [run.pk],
            )
            return {int(status): int(number) for status, number in cursor.fetchall()}

    version = (delivery.success, delivery.error, delivery.processed, delivery.state)
    return remembered(("statuses", run.pk), version, count)


def target_link(schema: Schema) -> str:
    """Return the name of the link of a log to its dimension, or an empty text."""
    for name, link in schema.links.items():
        if link.join and link.join[0][0] == "target_id":
            return name
    return ""


def _definition(schema: Schema, run: DeliveryRun, wanted: Filter) -> QueryDef:
    target = next((each for each in schema.attributes.values() if each.column == "target_id"), None)
    logs = "status" in schema.attributes
    where = [Condition(f"[@run-id] = {run.pk}")]
    if logs and wanted.status is not None:
        where.append(Condition(f"@status = {int(wanted.status)}"))
    if wanted.reason is not None:
        where.append(Condition(f"@failureReason = {int(wanted.reason)}"))
    if wanted.domain:
        where.append(Condition(f"Lower(@address) LIKE {Literal('%@' + _plain(wanted.domain))}"))
    if wanted.address:
        where.append(Condition(f"Lower(@address) LIKE {Literal('%' + _plain(wanted.address) + '%')}"))
    if logs and wanted.flag in FLAGS:
        bit = FLAGS[wanted.flag]
        possible = [number for number in range(2 * max(FLAGS.values())) if number & bit]
        inner = tuple(Condition(f"@flags = {number}", operator="OR") for number in possible)
        where.append(Condition(conditions=inner))
    last = "@eventDate" if logs else "@lastModified"
    select = ["@id", target.xpath if target else "0", "@address", "@failureReason", last]
    select += ["@status", "@flags", "[@msg-id]"] if logs else ["[@rule-id]"]
    return QueryDef(schema.name, select=tuple(Field(each) for each in select), where=tuple(where))


def _plain(text: str) -> str:
    """Return a text of a pattern in which nothing stands for anything else."""
    return text.strip().lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _messages(rows: list[tuple[Any, ...]]) -> list[Message]:
    logs = bool(rows) and len(rows[0]) == 8
    said: dict[int, str] = {}
    if logs and (numbers := {row[7] for row in rows if row[7]}):
        known = BroadLogMsg.objects.filter(pk__in=numbers)
        said = dict(known.values_list("broad_log_msg_id", "first_text"))
    return [
        Message(row[0], row[1], row[2], row[5], row[3], row[6], row[4], said.get(row[7], ""))
        if logs
        else Message(row[0], row[1], row[2], int(MessageStatus.IGNORED), row[3], 0, row[4], "", row[5])
        for row in rows
    ]
