"""Workers are killed in the middle of their work; nothing is lost and nothing happens twice
(targets: faults).
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from envoi.engine import commands, sql
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import LogLine, State, Task, TaskState, Workflow
from envoi.engine.testing import lines, make_workflow
from envoi.engine.tests.diagrams import end, start, way
from envoi.kernel.testing import admin_actor, wait_until
from envoi.postgres import server
from envoi.postgres.place import recorded_place

SHORT = {"ENVOI_CHAOS_BEAT_S": "0.2", "ENVOI_CHAOS_DEAD_AFTER_S": "1.2"}
TAKEN_OVER = "Worker %(worker)s has died; task %(task)s (activity '%(activity)s') is run again"


@contextmanager
def workers(database, count: int, *arguments: str) -> Iterator[list[subprocess.Popen]]:
    """Real workers; whatever lives at the end is ended."""
    found: list[subprocess.Popen] = []
    try:
        found += [worker(database, *arguments) for _ in range(count)]
        yield found
    finally:
        for process in found:
            process.terminate()
        for process in found:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def worker(database, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "envoi.cli", "worker", *arguments],
        env=os.environ | database.env | SHORT,
        stderr=subprocess.DEVNULL,
    )


def effect(name, to):
    """An activity that leaves one row for each time that it was done, slowly."""
    script = (
        f"INSERT INTO effects VALUES (<%= instance.id %>, '{name}'); SELECT pg_sleep(0.12);"
        f"UPDATE effects SET sum = sum + 1 WHERE workflow = <%= instance.id %> AND step = '{name}'"
    )
    return Activity("sql", name, parameters={"script": script}, transitions=(way("done", to, kind="done"),))


def ten_activities():
    """Start, two branches of three that join, two more, end."""
    return (
        Activity("fork", "split", transitions=(way("a", "a1"), way("b", "b1"))),
        effect("a1", "a2"),
        effect("a2", "a3"),
        effect("a3", "join"),
        effect("b1", "b2"),
        effect("b2", "join"),
        Activity("andjoin", "join", transitions=(way("transition", "c1"),)),
        effect("c1", "c2"),
        effect("c2", "end"),
        end(),
    )


def make_effects():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE effects (workflow bigint, step text, sum integer DEFAULT 0)")


def start_many(count):
    """Make and start that many workflows."""
    made = [make_workflow(ten_activities()) for _ in range(count)]
    for workflow in made:
        commands.post(admin_actor(), workflow.internal_name, Command.START)
    return made


@pytest.mark.case("E47")
@pytest.mark.chaos
@pytest.mark.parametrize(
    ("count", "wanted", "seconds"),
    [(26, 10, 85), pytest.param(200, 100, 1500, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)
def test_killed_workers_lose_nothing_and_repeat_nothing(committed_db, count, wanted, seconds):
    make_effects()
    chance = random.Random(20261124)
    made = start_many(count)
    hits = 0
    with workers(committed_db, 2, "--threads", "3") as alive:
        deadline = time.monotonic() + seconds
        while Workflow.objects.filter(pk__in=[w.pk for w in made]).exclude(state=State.FINISHED).exists():
            assert time.monotonic() < deadline, "they did not come to their end"
            time.sleep(chance.uniform(0.05, 0.4))
            if hits < wanted:
                kill_one_at_work(committed_db, alive, chance)
            hits = LogLine.objects.filter(message=TAKEN_OVER).count()
            if hits < wanted and Workflow.objects.filter(state=State.STARTED).count() < 5:
                made += start_many(5)
    assert hits >= wanted
    check_effects(made)


def kill_one_at_work(database, alive, chance):
    """Kill a worker that is running an activity, when another one lives to take over; start a new one."""
    living = {process.pid for process in alive if process.poll() is None}
    busy = sql.rows(
        """SELECT w.pid, bool_or(t.status = 2) AS busy FROM xtk_worker w
           LEFT JOIN xtk_workflow_task t USING (worker_id) WHERE w.beat > 0 AND w.pid = ANY(%(pids)s)
           GROUP BY w.pid ORDER BY w.pid""",
        {"pids": sorted(living)},
    )
    victims = [row["pid"] for row in busy if row["busy"]]
    if victims and len(busy) > 1:
        os.kill(chance.choice(victims), signal.SIGKILL)
        alive.append(worker(database, "--threads", "3"))


def check_effects(made):
    """Every activity was done once, each effect is there once, the journal of each ends as it should."""
    done = sql.rows(
        "SELECT workflow, step, count(*) AS rows, sum(sum) AS sum FROM effects GROUP BY workflow, step"
    )
    assert {(row["rows"], row["sum"]) for row in done} == {(1, 1)}
    assert len(done) == len(made) * 7
    for workflow in made:
        completed = Task.objects.filter(workflow=workflow, status=TaskState.COMPLETED)
        names = sorted(task.activity for task in completed)
        assert names == sorted(activity.name for activity in ten_activities())
        assert lines(workflow)[-1] == "Workflow finished"


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("count", "kills", "seconds"),
    [(40, 1, 85), pytest.param(200, 5, 900, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])],
)
def test_a_killed_database_loses_nothing_and_repeats_nothing(home, run_envoi, count, kills, seconds):
    """An instance with a server of its own, which is killed; the keeper starts it again."""
    run_envoi("init", home=home, code=0)
    lease = server.acquire(home)
    env = {"ENVOI_HOME": str(home), "DATABASE_URL": ""}
    script = f"""
