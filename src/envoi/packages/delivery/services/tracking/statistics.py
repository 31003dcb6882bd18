"""Statistics of browsers and systems by day (delivery.md §4.5)."""

from datetime import date, datetime

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import UrlType
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.tracking import machines, marks


def next_day(*, now: datetime) -> date | None:
    """Rebuild the statistics of browsers of the next day that has hits they do not know, in the caller's
    transaction; returns the day, None when there is none.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """DELETE FROM nms_tracking_day WHERE day = (SELECT min(day) FROM nms_tracking_day)
               RETURNING day"""
        )
        row = cursor.fetchone()
    if row is None:
        marks.agents_consolidated(now=now)
        return None
    rebuild(row[0])
    return row[0]


def rebuild(day: date) -> None:
    """Rebuild the statistics of browsers of one day (UTC) from the clicks of readers."""
    begin = f"{day.isoformat()}T00:00:00Z"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM nms_user_agents_stats WHERE day = %s::date", [day.isoformat()])
        cursor.execute(
            """SELECT r.storage, array_agg(r.run_id) FROM nms_delivery_run r
               WHERE r.delivery_id IN (
                   SELECT delivery_id FROM nms_tracking_stats
                   WHERE start >= %(begin)s::timestamptz
                     AND start < %(begin)s::timestamptz + interval '1 day')
                 AND to_regclass('nms_tracking_log_' || r.storage) IS NOT NULL
               GROUP BY r.storage ORDER BY r.storage""",
            {"begin": begin},
        )
        runs = dict(cursor.fetchall())
        if not runs:
            return
        hits = " UNION ALL ".join(
            f"""SELECT broad_log_id, user_agent_id FROM {quoted(log_tables.table("tracking_log", storage))}
                WHERE run_id = ANY(%(runs_{storage})s) AND type = %(click)s AND {machines.COUNTED}
                  AND log_date >= %(begin)s::timestamptz
                  AND log_date < %(begin)s::timestamptz + interval '1 day'"""  # noqa: S608 quoted
            for storage in runs
        )
        cursor.execute(
            f"""WITH hit AS MATERIALIZED (
                  SELECT h.broad_log_id, coalesce(u.browser, '') AS browser,
                    coalesce(u.browser_version, '') AS browser_version, coalesce(u.os, '') AS os,
                    coalesce(u.os_version, '') AS os_version, coalesce(u.device, 0) AS device,
                    count(*) AS pages
                  FROM ({hits}) AS h LEFT JOIN nms_user_agent u ON u.user_agent_id = h.user_agent_id
                  GROUP BY 1, 2, 3, 4, 5, 6)
                INSERT INTO nms_user_agents_stats
                  (day, browser, browser_version, os, os_version, device, visitors, pages,
                   visitors_of_the_day)
                SELECT %(day)s::date, browser, browser_version, os, os_version, device, count(*), sum(pages),
                  (SELECT count(DISTINCT broad_log_id) FROM hit)
                FROM hit GROUP BY browser, browser_version, os, os_version, device""",  # noqa: S608 quoted
            {
                "day": day.isoformat(),
                "begin": begin,
                "click": int(UrlType.CLICK),
                **{f"runs_{storage}": each for storage, each in runs.items()},
            },
        )
