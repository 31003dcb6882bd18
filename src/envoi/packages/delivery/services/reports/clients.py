"""With what readers read: systems, devices and browsers of opens, and of those who clicked (delivery.md
§10.2).

One statement for each set of log tables.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import UrlType
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.reports import hits
from envoi.packages.delivery.services.reports.scope import Scope

What = Literal["browser", "os"]
_VERSIONS: Mapping[What, str] = {"browser": "browser_version", "os": "os_version"}


@dataclass(frozen=True)
class Opens:
    """Opens with one system, device and browser; texts are empty where nothing is known."""

    os: str
    device: int
    browser: str
    count: int


@dataclass
class Visitors:
    """Who clicked with what: recipients and clicks by name, by name and version, by name and day."""

    total: int = 0
    """Recipients who clicked with anything."""
    names: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    versions: dict[tuple[str, str], tuple[int, int]] = field(
        default_factory=dict[tuple[str, str], tuple[int, int]]
    )
    days: dict[tuple[str, date], int] = field(default_factory=dict[tuple[str, date], int])


def opens(scope: Scope) -> list[Opens]:
    """Return the opens of a scope, the most frequent combination first."""
    counted = Counter[tuple[str, int, str]]()
    for storage, runs in scope.runs.items():
        with connection.cursor() as cursor:
            cursor.execute(
                f"""SELECT coalesce(a.os, ''), coalesce(a.device, 0), coalesce(a.browser, ''), sum(h.n)
                    FROM (SELECT user_agent_id, count(*) AS n
                          FROM {quoted(log_tables.table("tracking_log", storage))}
                          WHERE run_id = ANY(%s) AND type = %s AND {hits.PEOPLE} GROUP BY 1) AS h
                    LEFT JOIN nms_user_agent a ON a.user_agent_id = h.user_agent_id
                    GROUP BY 1, 2, 3""",  # noqa: S608 quoted
                [list(runs), int(UrlType.OPEN)],
            )
            for system, device, browser, count in cursor.fetchall():
                counted[system, device, browser] += int(count)
    return [Opens(*key, count) for key, count in counted.most_common()]


def visitors(scope: Scope, what: What, zone: str) -> Visitors:
    """Return who clicked with which browsers or systems; days are those of a zone."""
    found = Visitors()
    version = _VERSIONS[what]
    for storage, runs in scope.runs.items():
        params: dict[str, Any] = {"runs": list(runs), "click": int(UrlType.CLICK), "zone": zone}
        with connection.cursor() as cursor:
            cursor.execute(
                f"""WITH hit AS MATERIALIZED (
                      SELECT h.run_id, h.broad_log_id, h.day, coalesce(a.{what}, '') AS name,
                        coalesce(a.{version}, '') AS version, h.n
                      FROM (SELECT run_id, target_id, broad_log_id, user_agent_id,
                              (log_date AT TIME ZONE %(zone)s)::date AS day, count(*) AS n
                            FROM {quoted(log_tables.table("tracking_log", storage))}
                            WHERE run_id = ANY(%(runs)s) AND type = %(click)s AND {hits.PEOPLE}
                            GROUP BY 1, 2, 3, 4, 5) AS h
                      LEFT JOIN nms_user_agent a ON a.user_agent_id = h.user_agent_id)
                    SELECT 'all', '', '', NULL::date, count(DISTINCT broad_log_id), 0 FROM hit
                    UNION ALL SELECT 'name', name, '', NULL, count(DISTINCT broad_log_id), sum(n)
                      FROM hit GROUP BY name
                    UNION ALL SELECT 'version', name, version, NULL,
                      count(DISTINCT broad_log_id), sum(n) FROM hit GROUP BY name, version
                    UNION ALL SELECT 'day', name, '', day, count(DISTINCT broad_log_id), sum(n)
                      FROM hit GROUP BY name, day""",  # noqa: S608 quoted
                params,
            )
            for kind, name, of_it, day, people, clicks in cursor.fetchall():
                _add(found, kind, name, of_it, day, people, int(clicks or 0))
    return found


def _add(
    found: Visitors, kind: str, name: str, version: str, day: date | None, people: int, clicks: int
) -> None:
    match kind:
        case "name":
            before = found.names.get(name, (0, 0))
            found.names[name] = (before[0] + people, before[1] + clicks)
        case "version":
            before = found.versions.get((name, version), (0, 0))
            found.versions[name, version] = (before[0] + people, before[1] + clicks)
        case "day" if day is not None:
            found.days[name, day] = found.days.get((name, day), 0) + people
        case _:
            found.total += people
