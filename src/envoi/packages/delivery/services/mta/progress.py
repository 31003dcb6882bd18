"""Deliveries along their states while they are sent (delivery.md §2.3): paused, stopped, ended.

Each move is one guarded UPDATE, safe to run again; one process at a time makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from envoi.kernel.locks import SPACE
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryRun,
    DeliveryState,
    FailureReason,
    Flag,
    JobLevel,
    MessageStatus,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.deliveries import job_log
from envoi.packages.delivery.services.mta import parts
from envoi.packages.delivery.services.mta.parts import SENDING

S = DeliveryState
CLASS = SPACE ^ 0x6D7461
"""First half of the advisory lock of what one sender does for all."""
_LIVE = (*SENDING, int(S.PAUSE_ASKED), int(S.PAUSING), int(S.STOP_ASKED), int(S.STOPPING))


@dataclass(frozen=True)
class _Standing:
    """A delivery on its way: which of its parts there are, and whether messages wait outside of parts."""

    id: int
    state: int
    due: bool
    over: bool
    leased: bool
    fresh: bool
    retrying: bool
    waiting: bool


def advance(now: datetime) -> None:
    """Move deliveries along, and cut parts of retries that are due. Must be called outside of a transaction;
    does nothing while another sender is at it.
    """
    with transaction.atomic():
        if not _alone():
            return
        parts.make_retries(now)
    for each in _standing(now):
        with transaction.atomic():
            if not _alone():
                return
            _move(each, now)


def unwanted(deliveries: Sequence[int], now: datetime) -> set[int]:
    """Return those of some deliveries whose messages must not leave just now: paused, stopped, too late."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT delivery_id FROM nms_delivery
               WHERE delivery_id = ANY(%s) AND state = ANY(%s) AND (validity IS NULL OR validity > %s)""",
            [list(deliveries), list(SENDING), now],
        )
        return set(deliveries) - {delivery_id for (delivery_id,) in cursor.fetchall()}


def fail(delivery_id: int, why: str, now: datetime) -> None:
    """End a delivery that cannot be sent, with a line in its log; its messages stay pending."""
    with transaction.atomic():
        if _put(delivery_id, SENDING, S.FAILED, now):
            delivery = Delivery.objects.get(pk=delivery_id)
            job_log.write(delivery, "unsendable", actor=internal(), level=JobLevel.ERROR, error=why)


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 1)", [CLASS])
        row = cursor.fetchone()
    return row is not None and row[0] is True


def _standing(now: datetime) -> list[_Standing]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT d.delivery_id, d.state, d.contact_date IS NULL OR d.contact_date <= %(now)s,
                 coalesce(d.validity <= %(now)s, false),
                 coalesce(p.leased, false), coalesce(p.fresh, false), coalesce(p.retrying, false),
                 EXISTS (SELECT 1 FROM nms_delivery_retry r WHERE r.delivery_id = d.delivery_id)
               FROM nms_delivery d LEFT JOIN LATERAL (
                 SELECT bool_or(journal <> '') AS leased, bool_or(NOT retry) AS fresh,
                   bool_or(retry AND journal <> '') AS retrying
                 FROM nms_delivery_part p WHERE p.delivery_id = d.delivery_id) p ON true
               WHERE d.state = ANY(%(live)s) AND d.state > 0 AND d.state < 85 AND NOT d.is_model
                 AND d.message_type = %(channel)s AND d.delivery_mode = %(bulk)s
               ORDER BY d.delivery_id""",
            {
                "now": now,
                "live": list(_LIVE),
                "channel": int(Channel.EMAIL),
                "bulk": int(DeliveryMode.BULK),
            },
        )
        return [_Standing(*row) for row in cursor.fetchall()]


def _move(each: _Standing, now: datetime) -> None:
    match S(each.state):
        case S.PAUSE_ASKED | S.PAUSING:
            after = S.PAUSING if each.leased else S.PAUSED
            _put(each.id, (int(S.PAUSE_ASKED), int(S.PAUSING)), after, now)
        case S.STOP_ASKED | S.STOPPING:
            if each.leased:
                _put(each.id, (int(S.STOP_ASKED),), S.STOPPING, now)
            elif _put(each.id, (int(S.STOP_ASKED), int(S.STOPPING)), S.STOPPED, now, broad_end=True):
                _cancel(each.id, now)
        case _ if each.over:
            if not each.leased and _put(each.id, SENDING, S.FINISHED, now, broad_end=True):
                _expire(each.id, now)
                _cancel(each.id, now)
                _tell(each.id, "expired")
        case S.START_PENDING if not each.due or each.fresh:
            return
        case _ if each.fresh:
            return
        case _ if each.waiting or each.retrying:
            before, after = (
                ((int(S.IN_PROGRESS), int(S.RETRYING)), S.RETRY_PENDING)
                if not each.retrying
                else ((int(S.RETRY_PENDING),), S.RETRYING)
            )
            _put(each.id, before, after, now)
        case _ if not each.leased:
            if _put(each.id, SENDING, S.FINISHED, now, broad_end=True):
                _cancel(each.id, now)
                _tell(each.id, "sent")
        case _:
            return


