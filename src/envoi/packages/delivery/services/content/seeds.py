"""What seed addresses are shown: their own data, and what they lack from a real profile of the target
(delivery.md §2.11).

Which profile that is depends on the seed and the run alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from envoi.engine import targeting
from envoi.kernel import query, registry
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.registry import Schema
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryMapping, DeliveryRun, Flag, MessageStatus
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.content import reading
from envoi.packages.delivery.services.content.reading import OWN, Statement
from envoi.packages.delivery.services.coupons import SAMPLE

SCHEMA = "nms:seedMember"


def data(
    run: DeliveryRun, delivery: Delivery, found: Statement, *, actor: Actor
) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number of each seed's message and its values for the columns of the statement, packed."""
    messages = _messages(run)
    if not messages:
        return
    own = own_data(sorted(set(messages.values())), delivery.mapping, found, actor=actor)
    lent = _lent(run, delivery, found, sorted(messages.values()))
    samples = {at: SAMPLE for at, each in enumerate(found.columns) if each.path == "coupon.value"}
    for number, seed in messages.items():
        others = lent.get(seed, (None,) * len(found.columns))
        mine = {**own.get(seed, {}), **samples}
        yield (
            number,
            [
                reading.packed(mine.get(index) if mine.get(index) not in (None, "") else others[index])
                for index in range(len(found.columns))
            ],
        )


@dataclass(frozen=True)
class Lent:
    """Messages of the run `run_id` whose readers' data seeds are shown."""

    run_id: int
    messages: list[int]


def lent_by_parent(run: DeliveryRun, delivery: Delivery) -> Lent | None:
    """Return whose data the seeds of a proof are shown when its own run has nobody who could lend any."""
    parent = delivery.parent
    numbers = sorted(_messages(run).values())
    if parent is None or not parent.run_id or not numbers or _drawn(run.pk, run.storage, run.pk, numbers):
        return None
    drawn = _drawn(parent.run_id, parent.mapping.storage, run.pk, numbers)
    return Lent(parent.run_id, sorted(set(drawn.values()))) if drawn else None


def own_data(
    ids: list[int], mapping: DeliveryMapping, found: Statement, *, actor: Actor
) -> dict[int, dict[int, Any]]:
    """Return what seeds have of the columns: number of the seed -> index of the column -> value."""
    schema = registry.fresh()[SCHEMA]
    roots = ("recipient", mapping.schema.partition(":")[2] if not mapping.recipient_path else "recipient")
    columns = {
        index: expr
        for index, column in enumerate(found.columns)
        if (expr := _expression(column.path, roots, schema))
    }
    rows = query.run(
        QueryDef(
            SCHEMA,
            select=(Field("@id"), *(Field(each) for each in columns.values())),
            where=tuple(Condition(f"@id = {number}", operator="OR") for number in ids),
            line_count=targeting.EVERY,
        ),
        actor=actor,
    ).rows
    return {int(row[0]): dict(zip(columns, row[1:], strict=True)) for row in rows}


def _messages(run: DeliveryRun) -> dict[int, int]:
    """Return the seed of each message to one."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT id, -target_id FROM {quoted(log_tables.table("broad_log", run.storage))}
                WHERE run_id = %s AND status = %s AND flags & %s <> 0 AND target_id < 0
                ORDER BY id""",  # noqa: S608 quoted
            [run.pk, MessageStatus.PENDING, Flag.SEED],
        )
        return dict(cursor.fetchall())


def _expression(path: str, roots: tuple[str, str], schema: Schema) -> str:
    if path == reading.FORMAT:
        return "@emailFormat"
    root, _dot, rest = path.partition(".")
    attribute = schema.attributes.get(rest.replace(".", "/")) if root in roots else None
    return attribute.xpath if attribute is not None else ""


def _lent(
    run: DeliveryRun, delivery: Delivery, found: Statement, seeds: list[int]
) -> Mapping[int, tuple[Any, ...]]:
    """Return for each seed the values of a real profile: of the run, or, of a proof, of what it proves."""
    lenders = [(run.pk, run.storage)]
    parent = delivery.parent
    if parent is not None and parent.run_id:
        lenders.append((parent.run_id, parent.mapping.storage))
    for run_id, storage in lenders:
        drawn = _drawn(run_id, storage, run.pk, seeds)
        if drawn:
            rows = reading.fetch(
                found,
                storage,
                run_id,
                "id = ANY(%(envoi_ids)s)",
                {"envoi_ids": list(set(drawn.values())), "envoi_most": len(drawn)},
                pending=False,
            )
            values = {row[0]: row[len(OWN) :] for row in rows}
            return {seed: values[number] for seed, number in drawn.items() if number in values}
    return {}


def _drawn(run_id: int, storage: str, drawing: int, seeds: list[int]) -> dict[int, int]:
    """Return a message to a real person for each seed: the first behind a number that is drawn."""
    real = f"run_id = %(run)s AND flags & {int(Flag.SEED)} = 0 AND status <> {int(MessageStatus.IGNORED)}"
    table = quoted(log_tables.table("broad_log", storage))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH ends AS (SELECT (SELECT id FROM {table} WHERE {real} ORDER BY id LIMIT 1) AS least,
                    (SELECT id FROM {table} WHERE {real} ORDER BY id DESC LIMIT 1) AS most)
                SELECT seed, (SELECT id FROM {table} WHERE {real}
                    AND id >= least + mod(hashint8extended(seed, %(drawing)s) & 4611686018427387903,
                      most - least + 1) ORDER BY id LIMIT 1)
                FROM unnest(%(seeds)s::bigint[]) AS s (seed), ends WHERE least IS NOT NULL""",  # noqa: S608
            {"run": run_id, "drawing": drawing, "seeds": seeds},
        )
        return dict(cursor.fetchall())
