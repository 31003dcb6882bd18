"""Work tables: when they go (engine.md §5.7, A20), and what that means for a restart from a task."""

from datetime import timedelta

import pytest

from envoi.engine import commands, testing, worktable
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import Event, State, WorkTable
from envoi.engine.testing import chain, lines, make_workflow, run_to, run_until_passive, tasks
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import EVERY_HOUR, call, end, js, scheduler, start, way
from envoi.kernel import clock as kernel_clock
from envoi.kernel.errors import Conflict
from envoi.kernel.testing import admin_actor


def exists(table):
    from django.db import connection

    return table in connection.introspection.table_names()


def makes_a_table(*, actor, ctx):
    """Fire with a table of its own, as an activity on populations does."""
    column = worktable.Column("id", "bigint")
    return {"tableName": worktable.create(ctx.workflow_id, ctx.run_number, [column], "id")}


@pytest.fixture(autouse=True)
def _tables(monkeypatch):
    monkeypatch.setattr(testing, "nothing", makes_a_table)


def table_of(workflow, source):
    return Event.objects.filter(workflow=workflow, source=source).last().variables["tableName"]


def wait_an_hour(name="later"):
    return Activity("wait", name, parameters={"duration_s": 3600})


@pytest.mark.case("E33")
def test_a_table_is_there_as_long_as_somebody_waits_for_it(db, clock):
    workflow = begin(make_workflow(chain(start(), call("one"), call("two"), wait_an_hour(), end())))
    assert workflow.state == State.STARTED
    assert not exists(table_of(workflow, "one"))
    assert exists(table_of(workflow, "two"))
    run_to(kernel_clock.now() + timedelta(hours=2), clock)
    assert not WorkTable.objects.exists()
    assert not exists(table_of(workflow, "two"))


def test_the_other_branch_and_the_instance_keep_theirs(db, clock):
    workflow = make_workflow(
        (
            start("s", "one"),
            call("one", transitions=(way("done", "fork", kind="done"),)),
            Activity("fork", "fork", transitions=(way("a", "two"), way("b", "later"))),
            call("two", transitions=(way("done", "note", kind="done"),)),
            js("note", "instance.vars.kept = vars.tableName", transitions=(way("done", "end", kind="done"),)),
            Activity(
                "wait", "later", parameters={"duration_s": 3600}, transitions=(way("transition", "end"),)
            ),
            end(),
        )
    )
    begin(workflow)
    assert exists(table_of(workflow, "one"))
    assert exists(table_of(workflow, "two"))


def test_a_paused_workflow_keeps_its_tables_and_an_activity_in_error_its_own(db, clock):
    broken = js("broken", "if (!instance.vars.mended) nonsense()")
    workflow = begin(make_workflow(chain(start(), call("one"), broken, end())))
    assert (workflow.state, workflow.failed) == (State.PAUSED, True)
    assert exists(table_of(workflow, "one"))
    workflow.variables = {"mended": True}
    workflow.save(update_fields=["variables"])
    commands.post(admin_actor(), workflow.internal_name, Command.START)
    run_until_passive()
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED
    assert not WorkTable.objects.exists()


def test_of_many_rounds_the_results_of_the_last_are_kept_if_they_are_kept(db, clock):
    for kept, left in ((False, 0), (True, 1)):
        workflow = make_workflow(chain(scheduler(EVERY_HOUR), call("one"), end()), keep_results=kept)
        begin(workflow)
        run_to(kernel_clock.now() + timedelta(hours=3), clock)
        assert Event.objects.filter(workflow=workflow, source="one").count() == 3
        found = list(WorkTable.objects.filter(workflow=workflow))
        assert len(found) == left
        assert all(table.name == table_of(workflow, "one") for table in found)


def test_a_restart_from_a_task_needs_its_table_and_says_so(db, clock):
    for kept in (True, False):
        workflow = begin(make_workflow(chain(start(), call("one"), js("two", "1"), end()), keep_results=kept))
        if kept:
            commands.post(admin_actor(), workflow.internal_name, Command.RESTART_TASK, activity="two")
            run_until_passive()
            workflow.refresh_from_db()
            assert workflow.state == State.FINISHED
            assert [name for name, _ in tasks(workflow)] == ["start", "one", "two", "end", "end"]
            assert exists(table_of(workflow, "one"))
            continue
        with pytest.raises(Conflict, match=table_of(workflow, "one")):
            commands.post(admin_actor(), workflow.internal_name, Command.RESTART_TASK, activity="two")
        workflow.refresh_from_db()
        assert workflow.state == State.FINISHED
        commands.post(admin_actor(), workflow.internal_name, Command.RESTART_TASK, activity="one")
        run_until_passive()
        assert not any("dropped" in line for line in lines(workflow))
        assert not WorkTable.objects.filter(workflow=workflow).exists()
