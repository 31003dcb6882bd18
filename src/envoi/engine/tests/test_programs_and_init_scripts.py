"""External tasks, initialization scripts, collisions, commands that cannot be carried out."""

import time

import psycopg

from envoi.engine import commands, testing
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import QueuedCommand, State, Task, Workflow, WorkflowVersion
from envoi.engine.testing import chain, lines, make_workflow, run_to, run_until_passive, tasks
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import call, end, js, start
from envoi.kernel import clock as kernel_clock
from envoi.kernel import options
from envoi.kernel.models.option import DataType
from envoi.kernel.testing import admin_actor, make_actor


def program(*arguments, path="/bin/echo", **parameters):
    return Activity(
        "externaltask", "run", parameters={"program": path, "arguments": list(arguments), **parameters}
    )


def test_programs_are_off_until_they_are_allowed(db, clock):
    workflow = begin(make_workflow(chain(start(), program("hello"), end())))
    assert workflow.failed
    assert "XtkWorkflow_Programs" in "".join(lines(workflow))
    options.set("XtkWorkflow_Programs", "/bin/echo\n/bin/false", actor=admin_actor(), data_type=DataType.MEMO)
    begin(workflow)
    assert workflow.state == State.FINISHED
    assert "hello" in lines(workflow)


def test_a_program_takes_a_right_and_its_code_counts(db, clock):
    options.set("XtkWorkflow_Programs", "/bin/false /bin/sleep", actor=admin_actor(), data_type=DataType.MEMO)
    ina = make_actor("ina", rights=("WORKFLOW",))
    forbidden = begin(make_workflow(chain(start(), program(path="/bin/false"), end())), ina)
    assert "PROGRAM EXECUTION" in "".join(lines(forbidden))
    failed = begin(make_workflow(chain(start(), program(path="/bin/false"), end())))
    assert "/bin/false ended with 1." in lines(failed)
    slow = begin(make_workflow(chain(start(), program("30", path="/bin/sleep", timeout_s=0.2), end())))
    assert "/bin/sleep ran longer than 0.2 s and was ended." in lines(slow)


def test_a_program_is_ended_with_all_that_it_has_started(db, clock):
    options.set("XtkWorkflow_Programs", "/bin/sh", actor=admin_actor(), data_type=DataType.MEMO)
    began = time.monotonic()
    slow = program("-c", "sleep 60 & exit", path="/bin/sh", timeout_s=0.2)
    workflow = begin(make_workflow(chain(start(), slow, end())))
    assert "/bin/sh ran longer than 0.2 s and was ended." in lines(workflow)
    assert time.monotonic() - began < 30


def test_an_initialization_script_changes_this_task_only(db, clock):
    slow = Activity(
        "wait",
        "wait",
        parameters={"duration_s": 50},
        init_script="activity.parameters.duration_s = Number(instance.vars.p)",
    )
    workflow = begin(make_workflow(chain(start(), slow, end())), variables={"p": 10})
    due = Task.objects.get(workflow=workflow, activity="wait").due_at
    assert (due - kernel_clock.now()).total_seconds() == 10
    stored = {a["name"]: a for a in Workflow.objects.get(pk=workflow.pk).definition["activities"]}
    assert stored["wait"]["parameters"]["duration_s"] == 50


def test_a_collision_with_another_transaction_is_tried_again(db, clock, monkeypatch):
    met = []

    def collides(*, actor):
        met.append(1)
        if len(met) < 3:
            raise psycopg.errors.DeadlockDetected("deadlock detected")

    monkeypatch.setattr(testing, "nothing", collides)
    workflow = begin(make_workflow(chain(start(), call(), end())))
    assert workflow.state == State.STARTED
    run_to(kernel_clock.now().replace(minute=1), clock)
    workflow.refresh_from_db()
    assert (workflow.state, workflow.failed, len(met)) == (State.FINISHED, False, 3)
    assert dict(tasks(workflow))["work"] == "completed"


def test_a_command_that_cannot_be_carried_out_is_refused_and_stands_in_nobodys_way(db, clock):
    workflow = make_workflow(chain(start(), js("one", "1"), end()))
    commands.post(admin_actor(), workflow.internal_name, Command.START)
    WorkflowVersion.objects.filter(workflow=workflow).update(definition={"activities": "nonsense"})
    run_until_passive()
    workflow.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, True)
    assert QueuedCommand.objects.get(workflow=workflow).get_status_display() == "refused"
    assert any("needs a list of activities" in line for line in lines(workflow))


def test_sql_is_shown_in_the_journal_without_values_when_the_workflow_says_so(db, clock):
    for shown in (True, False):
        workflow = make_workflow(
            chain(
                start(),
                js("fill", "vars.who = 'ada@example.com'"),
                Activity("sql", "code", parameters={"script": "SELECT '<%= vars.who %>'"}),
                end(),
            ),
            show_sql=shown,
        )
        begin(workflow)
        said = [line for line in lines(workflow) if line.startswith("SQL")]
        assert said == (["SQL with 0 parameter(s): SELECT '<%= vars.who %>'"] if shown else [])
        assert "ada@" not in "".join(lines(workflow))
