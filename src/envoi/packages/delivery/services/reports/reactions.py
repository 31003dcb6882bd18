"""How far tracking has counted, and what it has not counted yet."""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from envoi.kernel import clock, options
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.reports import over_time, scope
from envoi.packages.delivery.services.tracking import marks

MOST = 10_000
"""Waiting hits are counted up to this number."""
EVERY = 20
"""Seconds for which an answer stands."""


@dataclass(frozen=True)
class News:
    """`waiting` hits are in the inbox, or in no indicator yet; `last` is when tracking ran."""

    waiting: int
    last: datetime | None
    automatic: int
    """Hits of machines, which count nowhere."""
    proxied: int
    """Opens through privacy proxies, which count."""


def moment() -> Hashable:
    """Return what changes whenever an answer of `news` has become old."""
    return int(clock.now().timestamp()) // EVERY


def last() -> datetime | None:
    """Return when tracking ran last."""
    found = options.get(marks.CONSOLIDATED, actor=internal(), default=None)
    return found if isinstance(found, datetime) else None


def news(delivery: Delivery) -> News:
    """Return how far tracking is with one delivery."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT (SELECT count(*) FROM (
                   SELECT 1 FROM nms_tracking_inbox WHERE delivery_id = %s LIMIT %s) AS few),
                 coalesce(max(unaccounted), 0), coalesce(max(automatic), 0), coalesce(max(proxy_open), 0)
               FROM nms_delivery_tracking WHERE delivery_id = %s""",
            [delivery.pk, MOST, delivery.pk],
        )
        inbox, unaccounted, automatic, proxied = cursor.fetchone() or (0, 0, 0, 0)
    return News(inbox + unaccounted, last(), automatic, proxied)


def beginning(delivery: Delivery, length: timedelta) -> list[tuple[int, int]]:
    """Return opens and clicks of each hour after the first message, as far as it has passed."""
    found = over_time.since_start(scope.Scope((delivery,)))
    passed = clock.now() - delivery.broad_start if delivery.broad_start else timedelta()
    hours = int(min(passed, length) / timedelta(hours=1)) + 1
    counted = [[0, 0] for _ in range(hours)]
    for column, curve in enumerate((found.opens, found.clicks)):
        for at, count in curve:
            hour = int((at - timedelta(minutes=5)) / timedelta(hours=1))
            if hour < hours:
                counted[hour][column] += count
    return [(opens, clicks) for opens, clicks in counted]
