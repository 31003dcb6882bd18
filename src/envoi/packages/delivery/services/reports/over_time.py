"""Opens, clicks and transactions over time, from the slices of five minutes that tracking keeps
(delivery.md §4.5, `nms:trackingStats`). No row of a log is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from envoi.packages.delivery.models import UrlType
from envoi.packages.delivery.services.reports.scope import Scope

SHORT = 31
"""Days up to which a table is shown beside its chart."""
Curve = Sequence[tuple[timedelta, int]]
"""How many happened in which slice after the beginning, in the order of time."""
_COUNTS = """coalesce(sum(s.total_clicks) FILTER (WHERE u.type = %(open)s), 0),
    coalesce(sum(s.total_clicks) FILTER (WHERE u.type = %(click)s), 0),
    coalesce(sum(s.total_clicks) FILTER (WHERE u.type = %(transaction)s), 0)"""
_FROM = """nms_tracking_stats s JOIN nms_tracking_url u ON u.tracking_url_id = s.url_id
    WHERE s.delivery_id = ANY(%(deliveries)s)"""
_TYPES = {"open": int(UrlType.OPEN), "click": int(UrlType.CLICK), "transaction": int(UrlType.TRANSACTION)}


@dataclass(frozen=True)
class Slice:
    """What happened from `start` on, in the width asked for."""

    start: datetime
    opens: int
    clicks: int
    transactions: int


@dataclass(frozen=True)
class SinceStart:
    """What happened how long after the first message of its delivery."""

    opens: Curve
    clicks: Curve
    transactions: Curve


def slices(scope: Scope, width: timedelta, zone: str, most: int) -> tuple[list[Slice], bool]:
    """Return what happened in steps of a width that begin on the clock of a zone, from the first step in
    which something happened to the last, without gaps; at most so many, and whether later ones were cut.
    """
    if not scope.ids:
        return [], False
    params: dict[str, Any] = {
        **_TYPES,
        "deliveries": list(scope.ids),
        "width": width,
        "zone": zone,
        "most": most + 1,
    }
    bin_ = "date_bin(%(width)s, s.start AT TIME ZONE %(zone)s, '2000-01-01'::timestamp)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH found (at, opens, clicks, transactions) AS MATERIALIZED (
                  SELECT {bin_}, {_COUNTS} FROM {_FROM} GROUP BY 1)
                SELECT each AT TIME ZONE %(zone)s, coalesce(f.opens, 0), coalesce(f.clicks, 0),
                  coalesce(f.transactions, 0)
                FROM (SELECT each FROM generate_series(
                        (SELECT min(at) FROM found), (SELECT max(at) FROM found), %(width)s) AS each
                      LIMIT %(most)s) AS steps
                LEFT JOIN found AS f ON f.at = each
                ORDER BY each""",  # noqa: S608 fixed texts
            params,
        )
        found = [Slice(row[0], *(int(each) for each in row[1:])) for row in cursor.fetchall()]
    return found[:most], len(found) > most


def since_start(scope: Scope) -> SinceStart:
    """Return what happened by the time that had passed since the first message of its delivery."""
    if not scope.ids:
        return SinceStart((), (), ())
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT passed, coalesce(sum(n) FILTER (WHERE type = %(open)s), 0),
                 coalesce(sum(n) FILTER (WHERE type = %(click)s), 0),
                 coalesce(sum(n) FILTER (WHERE type = %(transaction)s), 0)
               FROM (SELECT greatest(s.start - date_bin('5 minutes', d.broad_start, '2000-01-01Z'),
                       interval '0') AS passed, u.type, s.total_clicks AS n
                     FROM nms_tracking_stats s
                     JOIN nms_tracking_url u ON u.tracking_url_id = s.url_id
                     JOIN nms_delivery d ON d.delivery_id = s.delivery_id
                     WHERE s.delivery_id = ANY(%(deliveries)s) AND d.broad_start IS NOT NULL) AS s
               GROUP BY passed ORDER BY passed""",
            {**_TYPES, "deliveries": list(scope.ids)},
        )
        rows = cursor.fetchall()
    return SinceStart(*(_curve(rows, column) for column in (1, 2, 3)))


def reached(curve: Curve, per_cent: float) -> timedelta | None:
    """Return after which time a share of the whole had happened; None of nothing. What happened in a slice
    counts at its end.
    """
    whole, before = sum(count for _at, count in curve), 0
    if not whole:
        return None
    for at, count in curve:
        before += count
        if 100 * before >= per_cent * whole:
            return at
    return curve[-1][0]


def _curve(rows: list[tuple[Any, ...]], column: int) -> Curve:
    return [(row[0] + timedelta(minutes=5), int(row[column])) for row in rows if row[column]]
