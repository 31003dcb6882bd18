"""Starting, scheduling, pausing, stopping: the life of a workflow on the in-process runner."""

from datetime import UTC, datetime

import pytest

from envoi.engine import commands
from envoi.engine.commands import Command
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State, Task, WorkTable
from envoi.engine.testing import chain, lines, make_workflow, run_to, run_until_passive, start, tasks
from envoi.kernel.errors import Conflict
from envoi.kernel.models import AuditEntry
from envoi.kernel.testing import admin_actor

DAILY_0400 = {"frequency": "daily", "at": "04:00"}


def scheduler(schedule=DAILY_0400, name="schedule", **settings):
    return Activity("schedule", name, parameters={"schedule": schedule}, **settings)


def call(name="work", function="nothing", **settings):
    return Activity("call", name, parameters={"function": f"envoi.engine.testing:{function}"}, **settings)


@pytest.mark.case("E1")
def test_a_start_activates_what_has_no_inbound_but_never_a_jump(db, clock):
    workflow = make_workflow(
        (
            Activity("start", "start", transitions=(Transition("transition", "end"),)),
            scheduler(),
            Activity("jumpout", "entry", transitions=(Transition("transition", "end"),)),
            Activity("end", "end"),
        )
    )
    start(workflow)
    assert {activity for activity, _ in tasks(workflow)} == {"start", "schedule", "end"}


@pytest.mark.case("E2")
def test_a_start_is_only_asked_until_a_worker_comes(db, clock):
    workflow = make_workflow(chain(Activity("start", "start"), Activity("end", "end")))
    commands.post(admin_actor(), workflow.internal_name, Command.START)
    workflow.refresh_from_db()
    assert workflow.state == State.STARTING
    assert tasks(workflow) == []
    run_until_passive()
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED


@pytest.mark.case("E3")
def test_it_finishes_when_nothing_is_left(db, clock):
    workflow = start(make_workflow(chain(Activity("start", "start"), Activity("end", "end"))))
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    said = lines(workflow)
    assert said[0] == "Starting workflow (operator 'admin')"
    assert said[-1] == "Workflow finished"
    assert not WorkTable.objects.filter(workflow=workflow).exists()
    assert tasks(workflow) == [("start", "completed"), ("end", "completed")]


@pytest.mark.case("E4")
def test_a_scheduler_keeps_it_started_in_the_zone_of_the_activity(db, clock):
    clock.move_to(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    workflow = start(make_workflow((*chain(scheduler(timezone="Europe/Paris"), Activity("end", "end")),)))
    assert workflow.state == State.STARTED
    task = Task.objects.get(workflow=workflow)
    assert task.due_at == datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
    assert (task.status, task.queued, task.lease_token) == (0, False, None)


@pytest.mark.case("E8")
def test_a_scheduler_with_three_iterations_fires_three_times_and_ends(db, clock):
    thrice = {"frequency": "daily", "at": "04:00", "validity": {"max": 3}}
    workflow = start(make_workflow(chain(scheduler(thrice), Activity("end", "end"))))
    run_to(datetime(2026, 12, 24, tzinfo=UTC), clock)
    workflow.refresh_from_db()
    assert [activity for activity, _ in tasks(workflow)].count("end") == 3
    assert ("schedule", "completed") in tasks(workflow)
    assert workflow.state == State.FINISHED


@pytest.mark.case("E9")
def test_a_missed_date_fires_once_and_late(db, clock):
    workflow = start(make_workflow(chain(scheduler(), Activity("end", "end"))))
    clock.move_to(datetime(2026, 11, 28, 6, 30, tzinfo=UTC))
    run_until_passive()
    assert [activity for activity, _ in tasks(workflow)].count("end") == 1
    due = Task.objects.get(workflow=workflow, activity="schedule").due_at
    assert due == datetime(2026, 11, 29, 4, 0, tzinfo=UTC)


@pytest.mark.case("E10")
def test_execute_pending_now_fires_now_and_keeps_the_next_date(db, clock):
    workflow = start(make_workflow(chain(scheduler(), Activity("end", "end"))))
    commands.post(admin_actor(), workflow.internal_name, Command.WAKEUP)
    run_until_passive()
    assert ("end", "completed") in tasks(workflow)
    due = Task.objects.get(workflow=workflow, activity="schedule").due_at
    assert due == datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
    assert AuditEntry.objects.filter(entity_id=workflow.pk, action="Wakeup").count() == 1


def test_a_command_that_the_state_forbids_is_refused_and_writes_nothing(db, clock):
    workflow = make_workflow(chain(Activity("start", "start"), Activity("end", "end")))
    with pytest.raises(Conflict, match="editing"):
        commands.post(admin_actor(), workflow.internal_name, Command.PAUSE)
    assert not AuditEntry.objects.filter(entity_id=workflow.pk, action="Pause").exists()
