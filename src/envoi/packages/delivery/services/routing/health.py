"""How mail goes to whom, by the statistics of senders (`nms_delivery_stat`, slices of five minutes)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from envoi.kernel.rights import Actor
from envoi.packages.delivery.services.routing import mx_rules

SLICE = timedelta(minutes=5)
MOST = 2000
"""Mail servers that are told apart; those with the least mail are left out."""


@dataclass
class Row:
    """What went to one destination, or from one of our addresses."""

    name: str
    sent: int = 0
    failed: int = 0
    deferred: int = 0
    bytes: int = 0
    hosts: int = 0

    @property
    def total(self) -> int:
        """All attempts."""
        return self.sent + self.failed + self.deferred

    @property
    def ratio(self) -> float:
        """Errors among them, from 0 to 1: what blocks a destination at 0.9 of 300."""
        return (self.failed + self.deferred) / self.total if self.total else 0.0


@dataclass(frozen=True)
class Slice:
    """Some minutes of all deliveries."""

    start: datetime
    sent: int
    failed: int
    deferred: int
    bytes: int


def destinations(since: datetime, *, actor: Actor) -> list[Row]:
    """Return what went where, the most first: by the mask of an MX rule, under the general one by host."""
    rules = [rule for rule in mx_rules.rules(actor=actor) if rule.mask != "*"]
    found: dict[str, Row] = {}
    for mx, sent, failed, deferred, size in _sums("mx", since):
        name = next((rule.mask for rule in rules if mx and rule.fits(str(mx))), str(mx))
        row = found.setdefault(name, Row(name))
        row.sent += sent
        row.failed += failed
        row.deferred += deferred
        row.bytes += size
        row.hosts += 1
    return sorted(found.values(), key=lambda row: (-row.total, row.name))


def addresses(since: datetime) -> list[Row]:
    """Return what left from which of our addresses, by its number."""
    return [
        Row(str(number), sent, failed, deferred, size)
        for number, sent, failed, deferred, size in sorted(_sums("public_id", since))
    ]


def slices(since: datetime, until: datetime, width: timedelta = SLICE) -> list[Slice]:
    """Return all slices of a time, those without mail too. `width`: whole multiples of five minutes."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT date_bin(make_interval(secs => %s), slice, %s),
                 sum(sent), sum(failed), sum(deferred), sum(bytes)
               FROM nms_delivery_stat WHERE slice >= %s AND slice < %s GROUP BY 1""",
            [width.total_seconds(), since, since, until],
        )
        known = {row[0]: row[1:] for row in cursor.fetchall()}
    found: list[Slice] = []
    at = since
    while at < until:
        found.append(Slice(at, *map(int, known.get(at, (0, 0, 0, 0)))))
        at += width
    return found


def _sums(column: str, since: datetime) -> list[tuple[str | int, int, int, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT {column}, sum(sent), sum(failed), sum(deferred), sum(bytes) FROM nms_delivery_stat
                WHERE slice >= %s GROUP BY {column} ORDER BY sum(sent + failed + deferred) DESC LIMIT %s""",  # noqa: S608 trusted
            [since, MOST],
        )
        return [(row[0], *map(int, row[1:])) for row in cursor.fetchall()]  # pyright: ignore[reportReturnType]
