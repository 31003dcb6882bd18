"""What readers did, by the provider of their address (delivery.md §2.13).

Counted is what a person did, as far as that can be told: hits of scanners and proxies are told apart, and
those on seed addresses are left out.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import Automatic, Flag, UrlType
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.reports import domains
from envoi.packages.delivery.services.reports.scope import Scope

APART = int(Flag.SEED) | int(Flag.CONTROL)
OWN = f"flags IN ({', '.join(str(each) for each in range(2 * max(Flag)) if not each & APART)})"
"""Condition on a row of a tracking log: no seed or control address. A list, since the planner takes a test of
bits for one that hardly any row passes, and then asks for each message by itself.
"""
PEOPLE = f"automatic <= {int(Automatic.READER)} AND {OWN}"
"""Condition on a row of a tracking log: a person did it, as far as can be told, and it counts; the same as
`tracking.machines.COUNTED`.
"""


@dataclass(frozen=True)
class Reactions:
    """What readers at one provider did."""

    opened: int = 0
    """Recipients who opened; who clicked has opened."""
    clicked: int = 0
    """Recipients who clicked."""
    clicks: int = 0
    opt_outs: int = 0

    def __add__(self, other: "Reactions") -> "Reactions":
        return Reactions(
            self.opened + other.opened,
            self.clicked + other.clicked,
            self.clicks + other.clicks,
            self.opt_outs + other.opt_outs,
        )


def by_provider(scope: Scope, bins: domains.Bins) -> dict[str, Reactions]:
    """Return the reactions of a scope by provider."""
    found: dict[str, Reactions] = {}
    for storage, runs in scope.runs.items():
        params: dict[str, Any] = {
            "runs": list(runs),
            "click": int(UrlType.CLICK),
            "opt_out": int(UrlType.OPT_OUT),
            "domains": list(bins.domains),
            "providers": list(bins.providers),
        }
        with connection.cursor() as cursor:
            # By message first: every step joins by target and run, by which the tables can be distributed.
            cursor.execute(
                f"""SELECT coalesce(bin.provider, ''), count(*), count(*) FILTER (WHERE h.clicks > 0),
                      sum(h.clicks), sum(h.opt_outs)
                    FROM (SELECT run_id, target_id, broad_log_id,
                            count(*) FILTER (WHERE type = %(click)s) AS clicks,
                            count(*) FILTER (WHERE type = %(opt_out)s) AS opt_outs
                          FROM {quoted(log_tables.table("tracking_log", storage))}
                          WHERE run_id = ANY(%(runs)s) AND {PEOPLE}
                          GROUP BY 1, 2, 3) AS h
                    LEFT JOIN {quoted(log_tables.table("broad_log", storage))} AS l
                      ON l.target_id = h.target_id AND l.run_id = h.run_id
                    {domains.JOIN.format(domain="lower(split_part(l.address, '@', 2))")}
                    GROUP BY 1""",  # noqa: S608 quoted
                params,
            )
            for provider, *numbers in cursor.fetchall():
                before = found.get(provider, Reactions())
                found[provider] = before + Reactions(*(int(each) for each in numbers))
    return found
