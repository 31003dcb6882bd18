"""Messages over time, from what senders write down in slices of five minutes (delivery.md §2.14)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

WIDTH = timedelta(minutes=5)
WIDTHS = tuple(
    timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)
)
MOST = 160
"""Points of a line."""
SPANS = {"1h": timedelta(hours=1), "3h": timedelta(hours=3), "24h": timedelta(hours=24)}
_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Slice:
    """What happened in the time from `start` on, as long as the width asked for."""

    start: datetime
    sent: int
    failed: int
    deferred: int
    bytes: int


@dataclass(frozen=True)
class Destination:
    """What went to one mail server."""

    mx: str
    sent: int
    failed: int
    deferred: int
    bytes: int


def fitting(delivery_id: int) -> tuple[datetime, datetime, timedelta] | None:
    """Return the first and the last slice of a delivery, and a width that gives at most `MOST` points."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(slice), max(slice) FROM nms_delivery_stat WHERE delivery_id = %s", [delivery_id]
        )
        first, last = cursor.fetchone() or (None, None)
    if first is None or last is None:
        return None
    return first, last, width_of(last - first)


def width_of(span: timedelta) -> timedelta:
    """Return the smallest width by which a span has at most `MOST` points."""
    return next((each for each in WIDTHS if span / each < MOST), WIDTHS[-1])


def slices(delivery_id: int | None, begin: datetime, end: datetime, width: timedelta = WIDTH) -> list[Slice]:
    """Return what happened from `begin` to before `end`, in the order of time, without gaps: a slice in which
    nothing went out is there with zeros. Of all deliveries without a number.
    """
    params: dict[str, Any] = {
        "width": width,
        "begin": begin,
        "end": end,
        "origin": _ORIGIN,
        "delivery": delivery_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT start, coalesce(sum(s.sent), 0), coalesce(sum(s.failed), 0),
                  coalesce(sum(s.deferred), 0), coalesce(sum(s.bytes), 0)
                FROM generate_series(date_bin(%(width)s, %(begin)s, %(origin)s), %(end)s::timestamptz
                  - interval '1 microsecond', %(width)s) AS start
                LEFT JOIN (
                  SELECT date_bin(%(width)s, slice, %(origin)s) AS at, sum(sent) AS sent,
                    sum(failed) AS failed, sum(deferred) AS deferred, sum(bytes) AS bytes
                  FROM nms_delivery_stat
                  WHERE slice >= date_bin(%(width)s, %(begin)s, %(origin)s) AND slice < %(end)s
                    {"AND delivery_id = %(delivery)s" if delivery_id else ""}
                  GROUP BY at) AS s ON s.at = start
                GROUP BY start ORDER BY start""",  # noqa: S608 fixed texts
            params,
        )
        return [Slice(row[0], *(int(each) for each in row[1:])) for row in cursor.fetchall()]


def destinations(begin: datetime, end: datetime, most: int) -> list[Destination]:
    """Return the mail servers to which most has gone, the busiest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT mx, sum(sent), sum(failed), sum(deferred), sum(bytes) FROM nms_delivery_stat
               WHERE slice >= %s AND slice < %s GROUP BY mx
               ORDER BY sum(sent + failed + deferred) DESC, mx LIMIT %s""",
            [begin, end, most],
        )
        return [Destination(row[0], *(int(each) for each in row[1:])) for row in cursor.fetchall()]
