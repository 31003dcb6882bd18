"""Links of deliveries and what was clicked: cumulated clicks, and the people who clicked (delivery.md
§2.13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import UrlType
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.reports import hits
from envoi.packages.delivery.services.reports.scope import Scope

COUNTED = (UrlType.CLICK, UrlType.OPT_OUT, UrlType.MIRROR)
"""Types of links that are in the body of a message."""


@dataclass(frozen=True)
class Link:
    """A tracked link: how often it was clicked, and by how many recipients."""

    number: int
    delivery: int
    type: int
    label: str
    url: str
    category: str
    clicks: int
    people: int


@dataclass(frozen=True)
class Clicks:
    """All links of deliveries, the most clicked first. `people` clicked at least one of them."""

    links: Sequence[Link]
    people: int

    @property
    def whole(self) -> int:
        """Clicks on all links, opt-outs and mirror pages among them."""
        return sum(each.clicks for each in self.links)

    @property
    def clicks(self) -> int:
        """Cumulated clicks of §2.13: without opt-outs and mirror pages."""
        return sum(each.clicks for each in self.links if each.type == int(UrlType.CLICK))


def by_link(scope: Scope) -> Clicks:
    """Return the links of a scope with what was clicked; also those that nobody has clicked."""
    counted: dict[int, tuple[int, int]] = {}
    people = 0
    types = [int(each) for each in COUNTED]
    for storage, runs in scope.runs.items():
        table = quoted(log_tables.table("tracking_log", storage))
        with connection.cursor() as cursor:
            cursor.execute(
                f"""WITH hit AS MATERIALIZED (
                      SELECT run_id, target_id, broad_log_id, url_id, count(*) AS n FROM {table}
                      WHERE run_id = ANY(%s) AND type = ANY(%s) AND {hits.PEOPLE}
                      GROUP BY 1, 2, 3, 4)
                    SELECT url_id, sum(n), count(DISTINCT broad_log_id), 0 FROM hit GROUP BY url_id
                    UNION ALL SELECT 0, 0, count(DISTINCT broad_log_id), 1 FROM hit""",  # noqa: S608 quoted
                [list(runs), types],
            )
            for number, clicks, recipients, whole in cursor.fetchall():
                if whole:
                    people += recipients
                else:
                    before = counted.get(number, (0, 0))
                    counted[number] = (before[0] + int(clicks), before[1] + recipients)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT tracking_url_id, delivery_id, type, label, url, category FROM nms_tracking_url
               WHERE delivery_id = ANY(%s) AND type = ANY(%s)""",
            [list(scope.ids), types],
        )
        rows: list[tuple[int, int, int, str, str, str]] = cursor.fetchall()
    found = [Link(*row, *counted.get(row[0], (0, 0))) for row in rows]
    found.sort(key=lambda each: (-each.clicks, each.type, each.number))
    return Clicks(found, people)
