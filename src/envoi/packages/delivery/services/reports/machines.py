"""Hits by who made them: readers, machines, privacy proxies (delivery.md §4.6)."""

from collections import Counter
from dataclasses import dataclass, field

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import Automatic, UrlType
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.reports import hits
from envoi.packages.delivery.services.reports.scope import Scope


@dataclass
class Makers:
    """Hits by who made them (a code of `Automatic`), opens and clicks among them, and the messages hit."""

    hits: Counter[int] = field(default_factory=Counter[int])
    opens: Counter[int] = field(default_factory=Counter[int])
    clicks: Counter[int] = field(default_factory=Counter[int])
    messages: Counter[int] = field(default_factory=Counter[int])

    @property
    def readers(self) -> int:
        """Hits that count."""
        return sum(count for maker, count in self.hits.items() if maker <= Automatic.READER)

    @property
    def machines(self) -> int:
        """Hits that count nowhere."""
        return sum(count for maker, count in self.hits.items() if maker > Automatic.READER)

    @property
    def proxied(self) -> int:
        """Opens through privacy proxies."""
        return sum(count for maker, count in self.opens.items() if maker < Automatic.READER)


def makers(scope: Scope) -> Makers:
    """Return the hits of a scope by who made them."""
    found = Makers()
    for storage, runs in scope.runs.items():
        with connection.cursor() as cursor:
            cursor.execute(
                f"""WITH hit AS MATERIALIZED (
                      SELECT run_id, target_id, broad_log_id, automatic, count(*) AS n,
                        count(*) FILTER (WHERE type = %s) AS opens,
                        count(*) FILTER (WHERE type = %s) AS clicks
                      FROM {quoted(log_tables.table("tracking_log", storage))}
                      WHERE run_id = ANY(%s) AND {hits.OWN} GROUP BY 1, 2, 3, 4)
                    SELECT automatic, sum(n), sum(opens), sum(clicks), count(*) FROM hit GROUP BY 1""",  # noqa: S608 quoted
                [int(UrlType.OPEN), int(UrlType.CLICK), list(runs)],
            )
            for maker, count, opens, clicks, messages in cursor.fetchall():
                found.hits[maker] += int(count)
                found.opens[maker] += int(opens)
                found.clicks[maker] += int(clicks)
                found.messages[maker] += messages
    return found
