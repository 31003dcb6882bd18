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

import pytest
from django.db import connection

from envoi.engine import commands, sql
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import LogLine, State, Task, TaskState, Workflow
from envoi.engine.testing import lines, make_workflow
from envoi.engine.tests.diagrams import end, start, way
from envoi.kernel.testing import admin_actor

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


def wait_until(done, seconds: float = 80.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come to its end"
        time.sleep(0.05)


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


@pytest.mark.case("E47")
@pytest.mark.chaos
def test_killed_workers_lose_nothing_and_repeat_nothing(committed_db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE effects (workflow bigint, step text, sum integer DEFAULT 0)")
    chance = random.Random(20261124)
    made = [make_workflow(ten_activities()) for _ in range(26)]
    for workflow in made:
        commands.post(admin_actor(), workflow.internal_name, Command.START)
    hits = 0
    with workers(committed_db, 2, "--threads", "3") as alive:
        deadline = time.monotonic() + 85
        while Workflow.objects.filter(pk__in=[w.pk for w in made]).exclude(state=State.FINISHED).exists():
            assert time.monotonic() < deadline, "they did not come to their end"
            time.sleep(chance.uniform(0.05, 0.4))
            living = {process.pid for process in alive if process.poll() is None}
            busy = sql.rows(
                """SELECT w.pid, bool_or(t.status = 2) AS busy FROM xtk_worker w
                   LEFT JOIN xtk_workflow_task t USING (worker_id) WHERE w.beat > 0 AND w.pid = ANY(%(pids)s)
                   GROUP BY w.pid ORDER BY w.pid""",
                {"pids": sorted(living)},
            )
            victims = [row["pid"] for row in busy if row["busy"]]
            if hits < 10 and victims and len(busy) > 1:
                os.kill(chance.choice(victims), signal.SIGKILL)
                alive.append(worker(committed_db, "--threads", "3"))
            hits = LogLine.objects.filter(message=TAKEN_OVER).count()
    assert hits >= 10
    done = sql.rows(
        "SELECT workflow, step, count(*) AS rows, sum(sum) AS sum FROM effects GROUP BY workflow, step"
    )
    assert {(row["rows"], row["sum"]) for row in done} == {(1, 1)}
    assert len(done) == len(made) * 7
    for workflow in made:
        per_activity = [
            task.activity for task in Task.objects.filter(workflow=workflow, status=TaskState.COMPLETED)
        ]
        assert sorted(per_activity) == sorted(activity.name for activity in ten_activities())
        assert lines(workflow)[-1] == "Workflow finished"


@pytest.mark.case("E48")
def test_a_restarted_worker_goes_on_with_what_ran_and_what_waits(committed_db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE effects (workflow bigint, step text, sum integer DEFAULT 0)")
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
