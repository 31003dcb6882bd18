"""When workflows ran: the numbers behind the heat map (engine.md §8.4)."""

from datetime import UTC, datetime, time, timedelta

from django.db import connection
from django.db.models import Max

from envoi.kernel import clock
from envoi.kernel.rights import Actor, Right
from envoi.packages.core_default.models import HeatMapSlot

SLOT = timedelta(minutes=5)
LONGEST_CATCH_UP = timedelta(days=31)


def collect(*, actor: Actor) -> int:
    """Count every day up to yesterday (UTC) that was not counted yet; returns the number of slots written.

    The last counted day is counted again, since it may have been written while its tasks were still running.
    """
    actor.require(Right.ADMINISTRATION, to="collect data for the heat map")
    today = datetime.combine(clock.now().date(), time(), UTC)
    last = HeatMapSlot.objects.aggregate(last=Max("starts_at"))["last"]
    day = today - LONGEST_CATCH_UP
    if last is not None:
        day = max(day, datetime.combine(last.date(), time(), UTC))
    written = 0
    while day < today:
        slots = count(day, day + timedelta(days=1))
        HeatMapSlot.objects.filter(starts_at__gte=day, starts_at__lt=day + timedelta(days=1)).delete()
        HeatMapSlot.objects.bulk_create(HeatMapSlot(starts_at=at, workflows=n) for at, n in slots.items())
        written += len(slots)
        day += timedelta(days=1)
    return written


def count(since: datetime, until: datetime) -> dict[datetime, int]:
    """Return slot -> number of workflows of which a task ran at some time in it, from the tasks that are
    still kept.
    """
    query = """
        SELECT slot, count(DISTINCT t.workflow_id)
        FROM generate_series(%(since)s::timestamptz, %(until)s::timestamptz - %(slot)s, %(slot)s) AS slot
        JOIN xtk_workflow_task t ON t.started_at < slot + %(slot)s
          AND coalesce(t.completed_at, CASE WHEN t.status = 2 THEN %(now)s END) >= slot
        GROUP BY slot ORDER BY slot"""
    with connection.cursor() as cursor:
        cursor.execute(query, {"since": since, "until": until, "slot": SLOT, "now": clock.now()})
        return dict(cursor.fetchall())
