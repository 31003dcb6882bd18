"""Workers and the database's server are killed while workflows run; all ends as if nothing had been.

One test in two forms: a small one, and a soak. A kill counts only when it hit: the worker stands still
(SIGSTOP) while it is seen which tasks it holds, and dies with them. Afterwards every workflow has finished,
nothing was done twice and nothing left out, populations equal those of an undisturbed run, and the journal
reads truly.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from envoi.kernel.locks import Lock
from envoi.kernel.testing import wait_until
from envoi.postgres import server
from envoi.postgres.place import recorded_place

STAGE = Path(__file__).with_name("stage.py")
STEPS = ("a1", "a2", "a3", "b1", "b2", "c1", "c2")
ACTIVITIES = sorted((*STEPS, "split", "join", "end"))
FAST = 0.0


@dataclass(frozen=True)
class Form:
    """How much happens. Times are in seconds."""

    workflows: int
    workers: int
    hits: int
    server_kills: int
    pause: tuple[float, float]
    """Between two kills, at least and at most."""
    pace: float
    """How long a step takes at least, as long as hits are wanted."""
    limit: float
    """After it, what has not ended never will."""
    taken_over_within: float | None = None
    environment: dict[str, str] = field(default_factory=dict)
    threads: int = 3


SMALL = Form(
    workflows=20, workers=3, hits=10, server_kills=1, pause=(0.4, 1.2), pace=1, limit=150,
    environment={"ENVOI_CHAOS_BEAT_S": "0.2", "ENVOI_CHAOS_DEAD_AFTER_S": "1.2"},
)  # fmt: skip
SOAK = Form(
    workflows=200,
    workers=6,
    hits=100,
    server_kills=5,
    threads=4,
    pause=(2.0, 5.0),
    pace=7,
    limit=2400,
    taken_over_within=15,
)


@dataclass(frozen=True)
class Hit:
    """A worker that was killed, and what it held."""

    at: float
    worker_id: int
    name: str
    tasks: frozenset[int]


class Instance:
    """An instance with an embedded server, its workers, and a session that comes back with the server."""

    def __init__(self, home: Path, lease: server.Lease, form: Form) -> None:
        self.home, self.lease, self.form = home, lease, form
        self.alive: dict[int, subprocess.Popen[bytes]] = {}
        self.server_kills: list[float] = []
        self._session: psycopg.Connection[Any] | None = None

    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return kept | {"ENVOI_HOME": str(self.home)} | self.form.environment

    def stage(self, chosen: str) -> None:
        done = subprocess.run(
            [sys.executable, str(STAGE), chosen, str(self.form.workflows)],
            env=self.env(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def hire(self) -> None:
        log = (self.home / "log" / "chaos-workers.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "envoi.cli", "worker", "--threads", str(self.form.threads)],
            env=self.env(), stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        self.alive[process.pid] = process

    def ask(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows, waiting for the server when it is away."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if self._session is None:
                    self._session = psycopg.connect(self.lease.dsn(), autocommit=True, row_factory=dict_row)
                found = self._session.execute(query, values)  # pyright: ignore[reportArgumentType]
                return found.fetchall() if found.description else []
            except psycopg.OperationalError:
                self._session = None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def pace(self, seconds: float) -> None:
        self.ask("DELETE FROM chaos_pace")
        self.ask("INSERT INTO chaos_pace VALUES (%(seconds)s)", seconds=seconds)

    def unfinished(self, chosen: str) -> int:
        return self.ask(
            "SELECT count(*) FROM xtk_workflow WHERE internal_name ~ %(name)s AND state <> 20",
            name=f"^{chosen}[0-9]+$",
        )[0]["count"]

    def leader(self) -> int:
        """Return the process whose timer holds the lock; 0 for none."""
        rows = self.ask(
            """SELECT w.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
               JOIN xtk_worker w ON a.application_name = 'envoi worker ' || w.worker_id
               WHERE l.locktype = 'advisory' AND l.granted AND l.objid = %(tick)s""",
            tick=int(Lock.TICK),
        )
        return rows[0]["pid"] if rows else 0

    def worker(self, pid: int) -> dict[str, Any]:
        return self.ask("SELECT * FROM xtk_worker WHERE pid = %(pid)s ORDER BY worker_id DESC", pid=pid)[0]

    def standing(self) -> list[dict[str, Any]]:
        """Return what is known of the tasks that are still open."""
        return self.ask(
            """SELECT t.task_id, t.activity, t.status, t.queued, t.attempts, w.name, w.state, w.beat,
                 (SELECT count(*) FROM procrastinate_jobs j
                  WHERE (j.args->>'task')::bigint = t.task_id) AS jobs,
                 (SELECT a.query FROM pg_stat_activity a WHERE a.pid = t.backend_pid) AS query
               FROM xtk_workflow_task t LEFT JOIN xtk_worker w USING (worker_id)
               WHERE t.status IN (0, 2, 5, 6) AND (t.due_at IS NOT NULL OR t.status <> 0)"""
        )

    def busy(self) -> dict[int, dict[str, Any]]:
        """Return pid -> number, name and tasks of the workers of ours that hold a running task."""
        rows = self.ask(
            """SELECT w.pid, w.worker_id, w.name, array_agg(t.task_id) AS tasks
               FROM xtk_workflow_task t JOIN xtk_worker w USING (worker_id)
               WHERE t.status = 2 AND w.pid = ANY(%(pids)s) AND w.state IN (0, 1) GROUP BY 1, 2, 3""",
            pids=list(self.alive),
        )
        return {row["pid"]: row for row in rows}

    def hit_worker(self, chance: random.Random) -> Hit | None:
        """Kill a worker while it holds a task; None when there was none to hit."""
        pids = sorted(self.busy())
        if not pids:
            return None
        pid = chance.choice(pids)
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: _state(pid) == "T", 5)
        time.sleep(0.05)  # what it had already sent to the server is through by now
        held = self.busy().get(pid)
        if held is None:
            os.kill(pid, signal.SIGCONT)
            return None
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        self.alive.pop(pid).wait()
        self.hire()
        return Hit(at, held["worker_id"], held["name"], frozenset(held["tasks"]))

    def hit_server(self) -> bool:
        """Kill the postmaster while tasks run; False when none did."""
        if not self.busy():
            return False
        place = recorded_place(self.home)
        assert place is not None
        self.server_kills.append(time.time())
        os.kill(int((place.data(self.lease.major) / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        return True

    def dismiss(self) -> None:
        for process in self.alive.values():
            process.terminate()
            process.send_signal(signal.SIGCONT)
        for process in self.alive.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        if self._session is not None:
            self._session.close()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextmanager
def instance(home: Path, run_envoi: Any, form: Form) -> Iterator[Instance]:
    run_envoi("init", home=home, code=0)
    with server.acquire(home) as lease:
        found = Instance(home, lease, form)
        for _ in range(form.workers):
            found.hire()
        try:
            yield found
        finally:
            found.dismiss()


def storm(found: Instance, chance: random.Random) -> tuple[list[Hit], int]:
    """Kill until all hits are made, then let the rest come to its end."""
    form, deadline = found.form, time.monotonic() + found.form.limit
    hits: list[Hit] = []
    server_hits = 0
    # The server's turns are spread over the workers'.
    turns = sorted(chance.sample(range(1, form.hits), form.server_kills))
    found.pace(form.pace)
    while found.unfinished("storm"):
        assert time.monotonic() < deadline, (
            f"{found.unfinished('storm')} workflows have not come to their end"
        )
        if server_hits < len(turns) and len(hits) >= turns[server_hits]:
            server_hits += found.hit_server()
        elif len(hits) < form.hits:
            hit = found.hit_worker(chance)
            hits += [hit] if hit else []
            if len(hits) == form.hits:
                found.pace(FAST)
        time.sleep(chance.uniform(*form.pause) if len(hits) < form.hits else 0.2)
    return hits, server_hits


@pytest.mark.case("E47")
@pytest.mark.chaos
@pytest.mark.parametrize(
    ("form", "seed"),
    [
        pytest.param(SMALL, 20261124, id="small"),
        pytest.param(SOAK, 20261124, id="soak", marks=(pytest.mark.soak, pytest.mark.timeout(3600))),
    ],
)
def test_kills_lose_nothing_repeat_nothing_and_are_told(home, run_envoi, form, seed):
    seed = int(os.environ.get("ENVOI_TEST_SEED", seed))
    with instance(home, run_envoi, form) as found:
        found.stage("calm")
        wait_until(lambda: not found.unfinished("calm"), form.limit)
        found.stage("storm")
        hits, server_hits = storm(found, random.Random(seed))

        slowest = max(taken_over_after(found, hits))
        # For the closing note of a soak; shown with -s, or when the test fails.
        sys.stdout.write(f"seed {seed}, {len(hits)} hits, {server_hits} servers, slowest {slowest:.1f} s\n")
        assert (len(hits), server_hits) == (form.hits, form.server_kills)
        assert_once_each(found)
        assert_populations_equal(found)
        assert_journal_is_true(found, hits)
        if form.taken_over_within is not None:
            assert slowest <= form.taken_over_within


@pytest.mark.chaos
def test_a_worker_that_stands_still_is_fenced_off_and_comes_back(home, run_envoi):
    """It is the one that holds the timer; when it wakes up, what it held is somebody else's."""
    form = replace(SMALL, workflows=6, workers=2)
    with instance(home, run_envoi, form) as found:
        found.stage("calm")
        wait_until(lambda: not found.unfinished("calm"), form.limit)
        found.pace(form.pace)
        found.stage("storm")
        wait_until(lambda: found.leader() in found.busy(), form.limit)
        pid = found.leader()
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: _state(pid) == "T", 5)
        time.sleep(0.05)
        held = found.busy()[pid]
        wait_until(lambda: len(taken_over(found)) == len(held["tasks"]), form.limit)
        found.pace(FAST)
        wait_until(lambda: not found.unfinished("storm"), form.limit)
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: found.worker(pid)["state"] == 0, 30)
        beat = found.worker(pid)["beat"]
        wait_until(lambda: found.worker(pid)["beat"] > beat + 2, 30)
        assert_once_each(found)
        assert_populations_equal(found)
        assert_journal_is_true(found, [Hit(0, held["worker_id"], held["name"], frozenset(held["tasks"]))])


