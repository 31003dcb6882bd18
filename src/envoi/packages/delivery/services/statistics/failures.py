"""Which messages of a delivery failed, and why: by domain and by reason.

Failures are read from the log of the run, once for a number of errors; what that costs bounds how often it is
done (`remembering`).
"""

from collections import Counter
from dataclasses import dataclass

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryRun,
    FailureReason,
    FailureType,
    Flag,
    MessageStatus,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.statistics.remembering import remembered

DOMAINS = 20
"""Domains that are told by name."""


@dataclass(frozen=True)
class Domain:
    """Messages to one domain. `name` is empty for all others together."""

    name: str
    processed: int | None
    """None: the senders have written nothing down."""
    errors: int
    hard: int
    soft: int
    text: str
    """What its servers said most often, without what names one person."""
    others: int = 0
    """How many domains it stands for, beyond one."""


@dataclass(frozen=True)
class Failures:
    """All failures of a run."""

    errors: int
    domains: tuple[Domain, ...]
    """Those with most errors first."""
    reasons: tuple[tuple[int, int], ...]
    """Reason and number, the most frequent first."""
    most: int
    """The greatest number of errors of a domain."""


def read(delivery: Delivery, run: DeliveryRun) -> Failures:
    """Return the failures of a delivery; a moment old while there is much and it changes."""
    version = (delivery.error, delivery.state)
    return remembered(("failures", run.pk), version, lambda: _read(delivery, run))


def _read(delivery: Delivery, run: DeliveryRun) -> Failures:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT l.domain, l.failure_reason,
                  coalesce(nullif(m.failure_type, 0),
                    CASE WHEN l.failure_reason = %(unknown)s THEN %(hard)s ELSE %(soft)s END),
                  coalesce(m.text, ''), sum(l.n)
                FROM (SELECT lower(split_part(address, '@', 2)) AS domain, failure_reason, msg_id,
                        count(*) AS n
                      FROM {quoted(log_tables.table("broad_log", run.storage))}
                      WHERE run_id = %(run)s AND status = %(failed)s AND flags & %(seed)s = 0
                      GROUP BY 1, 2, 3) AS l
                LEFT JOIN nms_broad_log_msg m ON m.broad_log_msg_id = l.msg_id
                GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 4""",  # noqa: S608 quoted
            {
                "run": run.pk,
                "failed": int(MessageStatus.FAILED),
                "seed": int(Flag.SEED),
                "unknown": int(FailureReason.USER_UNKNOWN),
                "hard": int(FailureType.HARD),
                "soft": int(FailureType.SOFT),
            },
        )
        rows = [(str(a), int(b), int(c), str(d), int(e)) for a, b, c, d, e in cursor.fetchall()]
        cursor.execute(
            "SELECT domain, sum(sent + failed) FROM nms_delivery_stat WHERE delivery_id = %s GROUP BY domain",
            [delivery.pk],
        )
        processed = {str(domain): int(count) for domain, count in cursor.fetchall()}
    errors, hard, reasons = Counter[str](), Counter[str](), Counter[int]()
    texts: dict[str, str] = {}
    for domain, reason, kind, text, count in rows:
        errors[domain] += count
        reasons[reason] += count
        if FailureType(kind) is FailureType.HARD:
            hard[domain] += count
        if text:
            texts.setdefault(domain, text)
    named = [name for name, _count in errors.most_common(DOMAINS)]
    # Those to whom most has gone are told too, also when nothing failed.
    named += sorted(set(processed) - set(named) - {""}, key=lambda name: (-processed[name], name))[
        : DOMAINS - len(named)
    ]
    found = [
        Domain(
            name,
            processed.get(name) if processed else None,
            errors[name],
            hard[name],
            errors[name] - hard[name],
            texts.get(name, ""),
        )
        for name in named
    ]
    left = (set(errors) | set(processed)) - set(named)
    if left:
        failed, hardly = sum(errors[name] for name in left), sum(hard[name] for name in left)
        went = sum(processed.get(name, 0) for name in left) if processed else None
        found.append(Domain("", went, failed, hardly, failed - hardly, "", len(left)))
    return Failures(
        errors=errors.total(),
        domains=tuple(found),
        reasons=tuple(reasons.most_common()),
        most=max(errors.values(), default=0),
    )
