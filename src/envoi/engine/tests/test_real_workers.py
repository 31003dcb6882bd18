"""Workers as processes of their own: restarted, bound to some workflows, told to stop."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from envoi.engine import commands
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import LogLine, State, Task, TaskState, Workflow
from envoi.engine.testing import make_workflow
from envoi.engine.tests.diagrams import end, start, way
from envoi.kernel.testing import admin_actor, wait_until

TAKEN_OVER = "Worker %(worker)s has died; task %(task)s (activity '%(activity)s') is run again"


@contextmanager
def worker(database, *arguments: str) -> Iterator[subprocess.Popen]:
    """A real worker; whatever lives at the end is ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "envoi.cli", "worker", *arguments],
        env=os.environ | database.env,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def effect(name, to):
    """An activity that leaves one row for each time that it was done, slowly."""
    script = (
        f"INSERT INTO effects VALUES (<%= instance.id %>, '{name}'); SELECT pg_sleep(0.12);"
        f"UPDATE effects SET sum = sum + 1 WHERE workflow = <%= instance.id %> AND step = '{name}'"
    )
    return Activity("sql", name, parameters={"script": script}, transitions=(way("done", to, kind="done"),))


@pytest.mark.case("E48")
def test_a_restarted_worker_goes_on_with_what_ran_and_what_waits(committed_db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE effects (workflow bigint, step text, sum integer DEFAULT 0)")
    wait = Activity("wait", "wait", parameters={"duration_s": 2}, transitions=(way("transition", "end"),))
    waiting = make_workflow((start(to="wait"), wait, end()))
    busy = make_workflow(
        (start(to="one"), effect("one", "two"), effect("two", "three"), effect("three", "end"), end())
    )
    with worker(committed_db) as found:
        for workflow in (waiting, busy):
            commands.post(admin_actor(), workflow.internal_name, Command.START)
        wait_until(
            lambda: Task.objects.filter(workflow=busy, activity="one", started_at__isnull=False).exists()
        )
        found.terminate()
        assert found.wait(30) == 0
    assert not Task.objects.filter(status=TaskState.RUNNING).exists()
    assert not LogLine.objects.filter(message=TAKEN_OVER).exists()
    with worker(committed_db):
        wait_until(lambda: Workflow.objects.filter(state=State.FINISHED).count() == 2)
    assert Task.objects.filter(workflow=busy).exclude(status=TaskState.COMPLETED).count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT step, sum FROM effects ORDER BY step")
        assert cursor.fetchall() == [("one", 1), ("three", 1), ("two", 1)]


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
    with worker(committed_db, "--affinity", "A"):
        wait_until(lambda: state(for_a) == State.FINISHED)
        time.sleep(0.5)
        assert state(free) == State.STARTING
    second = one("A")
    with worker(committed_db, "--affinity", "A,"):
        wait_until(lambda: state(free) == State.FINISHED and state(second) == State.FINISHED)
        assert state(for_z) == State.STARTING


def test_a_stop_reaches_an_activity_between_its_statements(committed_db):
    """The first cancel is lost, since it comes while a script is computing; the worker repeats it."""
    script = "SELECT <% const until = Date.now() + 700; while (Date.now() < until); %> pg_sleep(60)"
    sleep = Activity(
        "sql", "sleep", parameters={"script": script}, transitions=(way("done", "end", kind="done"),)
    )
    workflow = make_workflow((start(to="sleep"), sleep, end()))
    with worker(committed_db):
        commands.post(admin_actor(), workflow.internal_name, Command.START)
        running = Task.objects.filter(workflow=workflow, activity="sleep", status=TaskState.RUNNING)
        wait_until(running.exists)
        commands.post(admin_actor(), workflow.internal_name, Command.STOP)
        wait_until(lambda: Workflow.objects.get(pk=workflow.pk).state == State.FINISHED, 20)
    assert Task.objects.get(workflow=workflow, activity="sleep").status == TaskState.ABORTED
