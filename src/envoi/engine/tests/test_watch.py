"""When a worker counts as dead (architecture §3.2)."""

import subprocess
import sys
import time
from pathlib import Path

from django.db import OperationalError

from envoi.engine import processes, ticker
from envoi.engine.models import Worker, WorkerState
from envoi.kernel import clock


def make_worker(process: str = "") -> Worker:
    return Worker.objects.create(
        name="w", host="h", pid=1, process=process, affinities=",", threads=1, beat=1, started_at=clock.now()
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


def test_a_worker_beside_us_is_dead_as_soon_as_its_process_is_gone(committed_db):
    script = "from envoi.engine import processes; print(processes.mine(), flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    there = other.stdout.readline().strip()
    boot, space, number, started = there.split(" ")
    assert (number, space) == (str(other.pid), str(Path("/proc/self/ns/pid").readlink()))
    workers = {
        name: make_worker(process)
        for name, process in {
            "there": there,
            "elsewhere": f"{boot} pid:[1] {number} {started}",
            "before the boot": f"{'0' * 36} {space} {number} {started}",
            "unknown": "",
            "its number was given anew": f"{boot} {space} {number} {int(started) - 1}",
        }.items()
    }

    def dead() -> set[str]:
        ticker.tick(ticker.Watch())
        found = set(Worker.objects.filter(state=WorkerState.DEAD).values_list("worker_id", flat=True))
        return {name for name, worker in workers.items() if worker.pk in found}

    try:
        assert dead() == {"its number was given anew"}
        other.kill()
        deadline = time.monotonic() + 30
        while not processes.is_gone(there):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert "there" in dead(), "also while nobody has reaped it"
    finally:
        other.kill()
        other.communicate()
    assert dead() == {"there", "its number was given anew"}
