"""Is the instance able to work: database, migrations, workers that beat."""

import math
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from django.db import Error, connection

from envoi.engine.models import Worker, WorkerState
from envoi.kernel import clock, migrate

DEAD_AFTER = 8.0
"""Seconds without a beat after which a worker no longer counts (architecture §3.2)."""


@dataclass(frozen=True)
class Beat:
    """What this process has seen of a worker: its last beat, and when that was new, by the monotonic clock.

    `changed` is endlessly long ago until the beat has moved, unless the worker is a living process of this
    host.
    """

    name: str
    beat: int
    changed: float


_beats: dict[int, Beat] = {}
_lock = threading.Lock()
_migrated = False


def beats() -> dict[str, float]:
    """Return worker -> seconds since its beat grew, as far as this process has watched.

    No clock of another host is believed: a worker lives as long as its counter moves between two looks. At
    first sight one of another host counts as dead (infinite), until it has moved.
    """
    rows = list(
        Worker.objects.filter(state__in=(WorkerState.RUNNING, WorkerState.DRAINING)).values_list(
            "worker_id", "name", "host", "pid", "beat"
        )
    )
    now = clock.monotonic()
    here = socket.gethostname()
    with _lock:
        before = dict(_beats)
        _beats.clear()
        for worker_id, name, host, pid, beat in rows:
            seen = before.get(worker_id)
            if seen is None:
                changed = now if host == here and Path(f"/proc/{pid}").exists() else -math.inf
            else:
                changed = seen.changed if seen.beat == beat else now
            _beats[worker_id] = Beat(f"{name}@{host}", beat, changed)
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
    youngest = min(ages.values())
    if youngest == math.inf:
        return ["No worker has given a sign of life yet."]
    if youngest > DEAD_AFTER:
        return [f"No worker has given a sign of life for {youngest:.0f} s."]
    return []