def _put(
    delivery_id: int, before: Sequence[int], after: DeliveryState, now: datetime, *, broad_end: bool = False
) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_delivery d SET state = %(after)s, modified_at = %(now)s,
                 broad_start = CASE WHEN %(end)s THEN coalesce(broad_start, %(now)s) ELSE broad_start END,
                 broad_end = CASE WHEN %(end)s THEN %(now)s ELSE broad_end END
               WHERE delivery_id = %(id)s AND state = ANY(%(before)s) AND state <> %(after)s
                 AND (NOT %(end)s OR NOT EXISTS (SELECT 1 FROM nms_delivery_part p
                      WHERE p.delivery_id = d.delivery_id AND p.journal <> ''))""",
            {
                "after": int(after),
                "now": now,
                "end": broad_end,
                "id": delivery_id,
                "before": list(before),
            },
        )
        return cursor.rowcount > 0


def _expire(delivery_id: int, now: datetime) -> None:
    """The last soft failure of what was tried in vain until the end of validity is final (case D24)."""
    for table, run_id in _logs(delivery_id):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE {quoted(table)} b SET status = %(failed)s, modified_at = %(now)s,
                      failure_reason = coalesce(nullif(b.failure_reason, 0), %(reason)s)
                    FROM nms_delivery_retry r WHERE r.run_id = %(run)s AND NOT r.held AND NOT r.repeat
                      AND r.attempts > 0 AND b.run_id = r.run_id AND b.id = r.id AND b.status = %(pending)s
                    RETURNING b.flags""",  # noqa: S608 quoted
                {
                    "failed": int(MessageStatus.FAILED),
                    "reason": int(FailureReason.UNREACHABLE),
                    "now": now,
                    "run": run_id,
                    "pending": int(MessageStatus.PENDING),
                },
            )
            counted = sum(not flags & Flag.SEED for (flags,) in cursor.fetchall())
            cursor.execute(
                """UPDATE nms_delivery SET error = error + %s, processed = processed + %s
                   WHERE delivery_id = %s""",
                [counted, counted, delivery_id],
            )


def _cancel(delivery_id: int, now: datetime) -> None:
    """Let what is still pending be cancelled, and remove parts and retries."""
    for table, run_id in _logs(delivery_id):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE {quoted(table)} SET status = %s, modified_at = %s
                    WHERE run_id = %s AND status = %s""",  # noqa: S608 quoted
                [int(MessageStatus.CANCELLED), now, run_id, int(MessageStatus.PENDING)],
            )
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM nms_delivery_retry WHERE delivery_id = %s", [delivery_id])
        cursor.execute("DELETE FROM nms_delivery_part WHERE delivery_id = %s", [delivery_id])


def _logs(delivery_id: int) -> list[tuple[str, int]]:
    """Return the partition and number of each run of a delivery that may have pending messages."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT run_id FROM nms_delivery WHERE delivery_id = %(id)s AND run_id IS NOT NULL
               UNION SELECT run_id FROM nms_delivery_part WHERE delivery_id = %(id)s
               UNION SELECT run_id FROM nms_delivery_retry WHERE delivery_id = %(id)s""",
            {"id": delivery_id},
        )
        ids = [run for (run,) in cursor.fetchall()]
    found: list[tuple[str, int]] = []
    for run in DeliveryRun.objects.filter(pk__in=ids):
        parent = log_tables.table("broad_log", run.storage)
        name = f"{parent}_{run.pk // log_tables.RUNS_A_PARTITION}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
            if cursor.fetchone() == (True,):
                found.append((name, run.pk))
    return found


def _tell(delivery_id: int, code: str) -> None:
    job_log.write(Delivery.objects.get(pk=delivery_id), code, actor=internal())
