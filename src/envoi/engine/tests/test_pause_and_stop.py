"""Pausing, stopping, restarting and killing what runs (engine.md §3): needs real threads and commits."""

import time

import pytest

from envoi.engine import commands, sql, supervision, testing
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import State, Task, TaskState, Worker
from envoi.engine.testing import chain, in_thread, lines, make_workflow, run_one, run_until_passive, tasks
from envoi.engine.tests.diagrams import call, end, js, start, way
from envoi.engine.worker import Beat
from envoi.kernel import clock
from envoi.kernel.errors import Conflict, NotAllowed
from envoi.kernel.models import AuditEntry
from envoi.kernel.testing import admin_actor, make_actor


@pytest.fixture
def gate(monkeypatch):
    fresh = testing.Gate()
    monkeypatch.setattr(testing, "gate", fresh)
    return fresh


def post(workflow, command, actor=None, **parameters):
    commands.post(actor or admin_actor(), workflow.internal_name, command, **parameters)


def started_up_to(workflow, activity):
    """Start it and run until a task of `activity` is due; returns that task's number."""
    post(workflow, Command.START)
    return started_task(workflow, activity)


def started_task(workflow, activity):
    """Run until a task of `activity` is due; returns that task's number."""
    while True:
        task = Task.objects.filter(workflow=workflow, activity=activity, status=TaskState.PENDING).last()
        if task is not None and task.queued:
            return task.task_id
        assert run_one()


def state_of(workflow):
    workflow.refresh_from_db()
    return workflow.state


def wait_for(gate):
    assert gate.reached.wait(10)


@pytest.mark.case("E11")
def test_a_pause_lets_the_running_activity_end_and_starts_no_other(committed_db, gate):
    workflow = make_workflow(chain(start(), call(function="passes_the_gate"), call("next"), end()))
    task = started_up_to(workflow, "work")
    with in_thread(task):
        wait_for(gate)
        post(workflow, Command.PAUSE)
        run_until_passive()
        assert state_of(workflow) == State.PAUSING
    assert state_of(workflow) == State.PAUSED
    run_until_passive()
    assert tasks(workflow) == [("start", "completed"), ("work", "completed"), ("next", "pending")]
    post(workflow, Command.START)
    run_until_passive()
    assert state_of(workflow) == State.FINISHED
    assert [activity for activity, _ in tasks(workflow)] == ["start", "work", "next", "end"]


@pytest.mark.case("E12")
def test_a_stop_cancels_sql_and_drops_what_waits(committed_db):
    approval = Activity(
        "validation",
        "ask",
        parameters={"assignee": {"operator": "admin"}},
        transitions=(way("yes", "end", kind="answer"),),
    )
    sleep = Activity(
        "sql",
        "sleep",
        parameters={"script": "SELECT pg_sleep(60)"},
        transitions=(way("done", "end", kind="done"),),
    )
    workflow = make_workflow(
        (start("one", "ask"), start("two", "sleep"), approval, sleep, end()),
    )
    task = started_up_to(workflow, "sleep")
    while Task.objects.filter(workflow=workflow, activity="ask", started_at=None).exists():
        ask = Task.objects.get(workflow=workflow, activity="ask")
        testing.runner.run_task(ask.task_id)
    with in_thread(task):
        while not sql.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            time.sleep(0.01)
        post(workflow, Command.STOP)
        assert state_of(workflow) == State.STOPPING
        commands.apply_queued(workflow.pk)
    assert state_of(workflow) == State.FINISHED
    assert not workflow.failed
    assert dict(tasks(workflow)) == {
        "one": "completed",
        "two": "completed",
        "ask": "aborted",
        "sleep": "aborted",
    }
    said = "\n".join(lines(workflow))
    assert "(activity 'ask') aborted" in said
    assert "(activity 'sleep') aborted" in said


@pytest.mark.case("E13")
def test_a_restart_while_stopping_keeps_the_variables_and_a_new_start_does_not(committed_db, gate):
    workflow = make_workflow(
        chain(
            start(),
            js("set", "if (instance.vars.x === undefined && !vars.seen) instance.vars.x = 1"),
            call(function="passes_the_gate"),
            end(),
        )
    )
    task = started_up_to(workflow, "work")
    with in_thread(task):
        wait_for(gate)
        post(workflow, Command.STOP)
        run_until_passive()
        assert state_of(workflow) == State.STOPPING2
        post(workflow, Command.RESTART)
        run_until_passive()
        assert state_of(workflow) == State.RESTARTING2
    assert state_of(workflow) == State.STARTED
    assert workflow.run_number == 2
    assert workflow.variables == {"x": 1}
    post(workflow, Command.STOP)
    commands.apply_queued(workflow.pk)
    assert state_of(workflow) == State.FINISHED
    post(workflow, Command.START)
    commands.apply_queued(workflow.pk)
    assert state_of(workflow) == State.STARTED
    assert workflow.variables == {}