def assert_once_each(found: Instance) -> None:
    """No effect twice, none lost; each activity has one task, and it is completed."""
    done = found.ask(
        """SELECT number, step, count(*) FROM chaos_effect WHERE "set" = 'storm' GROUP BY 1, 2"""
    )
    assert {(row["number"], row["step"]): row["count"] for row in done} == {
        (number, step): 1 for number in range(found.form.workflows) for step in STEPS
    }
    (calm, stormy) = found.ask("""SELECT done, people FROM chaos_total ORDER BY "set" """)
    assert stormy == calm
    assert stormy["done"] == found.form.workflows * len(STEPS)
    tasks = found.ask(
        """SELECT w.internal_name, array_agg(t.activity ORDER BY t.activity) AS activities,
             max(t.status) AS most, min(t.status) AS least, bool_or(w.failed) AS failed
           FROM xtk_workflow_task t JOIN xtk_workflow w USING (workflow_id)
           WHERE w.internal_name LIKE 'storm%%' GROUP BY 1"""
    )
    assert len(tasks) == found.form.workflows
    assert [t for t in tasks if (t["most"], t["least"], t["failed"]) != (1, 1, False)] == []
    assert [t["internal_name"] for t in tasks if t["activities"] != ACTIVITIES] == []


def assert_populations_equal(found: Instance) -> None:
    different = found.ask(
        """WITH p AS (SELECT "set", number, step, id, value, count(*) FROM chaos_population
             GROUP BY 1, 2, 3, 4, 5)
           SELECT s.*, c.* FROM (SELECT * FROM p WHERE "set" = 'storm') s
           FULL JOIN (SELECT * FROM p WHERE "set" = 'calm') c USING (number, step, id, value, count)
           WHERE s."set" IS NULL OR c."set" IS NULL LIMIT 10"""
    )
    assert different == []
    assert found.ask("SELECT count(*) FROM chaos_population WHERE step = 'c2'")[0]["count"] > 0


