"""Parts of deliveries as leases: claimed by a journal, freed, made of retries that are due.

The journal's name in a part is the lease: who holds its lock may send the part's messages, nobody else.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from envoi.packages.delivery.models import Channel, DeliveryMode, DeliveryState

S = DeliveryState
SENDING = (int(S.START_PENDING), int(S.IN_PROGRESS), int(S.RETRY_PENDING), int(S.RETRYING))
RETRIES_A_PART = 256
_LOOKED_AT = 256  # parts of which one claim chooses
_RETRIES_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is leased: messages of a run from `first_id` to `last_id`, or with `retry` those that
    `nms_delivery_retry` names.
    """

    id: int
    run_id: int
    delivery_id: int
    first_id: int
    last_id: int
    quantity: int
    retry: bool


def claim(
    journal: str,
    *,
    most: int,
    now: datetime,
    refused: Sequence[int] = (),
    affinities: Collection[str] | None = None,
) -> list[Part]:
    """Lease free parts whose time has come, about `most` messages, the most urgent first; return them.

    A part is due at its own date, which may lie before the contact date (local time), else at that. Those
    of the deliveries `refused`, of those that have missed their date, and of those whose affinity is none of
    `affinities` (None: any will do) are left, and these stay as they are. What starts by this is
    in progress from now on. In the caller's transaction. A delivery that was paused meanwhile keeps its
    parts.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH free AS (
                 SELECT p.delivery_part_id, p.quantity, d.priority, d.contact_date FROM nms_delivery_part p
                 JOIN nms_delivery d USING (delivery_id)
                 WHERE p.journal = ''
                   AND coalesce(p.due_at, CASE WHEN NOT p.retry THEN d.contact_date END, %(now)s) <= %(now)s
                   AND (d.broad_start IS NOT NULL OR NOT EXISTS (
                     SELECT 1 FROM nms_delivery_schedule s
                     WHERE s.delivery_id = d.delivery_id AND s.start_before <= %(now)s))
                   AND d.state = ANY(%(states)s) AND d.state > 0 AND d.state < 85 AND NOT d.is_model
                   AND d.message_type = %(channel)s AND d.delivery_mode = %(bulk)s
                   AND (d.validity IS NULL OR d.validity > %(now)s)
                   AND d.delivery_id <> ALL(%(refused)s::bigint[])
                   AND (%(known)s::text[] IS NULL
                     OR coalesce(d.sending->>'affinity', '') = ANY(%(known)s::text[]))
                 ORDER BY d.priority DESC, d.contact_date NULLS FIRST, p.delivery_part_id
                 LIMIT %(looked)s FOR UPDATE OF p SKIP LOCKED),
               chosen AS (
                 SELECT delivery_part_id, sum(quantity) OVER (
                   ORDER BY priority DESC, contact_date NULLS FIRST, delivery_part_id) - quantity AS before
                 FROM free)
               UPDATE nms_delivery_part p SET journal = %(journal)s
               FROM chosen c WHERE p.delivery_part_id = c.delivery_part_id AND c.before < %(most)s
               RETURNING p.delivery_part_id, p.run_id, p.delivery_id, p.first_id, p.last_id, p.quantity,
                 p.retry, c.before""",
            {
                "now": now,
                "states": list(SENDING),
                "channel": int(Channel.EMAIL),
                "bulk": int(DeliveryMode.BULK),
                "refused": list(refused),
                "known": None if affinities is None else sorted(affinities),
                "looked": _LOOKED_AT,
                "journal": journal,
                "most": most,
            },
        )
        rows = sorted(cursor.fetchall(), key=lambda row: row[7])
        if not rows:
            return []
        found = [Part(*row[:7]) for row in rows]
        here = _started({part.delivery_id for part in found}, {p.delivery_id for p in found if p.retry}, now)
        if lost := [part.id for part in found if part.delivery_id not in here]:
            free(journal, lost)
        return [part for part in found if part.delivery_id in here]