from envoi.app import boot; boot.setup()
from envoi.engine.tests import test_chaos as chaos
chaos.make_effects(); chaos.start_many({count})
"""
    plain = {name: value for name, value in (os.environ | env).items() if value}
    subprocess.run([sys.executable, "-c", script], env=plain, check=True, timeout=120)
    found = [
        subprocess.Popen(
            [sys.executable, "-m", "envoi.cli", "worker"], env=plain | SHORT, stderr=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    deadline = time.monotonic() + seconds
    try:
        while (left := ask(lease, "SELECT count(*) FROM xtk_workflow WHERE state IN (10, 11)")) != 0:
            assert time.monotonic() < deadline, f"{left} did not come to their end"
            at_work = ask(lease, "SELECT count(*) FROM xtk_workflow_task WHERE status = 2")
            if kills and at_work:
                os.kill(postmaster(home), signal.SIGKILL)
                kills -= 1
                time.sleep(2)
            time.sleep(0.1)
        assert kills == 0
        assert ask(lease, "SELECT count(*) FROM xtk_workflow WHERE failed") == 0
        assert ask(lease, "SELECT count(*) FROM effects") == count * 7
        once = "SELECT count(*) FROM effects WHERE sum = 1"
        assert (
            ask(lease, once)
            == ask(lease, "SELECT count(DISTINCT (workflow, step)) FROM effects")
            == count * 7
        )
    finally:
        for process in found:
            process.terminate()
        for process in found:
            process.wait(30)
        lease.close()


def ask(lease, query):
    """Return the one value of a query; None while the server is away."""
    try:
        with psycopg.connect(lease.dsn(), connect_timeout=2) as direct:
            return direct.execute(query).fetchone()[0]
    except psycopg.OperationalError:
        return None


def postmaster(home):
    """Return the process number of an instance's server."""
    place = recorded_place(home)
    file = next(place.root.glob("*/postmaster.pid"))
    return int(file.read_text().splitlines()[0])


@pytest.mark.case("E48")
def test_a_restarted_worker_goes_on_with_what_ran_and_what_waits(committed_db):
    make_effects()
    wait = Activity("wait", "wait", parameters={"duration_s": 2}, transitions=(way("transition", "end"),))
    waiting = make_workflow((start(to="wait"), wait, end()))
    busy = make_workflow(ten_activities())
    with workers(committed_db, 1) as found:
        for workflow in (waiting, busy):
            commands.post(admin_actor(), workflow.internal_name, Command.START)
        wait_until(
            lambda: Task.objects.filter(workflow=busy, activity="a1", started_at__isnull=False).exists()
        )
        found[0].terminate()
        assert found[0].wait(30) == 0
    assert not Task.objects.filter(status=TaskState.RUNNING).exists()
    assert not LogLine.objects.filter(message=TAKEN_OVER).exists()
    with workers(committed_db, 1):
        wait_until(lambda: Workflow.objects.filter(state=State.FINISHED).count() == 2)
    assert Task.objects.filter(workflow=busy).exclude(status=TaskState.COMPLETED).count() == 0


@pytest.mark.case("E36")
def test_affinities_and_the_trailing_comma(committed_db):
    def one(affinity):
        workflow = make_workflow((start(to="end"), end()), affinity=affinity)
        commands.post(admin_actor(), workflow.internal_name, Command.START)
        return workflow

    def state(workflow):
        workflow.refresh_from_db()
        return workflow.state

    free, for_a, for_z = one(""), one("A"), one("Z")
    with workers(committed_db, 1, "--affinity", "A"):
        wait_until(lambda: state(for_a) == State.FINISHED)
        time.sleep(0.5)
        assert state(free) == State.STARTING
    second = one("A")
    with workers(committed_db, 1, "--affinity", "A,"):
        wait_until(lambda: state(free) == State.FINISHED and state(second) == State.FINISHED)
        assert state(for_z) == State.STARTING


def test_a_stop_reaches_an_activity_between_its_statements(committed_db):
    """The first cancel is lost, since it comes while a script is computing; the worker repeats it."""
    script = "SELECT <% const until = Date.now() + 700; while (Date.now() < until); %> pg_sleep(60)"
    sleep = Activity(
        "sql", "sleep", parameters={"script": script}, transitions=(way("done", "end", kind="done"),)
    )
    workflow = make_workflow((start(to="sleep"), sleep, end()))
    with workers(committed_db, 1):
        commands.post(admin_actor(), workflow.internal_name, Command.START)
        running = Task.objects.filter(workflow=workflow, activity="sleep", status=TaskState.RUNNING)
        wait_until(running.exists)
        commands.post(admin_actor(), workflow.internal_name, Command.STOP)
        wait_until(lambda: Workflow.objects.get(pk=workflow.pk).state == State.FINISHED, 20)
    assert Task.objects.get(workflow=workflow, activity="sleep").status == TaskState.ABORTED


@pytest.mark.chaos
def test_a_worker_that_hangs_is_fenced_off_and_comes_back(committed_db):
    """A stopped process keeps its sessions; the take-over ends them, and what it wakes up to is no
    longer its own.
    """
    make_effects()
    made = start_many(4)
    running = Task.objects.filter(status=TaskState.RUNNING, activity__in=("a1", "a2", "b1"))
    with workers(committed_db, 1) as found:
        wait_until(running.exists)
        os.kill(found[0].pid, signal.SIGSTOP)
        found.append(worker(committed_db))
        wait_until(
            lambda: Workflow.objects.filter(pk__in=[w.pk for w in made], state=State.FINISHED).count() == 4,
            60,
        )
        os.kill(found[0].pid, signal.SIGCONT)
    check_effects(made)
