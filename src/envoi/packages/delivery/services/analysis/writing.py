"""Messages, exclusions and parts of an analysis, written batch by batch in the order of the target's keys.

A batch is one short transaction that writes down how far it came. What it costs to lose is a batch.
"""

from typing import Any

from django.db import connection

from envoi.kernel import query
from envoi.kernel.big_tables import reserve_ids
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryPart,
    DeliveryRun,
    FailureReason,
    Flag,
    MessageStatus,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.analysis import target
from envoi.packages.delivery.services.deliveries.targeting import Seeds

BATCH = 250_000
"""Rows of a transaction."""
LEAST, MOST, SHARE = 8, 256, 1024
_ADDRESS = {
    Channel.EMAIL: "@email",
    Channel.SMS: "@mobilePhone",
    Channel.PHONE: "@phone",
    Channel.FAX: "@fax",
    Channel.DIRECT_MAIL: "[location/@city]",
}


def quantity(delivery: Delivery, count: int) -> int:
    """Return how many messages a part has: what the delivery says, else clamp(count / 1024, 8, 256)
    (delivery.md §2.8).
    """
    return delivery.batch_quantity or min(max(count // SHARE, LEAST), MOST)


def messages(run: DeliveryRun, *, left: int) -> tuple[int, int]:
    """Write the next messages, pending, with their parts; returns how many and the last target.

    `left`: how many are still to be written at most. (0, 0) when there are none.
    """
    size = min(left, max(BATCH // run.batch_quantity, 1) * run.batch_quantity)
    ids = reserve_ids(size)
    number, blocks = ids.in_block("n")
    into = log_tables.partition("broad_log", run.storage, run.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH batch AS MATERIALIZED (
                  SELECT id, address, row_number() OVER (ORDER BY id) AS n FROM (
                    SELECT id, address FROM {quoted(target.table(run))} WHERE reason = 0 AND id > %s
                    ORDER BY id LIMIT %s) AS next),
                written AS (INSERT INTO {quoted(into)}
                    (id, target_id, run_id, delivery_id, address, status, modified_at)
                  SELECT {number}, id, %s, %s, left(address, 254), %s, %s FROM batch)
                SELECT count(*), coalesce(max(id), 0) FROM batch""",  # noqa: S608 quoted
            [
                _after(run), size, *blocks, run.pk, run.delivery_id, MessageStatus.PENDING, run.started_at,
            ],
        )  # fmt: skip
        count, last = cursor.fetchone() or (0, 0)
        if not count:
            return 0, 0
        first, blocks = ids.in_block("n")
        final, _same = ids.in_block("least(n + %s - 1, %s)")
        cursor.execute(
            f"""INSERT INTO nms_delivery_part (delivery_id, run_id, first_id, last_id, quantity)
                SELECT %s, %s, {first}, {final}, least(%s, %s - n + 1)
                FROM generate_series(1, %s, %s) AS n""",  # noqa: S608 quoted
            [
                run.delivery_id, run.pk,
                *blocks,
                *blocks, run.batch_quantity, count, run.batch_quantity, count,
                run.batch_quantity, count,
                count, run.batch_quantity,
            ],
        )  # fmt: skip
    return int(count), int(last)


def excluded(run: DeliveryRun, *, left: int, apart: bool) -> tuple[int, int]:
    """Write the next of those who are excluded, as `messages` does: ignored messages with their reason.

    With `apart` they go into the exclusion log, but for the control group, which is compared with the others.
    """
    size = min(left, BATCH)
    number, blocks = reserve_ids(size).in_block("n")
    broad = log_tables.partition("broad_log", run.storage, run.pk)
    excl = log_tables.partition("excl_log", run.storage, run.pk) if apart else broad
    control = int(FailureReason.CONTROL)
    logged = f"reason = {control}" if apart else "true"
    aside = (
        f""", aside AS (INSERT INTO {quoted(excl)}
              (id, target_id, run_id, delivery_id, address, failure_reason, rule_id, modified_at)
            SELECT new_id, id, %(run)s, %(delivery)s, left(address, 254), reason, rule, %(now)s FROM batch
            WHERE NOT {logged})"""  # noqa: S608 quoted
        if apart
        else ""
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH batch AS MATERIALIZED (
                  SELECT id, address, reason, rule, {number.replace("%s", "%(blocks)s")} AS new_id FROM (
                    SELECT id, address, reason, rule, row_number() OVER (ORDER BY id) AS n FROM (
                      SELECT id, address, reason, rule FROM {quoted(target.table(run))}
                      WHERE reason <> 0 AND id > %(after)s ORDER BY id LIMIT %(size)s) AS next) AS counted),
                written AS (INSERT INTO {quoted(broad)} (id, target_id, run_id, delivery_id, address, status,
                    failure_reason, flags, modified_at)
                  SELECT new_id, id, %(run)s, %(delivery)s, left(address, 254), %(status)s, reason,
                    CASE WHEN reason = {control} THEN {int(Flag.CONTROL)} ELSE 0 END, %(now)s
                  FROM batch WHERE {logged}){aside}
                SELECT count(*), max(id) FROM batch""",  # noqa: S608 quoted
            {
                "blocks": blocks[0],
                "after": _after(run),
                "size": size,
                "run": run.pk,
                "delivery": run.delivery_id,
                "status": int(MessageStatus.IGNORED),
                "now": run.started_at,
            },
        )
        row = cursor.fetchone()
    return (int(row[0]), int(row[1] or 0)) if row else (0, 0)


def seeds(run: DeliveryRun, delivery: Delivery, wanted: Seeds, *, actor: Actor) -> tuple[int, int]:
    """Add the seed addresses as a part of their own; returns how many, and how many have no address.

    They count in no figure. The target of a seed is its number below zero (architecture §2.5).
    """
    channel = Channel(delivery.message_type)
    found = _seed_rows(delivery, wanted, channel, actor)
    rows = [(number, address) for number, address in found if address or channel is Channel.DIRECT_MAIL]
    if rows:
        ids = list(reserve_ids(len(rows)))
        into = log_tables.partition("broad_log", run.storage, run.pk)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""INSERT INTO {quoted(into)}
                      (id, target_id, run_id, delivery_id, address, status, flags, modified_at)
                    SELECT id, -seed, %s, %s, address, %s, %s, %s
                    FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS chosen (id, seed, address)""",  # noqa: S608
                [
                    run.pk, run.delivery_id, MessageStatus.PENDING, Flag.SEED, run.started_at,
                    ids, [number for number, _ in rows], [address[:254] for _, address in rows],
                ],
            )  # fmt: skip
        DeliveryPart.objects.create(
            delivery=delivery, run=run, first_id=ids[0], last_id=ids[-1], quantity=len(rows), seeds=True
        )
    return len(rows), len(found) - len(rows)


def _seed_rows(delivery: Delivery, wanted: Seeds, channel: Channel, actor: Actor) -> list[tuple[int, str]]:
    chosen = [Condition(f"[@delivery-id] = {delivery.pk}")]
    chosen += [Condition(f"@id = {number}", operator="OR") for number in wanted.ids]
    chosen += [Condition(f"[folder/@name] = {_literal(name)}", operator="OR") for name in wanted.folders]
    if wanted.where:
        chosen.append(Condition(operator="OR", conditions=wanted.where))
    definition = QueryDef(
        "nms:seedMember",
        select=(Field("@id"), Field(_ADDRESS[channel])),
        where=(Condition("@active = 1"), Condition(conditions=tuple(chosen))),
        order_by=(Field("@id"),),
        line_count=100_000,
    )
    rows: list[tuple[Any, ...]] = query.run(definition, actor=actor).rows
    return [(int(number), str(address or "")) for number, address in rows]


def _literal(text: str) -> str:
    from envoi.engine import targeting

    return targeting.literal(text)


def _after(run: DeliveryRun) -> int:
    return run.last_id if run.last_id is not None else -(2**63)
