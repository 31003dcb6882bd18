"""What tracking forgets. Whole partitions go where nothing in them is younger; other rows in short batches.

Each function does one piece in the caller's transaction and is called again until it returns 0.
"""

from datetime import date, datetime
from typing import Final

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import DeliveryMapping, UserAgentsStats
from envoi.packages.delivery.services import log_tables

BATCH: Final = 5_000


def logs(before: datetime) -> int:
    """Remove the next tracking logs of hits before a time; returns how many, a partition counts as one."""
    for storage in DeliveryMapping.objects.exclude(storage="").values_list("storage", flat=True):
        parent = log_tables.table("tracking_log", storage)
        for name in _partitions(parent):
            if removed := _of_partition(name, before):
                return removed
    return 0


def visits(before: datetime) -> int:
    """Drop the next month of web tracking logs that ended before a time; 1 when there was one."""
    for name in _partitions("nms_web_tracking_log"):
        year, month = int(name[-6:-2]), int(name[-2:])
        end = f"{year + month // 12:04d}-{month % 12 + 1:02d}-01"
        if before.strftime("%Y-%m-%d") >= end:
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE {quoted(name)}")
            return 1
    return 0


def stats(before: datetime) -> int:
    """Remove the next slices of five minutes that began before a time; returns how many."""
    return _batch("nms_tracking_stats", "tracking_stats_id", "start", before)


def user_agents_stats(before: date) -> int:
    """Remove the statistics of browsers of days before one; returns how many rows."""
    return UserAgentsStats.objects.filter(day__lt=before).delete()[0]


def sources(before: datetime) -> int:
    """Forget the next browsers that have not clicked since a time; returns how many."""
    return _batch("nms_tracking_source", "source_id", "seen_at", before)


def _of_partition(name: str, before: datetime) -> int:
    table = quoted(name)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT 1 FROM {table}), EXISTS (SELECT 1 FROM {table} WHERE log_date >= %s)",  # noqa: S608
            [before],
        )
        some, young = cursor.fetchone() or (False, False)
        if some and not young:
            cursor.execute(f"DROP TABLE {table}")
            return 1
        if not some:
            return 0
        cursor.execute(
            f"""DELETE FROM {table} WHERE ctid = ANY(ARRAY(
                  SELECT ctid FROM {table} WHERE log_date < %s LIMIT %s))""",  # noqa: S608 quoted
            [before, BATCH],
        )
        return cursor.rowcount


def _batch(table: str, key: str, column: str, before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM {table} WHERE {key} IN (
                  SELECT {key} FROM {table} WHERE {column} < %s ORDER BY {column} LIMIT %s)""",  # noqa: S608 ours
            [before, BATCH],
        )
        return cursor.rowcount


def _partitions(parent: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(%s) ORDER BY 1",
            [parent],
        )
        return [row[0] for row in cursor.fetchall()]
