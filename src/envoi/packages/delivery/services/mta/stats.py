"""What went to which destination in which five minutes (`nms_delivery_stat`).

Counted in memory and written with the next settlement: a kill costs what was counted since. Figures of
deliveries come from the journal and lose nothing.
"""

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection

from envoi.packages.delivery.services.sending.outcomes import State

SLICE = 300
"""Seconds."""
LENGTH = timedelta(seconds=SLICE)


class Key(NamedTuple):
    """What is counted apart."""

    delivery_id: int
    at: datetime
    mx: str
    public_id: int
    domain: str


class Counts:
    """Figures of a process."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def count(self, key: Key, state: State, size: int) -> None:
        """Count one outcome."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = [0, 0, 0, 0]
        if state is State.SENT:
            row[0] += 1
            row[3] += size
        else:
            row[1 if state is State.FAILED else 2] += 1

    def merge(self, others: "Counts") -> None:
        """Add other figures to these."""
        for key, figures in others._rows.items():
            row = self._rows.setdefault(key, [0, 0, 0, 0])
            for at, figure in enumerate(figures):
                row[at] += figure

    def rows(self) -> list[tuple[Key, list[int]]]:
        """Return the figures (sent, failed, deferred, bytes) in one order, the same in every process."""
        return sorted(self._rows.items())  # pyright: ignore[reportReturnType, reportArgumentType]


def slice_of(moment: datetime) -> datetime:
    """Return the begin of the five minutes that a moment lies in."""
    return datetime.fromtimestamp(moment.timestamp() // SLICE * SLICE, moment.tzinfo)


def add(counts: Counts) -> None:
    """Add figures to those of the table, in the caller's transaction."""
    rows = counts.rows()
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_delivery_stat AS s
                 (delivery_id, slice, mx, public_id, domain, sent, failed, deferred, bytes)
               SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::integer[], %s::text[],
                 %s::integer[], %s::integer[], %s::integer[], %s::bigint[])
               ON CONFLICT (delivery_id, slice, mx, public_id, domain) DO UPDATE SET
                 sent = s.sent + EXCLUDED.sent, failed = s.failed + EXCLUDED.failed,
                 deferred = s.deferred + EXCLUDED.deferred, bytes = s.bytes + EXCLUDED.bytes""",
            [
                *([getattr(key, name) for key, _ in rows] for name in Key._fields),
                *([figures[at] for _, figures in rows] for at in range(4)),
            ],
        )
