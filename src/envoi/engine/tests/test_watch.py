"""When a worker counts as dead (architecture §3.2)."""

from django.db import OperationalError

from envoi.engine import ticker
from envoi.engine.models import Worker, WorkerState
from envoi.kernel import clock


def make_worker() -> Worker:
    return Worker.objects.create(
        name="w", host="h", pid=1, affinities=",", threads=1, beat=1, started_at=clock.now()
    )


def test_a_time_without_the_database_says_nothing_about_the_workers(committed_db, monkeypatch):
    """Nobody could beat while the server was away, however long that was."""
    worker, real, elapsed, ticks = make_worker(), ticker.tick, [0.0], []
    monkeypatch.setattr(ticker, "BEAT_S", 0.01)
    monkeypatch.setattr(clock, "monotonic", lambda: elapsed[0])
    timer = ticker.Ticker()

    def tick(watch):
        ticks.append(elapsed[0])
        if len(ticks) == 2:
            elapsed[0] += 2 * ticker.DEAD_AFTER_S
            raise OperationalError("the server is away")
        if len(ticks) == 3:
            timer.stopping.set()
        return real(watch)

    monkeypatch.setattr(ticker, "tick", tick)
    timer.run()
    worker.refresh_from_db()
    assert len(ticks) == 3
    assert worker.state == WorkerState.RUNNING


def test_a_worker_whose_beat_stands_still_is_dead(committed_db, monkeypatch):
    worker, elapsed = make_worker(), [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: elapsed[0])
    watch = ticker.Watch()
    ticker.tick(watch)
    while elapsed[0] < ticker.DEAD_AFTER_S:
        elapsed[0] += ticker.BEAT_S
        ticker.tick(watch)
    worker.refresh_from_db()
    assert worker.state == WorkerState.RUNNING
    elapsed[0] += 0.5
    ticker.tick(watch)
    worker.refresh_from_db()
    assert worker.state == WorkerState.DEAD
