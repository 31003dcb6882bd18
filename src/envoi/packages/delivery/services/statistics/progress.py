"""How far a delivery is: from its indicators, its parts, its retries. No row of a delivery log is read."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from envoi.kernel import options
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import Delivery, DeliveryState, JobLog
from envoi.packages.delivery.services.statistics.slices import WIDTH

MOST = 100_000
"""Retries are counted up to this number."""
RECENT = timedelta(minutes=10)
"""Time over which the present rate is taken."""
ALERT = timedelta(minutes=30)
"""NmsMTA_Alert_Delay when the option is not there."""


@dataclass(frozen=True)
class Wave:
    """Messages that may not go out before `due_at`; None: at once."""

    number: int
    due_at: datetime | None
    messages: int


@dataclass(frozen=True)
class Progress:
    """Figures of one delivery. Seeds count nowhere, but in `parts`."""

    to_deliver: int
    success: int
    error: int
    left: int
    """Neither sent nor failed: waiting, or cancelled when the delivery has ended."""
    rejected: int
    new_quarantine: int
    retries: int
    """Failed for now, to be tried again."""
    retry_at: datetime | None
    """When the first of them is due."""
    held: int
    """In doubt: it is not known whether they left, and they wait for a decision."""
    parts: int
    at_work: int
    """Parts that a sender has."""
    waves: tuple[Wave, ...]
    """What has not gone out yet, by wave."""

    @property
    def processed(self) -> int:
        """Messages with an outcome."""
        return self.success + self.error


def read(delivery: Delivery) -> Progress:
    """Return how far a delivery is."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FILTER (WHERE NOT held), min(next_at) FILTER (WHERE NOT held),
                 count(*) FILTER (WHERE held)
               FROM (SELECT held, next_at FROM nms_delivery_retry WHERE delivery_id = %s LIMIT %s) AS few""",
            [delivery.pk, MOST],
        )
        retries, retry_at, held = cursor.fetchone() or (0, None, 0)
        cursor.execute(
            """SELECT wave, due_at, count(*), sum(quantity) FILTER (WHERE NOT seeds),
                 count(*) FILTER (WHERE journal <> '')
               FROM nms_delivery_part WHERE delivery_id = %s AND run_id = %s AND NOT retry
               GROUP BY wave, due_at ORDER BY wave, due_at NULLS FIRST""",
            [delivery.pk, delivery.run_id],
        )
        rows = cursor.fetchall()
    return Progress(
        to_deliver=delivery.to_deliver,
        success=delivery.success,
        error=delivery.error,
        left=max(delivery.to_deliver - delivery.success - delivery.error, 0),
        rejected=delivery.reject,
        new_quarantine=delivery.new_quarantine,
        retries=retries,
        retry_at=retry_at,
        held=held,
        parts=sum(row[2] for row in rows),
        at_work=sum(row[4] for row in rows),
        waves=tuple(Wave(row[0], row[1], int(row[3] or 0)) for row in rows if row[3]),
    )


def rate(delivery_id: int | None, *, now: datetime, since: datetime | None = None) -> float:
    """Return how many messages a second have had an outcome lately; of all deliveries without a number.

    `since`: when it began, for a delivery that is younger than the time looked at.
    """
    begin = now - RECENT
    begin -= timedelta(seconds=begin.timestamp() % WIDTH.total_seconds())
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT coalesce(sum(sent + failed), 0) FROM nms_delivery_stat
                WHERE slice >= %s {"AND delivery_id = %s" if delivery_id else ""}""",  # noqa: S608 fixed text
            [begin, delivery_id] if delivery_id else [begin],
        )
        row = cursor.fetchone()
    spent = (now - max(begin, since or begin)).total_seconds()
    return int(row[0]) / max(spent, 1.0) if row else 0.0


def late(delivery: Delivery, *, now: datetime) -> datetime | None:
    """Return since when a delivery should have gone on, when that is longer ago than NmsMTA_Alert_Delay
    (delivery.md §2.3): it waits for a sender, or is on its way and nothing goes out.
    """
    delay = options.get("NmsMTA_Alert_Delay", actor=internal(), default=0)
    limit = timedelta(minutes=delay) if isinstance(delay, int) and delay > 0 else ALERT
    since: datetime | None = None
    if delivery.status is DeliveryState.START_PENDING:
        confirmed = JobLog.objects.filter(delivery=delivery, code="confirmed").order_by("-job_log_id").first()
        known = [each for each in (delivery.contact_date, confirmed and confirmed.at) if each is not None]
        since = max(known) if known else delivery.modified_at
    elif delivery.status is DeliveryState.IN_PROGRESS:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT max(slice), (SELECT min(coalesce(due_at, '-infinity')) <= %s
                     FROM nms_delivery_part WHERE delivery_id = %s AND NOT retry)
                   FROM nms_delivery_stat WHERE delivery_id = %s""",
                [now, delivery.pk, delivery.pk],
            )
            last, due = cursor.fetchone() or (None, None)
        # A wave that has to wait for its time is not late.
        if due:
            since = last + WIDTH if last else delivery.broad_start or delivery.modified_at
    return since if since is not None and now - since > limit else None
