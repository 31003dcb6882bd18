"""Is the instance able to work: database, migrations, workers that beat."""

import threading
from dataclasses import dataclass

from django.db import Error, connection

from envoi.engine.models import Worker, WorkerState
from envoi.kernel import clock, migrate

DEAD_AFTER = 8.0
"""Seconds without a beat after which a worker no longer counts (architecture §3.2)."""


@dataclass(frozen=True)
class Beat:
    """What this process has seen of a worker: its last beat, and when that was new, by the monotonic
    clock.
    """

    name: str
    beat: int
    changed: float


_beats: dict[int, Beat] = {}
_lock = threading.Lock()
_migrated = False


def beats() -> dict[str, float]:
    """Return worker -> seconds since its beat grew, as far as this process has watched; 0 at first sight.

    No clock of another host is believed: a worker lives as long as its counter moves between two looks.
    """
    rows = list(
        Worker.objects.filter(state__in=(WorkerState.RUNNING, WorkerState.DRAINING)).values_list(
            "worker_id", "name", "host", "beat"
        )
    )
    now = clock.monotonic()
    with _lock:
        before = dict(_beats)
        _beats.clear()
        for worker_id, name, host, beat in rows:
            seen = before.get(worker_id)
            same = seen is not None and seen.beat == beat
            _beats[worker_id] = Beat(f"{name}@{host}", beat, seen.changed if seen and same else now)
        return {seen.name: now - seen.changed for seen in _beats.values()}


def reasons() -> list[str]:
    """Return why the instance is not ready, in words for an operator; empty when it is."""
    global _migrated
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not _migrated:
            if missing := migrate.unapplied():
                return [f"{len(missing)} migrations are not applied. Run `envoi init`."]
            # What is applied stays applied for the life of this process.
            _migrated = True
        ages = beats()
    except Error as error:
        return [f"The database does not answer ({type(error).__name__})."]
    if not ages:
        return ["No worker runs. Start one with `envoi up` or `envoi worker`."]
    if all(age > DEAD_AFTER for age in ages.values()):
        return [f"No worker has given a sign of life for {min(ages.values()):.0f} s."]
    return []
