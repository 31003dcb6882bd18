"""Waves: how many messages go when, and parts cut at their borders (delivery.md §2.8).

Whom a wave reaches cannot be chosen: messages go in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.db import connection
from django.utils.translation import gettext as _

from envoi.kernel.errors import Invalid
from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import DeliveryPart, DeliveryRun, MessageStatus
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.deliveries.sending import Sending, Size, Waves

MOST = 1_000


@dataclass(frozen=True)
class Wave:
    """One wave: its number from 1, how long after the first it starts, how many messages."""

    number: int
    offset: timedelta
    count: int


def plan(waves: Waves | None, total: int) -> list[Wave]:
    """Return the waves of so many messages; none without waves or messages. Raises Invalid above `MOST`.

    A share is rounded, and at least one message. What the lines of a calendar leave goes with the last of
    them, lines that find nothing left are not there.
    """
    if waves is None or total <= 0:
        return []
    found: list[Wave] = []
    left, offset, number = total, timedelta(0), 0
    while left:
        line = waves.lines[0] if waves.every else waves.lines[number]
        last = not waves.every and number + 1 == len(waves.lines)
        count = left if last else min(left, _count(line.size, total))
        offset += (waves.every if number else timedelta(0)) if waves.every else line.after
        number += 1
        if number > MOST:
            raise Invalid(_("There would be more than %(most)d waves: make them greater.") % {"most": MOST})
        found.append(Wave(number, offset, count))
        left -= count
    return found


def last_start(said: Sending, total: int, start: datetime) -> datetime | None:
    """Return when the last wave of so many messages starts that begin at `start`; None without waves."""
    found = plan(said.waves, total)
    return start + found[-1].offset if found else None


def late(said: Sending, total: int, start: datetime) -> tuple[datetime, datetime] | None:
    """Return start of the last wave and end of validity when that does not lie before this, else None: the
    native control rule *last wave starts before the end of validity* (delivery.md §2.6).
    """
    last, end = last_start(said, total, start), said.end(start)
    return (last, end) if last is not None and last >= end else None


def cut(run: DeliveryRun, waves: Sequence[Wave], start: datetime) -> None:
    """Cut the parts of an analysis at the borders of waves that begin at `start`, in the caller's
    transaction.

    Parts that have a wave already stay as they are: it may be called again. Seed addresses get the first.
    """
    if not waves:
        return
    log = quoted(log_tables.table("broad_log", run.storage))
    border = f"""(SELECT b.id FROM {log} b
        WHERE b.run_id = %(run)s AND b.status = {int(MessageStatus.PENDING)}
          AND b.id BETWEEN p.first_id AND p.last_id
        ORDER BY b.id OFFSET %%s LIMIT 1)"""  # noqa: S608 quoted
    first, last = border.replace("%%s", "p.low - p.before"), border.replace("%%s", "p.high - p.before - 1")
    pieces = f"""WITH ends AS (
          SELECT wave, due, until, lag(until, 1, 0::bigint) OVER (ORDER BY wave) AS since
          FROM unnest(%(numbers)s::smallint[], %(dues)s::timestamptz[], %(until)s::bigint[])
            AS given (wave, due, until)),
        whole AS (
          SELECT delivery_part_id, first_id, last_id, quantity,
            sum(quantity) OVER (ORDER BY first_id) - quantity AS before
          FROM nms_delivery_part WHERE run_id = %(run)s AND NOT seeds AND NOT retry AND wave = 0),
        piece AS (
          SELECT p.*, CASE WHEN low = before THEN first_id ELSE {first} END AS low_id,
            CASE WHEN high = before + quantity THEN last_id ELSE {last} END AS high_id
          FROM (SELECT whole.*, wave, due, greatest(since, before)::bigint AS low,
                  least(until, before + quantity)::bigint AS high
                FROM whole JOIN ends ON since < before + quantity AND until > before) p)"""  # noqa: S608 quoted
    values = {
        "run": run.pk,
        "numbers": [each.number for each in waves],
        "dues": [start + each.offset for each in waves],
        # What the last border leaves is never without a wave, whatever was counted before.
        "until": [
            *(sum(each.count for each in waves[: place + 1]) for place in range(len(waves) - 1)),
            2**62,
        ],
    }
    with connection.cursor() as cursor:
        # Further pieces first: they still see the whole parts, and a part is cut while its wave is 0.
        cursor.execute(
            f"""{pieces} INSERT INTO nms_delivery_part
                  (delivery_id, run_id, first_id, last_id, quantity, wave, due_at)
                SELECT %(delivery)s, %(run)s, low_id, coalesce(high_id, last_id), high - low, wave, due
                FROM piece WHERE low > before AND low_id IS NOT NULL""",  # noqa: S608 quoted
            {**values, "delivery": run.delivery_id},
        )
        cursor.execute(
            f"""{pieces} UPDATE nms_delivery_part AS part
                SET last_id = coalesce(high_id, part.last_id), quantity = high - low, wave = piece.wave,
                  due_at = due
                FROM piece WHERE part.delivery_part_id = piece.delivery_part_id AND low = before""",  # noqa: S608 quoted
            values,
        )
    DeliveryPart.objects.filter(run=run, seeds=True, wave=0).update(wave=1, due_at=start)


def _count(size: Size, total: int) -> int:
    if size.number is not None:
        return size.number
    share = (size.percent or Decimal(0)) * total / 100
    return max(int(share.quantize(Decimal(1), ROUND_HALF_UP)), 1)