@pytest.mark.case("E14")
def test_only_an_administrator_stops_unconditionally(committed_db):
    workflow = make_workflow(chain(start(), end()), affinity="nowhere")
    post(workflow, Command.START)
    run_until_passive()
    assert state_of(workflow) == State.STARTING
    operator = make_actor("ina", rights=("WORKFLOW",))
    with pytest.raises(NotAllowed, match="ADMINISTRATION"):
        post(workflow, Command.KILL, operator)
    post(workflow, Command.STOP)
    run_until_passive()
    assert state_of(workflow) == State.STOPPING
    post(workflow, Command.KILL)
    assert state_of(workflow) == State.FINISHED
    with pytest.raises(Conflict):
        post(workflow, Command.KILL)
    assert AuditEntry.objects.filter(entity_id=workflow.pk, action="Unconditional Stop").count() == 1


def test_a_killed_activity_writes_nothing_any_more(committed_db, gate):
    workflow = make_workflow(chain(start(), call(function="passes_the_gate"), call("next"), end()))
    task = started_up_to(workflow, "work")
    with in_thread(task):
        wait_for(gate)
        post(workflow, Command.KILL)
        assert state_of(workflow) == State.FINISHED
    run_until_passive()
    assert tasks(workflow) == [("start", "completed"), ("work", "aborted")]


LOOP = "logInfo('in'); for (;;);"


@pytest.mark.parametrize("command", [Command.STOP, Command.KILL])
def test_a_stop_ends_a_script_that_computes(committed_db, command):
    workflow = make_workflow(chain(start(), js("loop", LOOP), end()))
    me = Worker.objects.create(name="me", host="here", pid=1, threads=1, started_at=clock.now())
    task = started_up_to(workflow, "loop")
    beat = Beat(me.worker_id)
    beat.start()
    try:
        with in_thread(task, worker_id=me.worker_id) as thread:
            while not testing.runner.running or not testing.runner.running[task].callbacks:
                time.sleep(0.01)
            post(workflow, command)
            if command is Command.STOP:
                commands.apply_queued(workflow.pk)
            thread.join(20)
            assert not thread.is_alive()
    finally:
        beat.stop()
    assert state_of(workflow) == State.FINISHED
    assert not workflow.failed
    assert tasks(workflow) == [("start", "completed"), ("loop", "aborted")]


def test_what_an_expired_lease_still_computes_is_ended(committed_db):
    workflow = make_workflow(chain(start(), js("loop", LOOP), end()))
    me = Worker.objects.create(name="me", host="here", pid=1, threads=1, started_at=clock.now())
    task = started_up_to(workflow, "loop")
    with in_thread(task, worker_id=me.worker_id) as thread:
        while not testing.runner.running or not testing.runner.running[task].callbacks:
            time.sleep(0.01)
        beat = Beat(me.worker_id)
        beat.look()
        assert not testing.runner.running[task].requested
        Task.objects.filter(pk=task).update(status=TaskState.PENDING, lease_token=None, worker_id=None)
        beat.look()
        thread.join(20)
        assert not thread.is_alive()
    assert tasks(workflow)[-1] == ("loop", "pending")


def works_in_steps(*, actor, ctx):
    """Say something, wait for the gate, and fail if the workflow says so."""
    ctx.info("step one")
    testing.passes_the_gate(actor=actor)
    ctx.info("step two")
    if ctx.instance_variables.get("bad"):
        raise RuntimeError("too bad")


@pytest.mark.parametrize("bad", [False, True])
def test_lines_of_a_long_activity_are_shown_while_it_works_and_stay(committed_db, gate, monkeypatch, bad):
    monkeypatch.setattr(testing, "nothing", works_in_steps)
    workflow = make_workflow(chain(start(), call(), end()))
    me = Worker.objects.create(name="me", host="here", pid=1, threads=1, started_at=clock.now())
    commands.post(admin_actor(), workflow.internal_name, Command.START, variables={"bad": bad})
    task = started_task(workflow, "work")
    with in_thread(task, worker_id=me.worker_id):
        wait_for(gate)
        before = supervision.version(admin_actor(), workflow.internal_name)
        beat = Beat(me.worker_id)
        beat.look()
        beat.look()
        assert lines(workflow)[-1] == "step one"
        assert supervision.version(admin_actor(), workflow.internal_name) > before
    run_until_passive()
    assert state_of(workflow) == (State.PAUSED if bad else State.FINISHED)
    said = lines(workflow)
    assert [said.count(text) for text in ("step one", "step two", "too bad")] == [1, 1, int(bad)]
    assert said.index("step one") < said.index("step two")
