"""Outcomes of messages by provider and by reason, read from the delivery logs (delivery.md §10.2).

One statement for each set of log tables: it reads every message of the runs once. Seed addresses count
nowhere.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import FailureReason, Flag, MessageStatus
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.reports import domains
from envoi.packages.delivery.services.reports.scope import Scope

SUCCESS = frozenset({MessageStatus.SENT, MessageStatus.TAKEN, MessageStatus.RECEIVED})
HARD = frozenset({FailureReason.USER_UNKNOWN})
SOFT = frozenset(
    {
        FailureReason.UNREACHABLE,
        FailureReason.MAILBOX_FULL,
        FailureReason.INVALID_DOMAIN,
        FailureReason.ACCOUNT_DISABLED,
        FailureReason.NOT_CONNECTED,
        FailureReason.REFUSED,
    }
)


@dataclass
class Outcomes:
    """Messages to one provider, or all of them."""

    success: int = 0
    prepared: int = 0
    waiting: int = 0
    """Pending, handed to a provider, or cancelled: not processed."""
    reasons: Counter[int] = field(default_factory=Counter[int])
    """Failed messages by reason."""

    @property
    def errors(self) -> int:
        """Failed messages, those of late bounces among them."""
        return self.reasons.total()

    @property
    def processed(self) -> int:
        """Prepared, failed, or successful."""
        return self.prepared + self.errors + self.success

    @property
    def hard(self) -> int:
        """Failed for good: the address is unknown."""
        return sum(self.reasons[int(each)] for each in HARD)

    @property
    def soft(self) -> int:
        """Failed for a reason that may pass."""
        return sum(self.reasons[int(each)] for each in SOFT)

    @property
    def complaints(self) -> int:
        """Readers who said that the message was not wanted."""
        return self.reasons[int(FailureReason.DENYLISTED)]

    def add(self, status: int, reason: int, count: int) -> None:
        """Count messages of one status and reason."""
        match MessageStatus(status):
            case MessageStatus.FAILED:
                self.reasons[reason] += count
            case MessageStatus.PREPARED:
                self.prepared += count
            case known if known in SUCCESS:
                self.success += count
            case _:
                self.waiting += count


def by_provider(scope: Scope, bins: domains.Bins) -> dict[str, Outcomes]:
    """Return the outcomes of a scope's messages by provider; `domains.OTHERS` is there if it has any."""
    found: dict[str, Outcomes] = {}
    for storage, runs in scope.runs.items():
        for provider, status, reason, count in _rows(storage, runs, bins):
            found.setdefault(provider, Outcomes()).add(status, reason, count)
    return found


def whole(found: dict[str, Outcomes]) -> Outcomes:
    """Return the outcomes of all providers together."""
    total = Outcomes()
    for each in found.values():
        total.success += each.success
        total.prepared += each.prepared
        total.waiting += each.waiting
        total.reasons.update(each.reasons)
    return total


def _rows(storage: str, runs: tuple[int, ...], bins: domains.Bins) -> list[tuple[str, int, int, int]]:
    params: dict[str, Any] = {
        "runs": list(runs),
        "apart": int(Flag.SEED) | int(Flag.CONTROL),
        "ignored": int(MessageStatus.IGNORED),
        "domains": list(bins.domains),
        "providers": list(bins.providers),
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT coalesce(bin.provider, ''), l.status, l.failure_reason, sum(l.n)
                FROM (SELECT lower(split_part(address, '@', 2)) AS domain, status, failure_reason,
                        count(*) AS n
                      FROM {quoted(log_tables.table("broad_log", storage))}
                      WHERE run_id = ANY(%(runs)s) AND flags & %(apart)s = 0 AND status <> %(ignored)s
                      GROUP BY 1, 2, 3) AS l
                {domains.JOIN.format(domain="l.domain")}
                GROUP BY 1, 2, 3""",  # noqa: S608 quoted
            params,
        )
        return [(str(a), int(b), int(c), int(d)) for a, b, c, d in cursor.fetchall()]