def free(journal: str, ids: Sequence[int]) -> None:
    """Give leases of a journal back, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_delivery_part SET journal = ''
               WHERE delivery_part_id = ANY(%s) AND journal = %s""",
            [list(ids), journal],
        )


def free_all(journal: str) -> int:
    """Give all leases of a journal back, in the caller's transaction; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nms_delivery_part SET journal = '' WHERE journal = %s", [journal])
        return cursor.rowcount


def finish(journal: str, ids: Sequence[int]) -> None:
    """Remove parts that this journal holds and that have no message left, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM nms_delivery_part WHERE delivery_part_id = ANY(%s) AND journal = %s",
            [list(ids), journal],
        )


def make_retries(now: datetime) -> int:
    """Make parts of the messages that are to be tried again by now, in the caller's transaction; return how
    many parts. One process at a time does so.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH due AS (
                 SELECT r.run_id, r.id, r.delivery_id,
                   (row_number() OVER (PARTITION BY r.run_id ORDER BY r.id) - 1) / %(size)s AS chunk
                 FROM (SELECT w.run_id, w.id, w.delivery_id FROM nms_delivery_retry w
                       JOIN nms_delivery d USING (delivery_id)
                       WHERE w.part_id IS NULL AND NOT w.held AND w.next_at <= %(now)s
                         AND d.state = ANY(%(states)s)
                       ORDER BY w.next_at LIMIT %(most)s) r),
               cut AS MATERIALIZED (
                 SELECT run_id, delivery_id, chunk, min(id) AS first_id, max(id) AS last_id,
                   count(*) AS quantity,
                   nextval(pg_get_serial_sequence('nms_delivery_part', 'delivery_part_id')) AS part
                 FROM due GROUP BY run_id, delivery_id, chunk),
               made AS (
                 INSERT INTO nms_delivery_part
                   (delivery_part_id, delivery_id, run_id, first_id, last_id, quantity, retry)
                 SELECT part, delivery_id, run_id, first_id, last_id, quantity, true FROM cut)
               UPDATE nms_delivery_retry r SET part_id = cut.part
               FROM due JOIN cut USING (run_id, delivery_id, chunk)
               WHERE r.run_id = due.run_id AND r.id = due.id RETURNING r.part_id""",
            {
                "now": now,
                "states": list(SENDING),
                "size": RETRIES_A_PART,
                "most": _RETRIES_AT_ONCE,
            },
        )
        return len({part for (part,) in cursor.fetchall()})


def _started(deliveries: set[int], retrying: set[int], now: datetime) -> set[int]:
    """Let deliveries be in progress, or in the progress of retries; return those that are."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT delivery_id, state FROM nms_delivery WHERE delivery_id = ANY(%s)
               ORDER BY delivery_id""",
            [sorted(deliveries)],
        )
        for delivery_id, state in cursor.fetchall():
            if state == S.START_PENDING:
                cursor.execute(
                    """UPDATE nms_delivery SET state = %s, broad_start = coalesce(broad_start, %s),
                         modified_at = %s WHERE delivery_id = %s AND state = %s""",
                    [int(S.IN_PROGRESS), now, now, delivery_id, int(S.START_PENDING)],
                )
            elif state == S.RETRY_PENDING:
                after = S.RETRYING if delivery_id in retrying else S.IN_PROGRESS
                cursor.execute(
                    """UPDATE nms_delivery SET state = %s, modified_at = %s
                       WHERE delivery_id = %s AND state = %s""",
                    [int(after), now, delivery_id, int(S.RETRY_PENDING)],
                )
        # Read anew: one that was paused between the claim and here keeps its parts.
        cursor.execute(
            "SELECT delivery_id FROM nms_delivery WHERE delivery_id = ANY(%s) AND state = ANY(%s)",
            [sorted(deliveries), [int(S.IN_PROGRESS), int(S.RETRYING)]],
        )
        return {delivery_id for (delivery_id,) in cursor.fetchall()}
