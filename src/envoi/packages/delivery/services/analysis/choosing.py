"""Who of a target is left out by number: above the limit, or as control group (delivery.md §2.6, §2.11).

Who is drawn depends on the delivery and the person alone, so an analysis that is repeated draws the same.
"""

from decimal import ROUND_HALF_UP, Decimal

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import DeliveryRun, FailureReason
from envoi.packages.delivery.services import file_target
from envoi.packages.delivery.services.analysis import target
from envoi.packages.delivery.services.deliveries.targeting import Control


def remaining(run: DeliveryRun) -> int:
    """Count those whom nothing speaks against."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {quoted(target.table(run))} WHERE reason = 0")  # noqa: S608
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def limit(run: DeliveryRun, most: int) -> int:
    """Leave out all but `most`, in the caller's transaction; returns how many are left out."""
    return _mark(run, FailureReason.LIMITED, _drawn(run, 0), f"OFFSET {int(most)}")


def control(run: DeliveryRun, wanted: Control, available: int) -> int:
    """Take out the control group, in the caller's transaction; returns how many."""
    count = wanted.number or 0
    if wanted.percent is not None:
        count = int((wanted.percent * available / 100).quantize(Decimal(1), ROUND_HALF_UP))
    order = "rank" if wanted.sort else _drawn(run, 1)
    return _mark(run, FailureReason.CONTROL, order, f"LIMIT {min(count, available)}")


def _drawn(run: DeliveryRun, purpose: int) -> str:
    # The target of a line is of one run, the line is not.
    line = f"id - ({file_target.base(run.pk)})" if file_target.concerns(run.delivery.mapping) else "id"
    return f"hashint8extended({line}, {run.delivery_id * 2 + purpose})"


def _mark(run: DeliveryRun, reason: FailureReason, order: str, which: str) -> int:
    name = quoted(target.table(run))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {name} AS t SET reason = {int(reason)} FROM (
                  SELECT id FROM {name} WHERE reason = 0 ORDER BY {order}, id {which}) AS marked
                WHERE marked.id = t.id"""  # noqa: S608 quoted
        )
        return cursor.rowcount
