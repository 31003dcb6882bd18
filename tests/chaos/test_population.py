"""The postmaster is killed between a query and the exclusion after it: the result is that of a calm run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from envoi.kernel.testing import wait_until
from envoi.postgres import server
from envoi.postgres.place import recorded_place

STAGE = Path(__file__).with_name("population_stage.py")
FINISHED = "SELECT 1 FROM xtk_workflow WHERE internal_name = '{}' AND state = 20 AND NOT failed"
BEATS = {"ENVOI_CHAOS_BEAT_S": "0.2", "ENVOI_CHAOS_DEAD_AFTER_S": "1.2"}


def ask(lease: server.Lease, query: str) -> list[tuple[Any, ...]]:
    """Return rows, waiting for a server that is away."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(lease.dsn(), autocommit=True) as session:
                return session.execute(query).fetchall()  # pyright: ignore[reportArgumentType]
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server has not come back"
            time.sleep(0.1)


def carried(lease: server.Lease, name: str) -> tuple[list[int], list[int]]:
    """Return the ids that the exclusion of a workflow gave, and what it left."""
    found = []
    for way in ("result", "remainder"):
        [(table,)] = ask(
            lease,
            f"""SELECT e.variables->>'tableName'
                FROM xtk_workflow_event e JOIN xtk_workflow w USING (workflow_id)
                WHERE w.internal_name = '{name}' AND e.source = 'exclude' AND e.transition = '{way}'""",
        )
        found.append([key for (key,) in ask(lease, f'SELECT id FROM "{table}" ORDER BY id')])
    return found[0], found[1]


@pytest.mark.chaos
def test_a_server_that_dies_between_two_set_activities_changes_nothing(tmp_path, home, run_envoi):
    run_envoi("init", "--packages", "core_default,delivery", home=home, code=0)
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env = kept | {"ENVOI_HOME": str(home)} | BEATS
    with server.acquire(home) as lease:
        worker = None
        try:
            done = subprocess.run(
                [sys.executable, str(STAGE)], env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            worker = subprocess.Popen(
                [sys.executable, "-m", "envoi.cli", "worker"], env=env, stderr=subprocess.DEVNULL
            )
            wait_until(lambda: ask(lease, FINISHED.format("calm")), 120)
            run_envoi("workflow", "start", "hit", home=home, code=0)
            # It waits between the query and the exclusion; all that was selected is in tables.
            wait_until(
                lambda: ask(
                    lease,
                    """SELECT 1 FROM xtk_workflow_task t JOIN xtk_workflow w USING (workflow_id)
                   WHERE w.internal_name = 'hit' AND (t.activity = 'some' AND t.status = 1
                     OR t.activity = 'later' AND t.status = 0 AND t.due_at IS NOT NULL)
                   HAVING count(*) = 2""",
                ),
                120,
            )
            place = recorded_place(home)
            assert place is not None
            pid = int((place.data(lease.major) / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: ask(lease, FINISHED.format("hit")), 120)
            result, rest = carried(lease, "hit")
            assert (result, rest) == carried(lease, "calm")
            assert len(result) + len(rest) == 2000
            assert all(key % 3 == 0 for key in rest)
            assert not any(key % 3 == 0 for key in result)
        finally:
            if worker is not None:
                worker.terminate()
                worker.wait(20)