def lines(found: Instance, message: str) -> list[dict[str, Any]]:
    """Return the lines that begin so, of the set that was disturbed."""
    return found.ask(
        """SELECT w.internal_name, l.task_id, l.params, extract(epoch FROM l.at)::float8 AS at
           FROM xtk_workflow_log l JOIN xtk_workflow w USING (workflow_id)
           WHERE w.internal_name LIKE 'storm%%' AND starts_with(l.message, %(message)s) ORDER BY l.log_id""",
        message=message,
    )


def taken_over(found: Instance) -> list[dict[str, Any]]:
    return lines(found, "Worker %(worker)s has died; task")


def assert_journal_is_true(found: Instance, hits: list[Hit]) -> None:
    """One start, one end, one completion of each task; a take-over for each task that was hit, no more."""
    names = sorted(f"storm{number}" for number in range(found.form.workflows))
    for message in ("Starting workflow", "Workflow finished"):
        assert sorted(line["internal_name"] for line in lines(found, message)) == names
    completed = [
        line["params"]["task"] for line in lines(found, "Task %(task)s (activity '%(activity)s') completed")
    ]
    tasks = found.ask(
        """SELECT task_id FROM xtk_workflow_task t JOIN xtk_workflow w USING (workflow_id)
           WHERE w.internal_name LIKE 'storm%%'"""
    )
    assert sorted(completed) == sorted(row["task_id"] for row in tasks)
    told = sorted((line["params"]["worker"], line["task_id"], line["at"]) for line in taken_over(found))
    wanted = sorted((hit.name, task) for hit in hits for task in hit.tasks)
    untrue = [line for line in told if line[:2] not in wanted]
    assert [line[:2] for line in told] == wanted, f"{untrue}, hits {hits}, servers {found.server_kills}"


def taken_over_after(found: Instance, hits: list[Hit]) -> list[float]:
    """Return the seconds from each kill to the take-over of each task."""
    at = {(line["params"]["worker"], line["task_id"]): line["at"] for line in taken_over(found)}
    return [at.get((hit.name, task), float("inf")) - hit.at for hit in hits for task in hit.tasks]
