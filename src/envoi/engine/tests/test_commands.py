"""Rights, audit, simulation, purge, restart from a task, templates (engine.md §3, §8.1)."""

import threading
from datetime import UTC, datetime

import pytest

from envoi.engine import commands, editing, instances, testing, worktable
from envoi.engine.commands import Command
from envoi.engine.definition import Activity, Definition
from envoi.engine.models import Event, LogLine, State, Task, Workflow, WorkflowRun, WorkflowVersion
from envoi.engine.testing import chain, lines, make_workflow, run_to, run_until_passive, tasks
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import call, end, js, scheduler, start, way
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Folder, OutboxItem
from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_group, make_operator


def post(workflow, command, actor=None, **parameters):
    commands.post(actor or admin_actor(), workflow.internal_name, command, **parameters)
    run_until_passive()
    workflow.refresh_from_db()


@pytest.mark.case("E40")
def test_who_may_operate_what(db, clock):
    technical = make_workflow(chain(start(), end()), folder="nmsTechnicalWorkflow")
    targeting = make_workflow(chain(start(), end()))
    private = make_folder("private", "jobs", model="xtk:workflow")
    allow(private, make_group("others"))
    hidden = make_workflow(chain(start(), end()), folder="private")
    ina = make_actor("ina", rights=("WORKFLOW",))
    ora = make_actor("ora")

    begin(targeting, ina)
    assert targeting.state == State.FINISHED
    whole = Definition(chain(start(), call(), end()))
    editing.save(ina, targeting.internal_name, definition=whole)
    for deed in (
        lambda: commands.post(ina, technical.internal_name, Command.START),
        lambda: commands.post(ina, technical.internal_name, Command.CLEANUP),
        lambda: editing.save(ina, technical.internal_name, definition=whole),
        lambda: editing.create(ina, "", "Mine", whole, "nmsTechnicalWorkflow"),
    ):
        with pytest.raises(NotAllowed, match="ADMINISTRATION"):
            deed()
    technical.refresh_from_db()
    assert (technical.state, technical.definition_number) == (State.EDITION, 1)
    with pytest.raises(NotFound):
        commands.post(ina, hidden.internal_name, Command.START)
    with pytest.raises(NotFound):
        commands.post(ora, targeting.internal_name, Command.START)
    with pytest.raises(NotAllowed):
        editing.create(ora, "", "Mine", whole, "targetingWorkflows")
    post(technical, Command.START)
    assert technical.state == State.FINISHED


def test_the_commands_that_a_page_offers_are_those_that_would_be_taken(db, clock):
    from envoi.engine import supervision

    workflow = make_workflow(chain(scheduler(), end()), folder="nmsTechnicalWorkflow")
    ina = make_actor("ina", rights=("WORKFLOW",))
    for prepare in (lambda: None, lambda: begin(workflow), lambda: post(workflow, Command.PAUSE)):
        prepare()
        row = supervision.workflow(admin_actor(), workflow.internal_name, "en").row
        assert commands.allowed(row, ina) == []
        offered = set(commands.allowed(row, admin_actor()))
        for command in set(Command) - {Command.POST_EVENT, Command.RESTART_TASK}:
            if command in offered:
                message, counts = commands.effect(workflow.internal_name, command)
                assert message % counts
                continue
            with pytest.raises(Conflict):
                commands.post(admin_actor(), workflow.internal_name, command)


@pytest.mark.case("E50")
def test_each_act_is_one_line_of_the_trail(db, clock):
    admin = admin_actor()
    workflow = make_workflow(chain(scheduler(), end()), name="traced")
    editing.save(admin, "traced", label="Traced again")
    for command in (
        Command.START,
        Command.WAKEUP,
        Command.PAUSE,
        Command.START,
        Command.RESTART,
        Command.STOP,
        Command.CLEANUP,
        Command.SIMULATE,
        Command.KILL,
    ):
        post(workflow, command)
    editing.delete(admin, "traced")
    trail = AuditEntry.objects.filter(entity="xtk:workflow", entity_key="traced").order_by("pk")
    assert [entry.action for entry in trail] == [
        "Created",
        "Modified",
        "Start",
        "Wakeup",
        "Pause",
        "Start",
        "Restart",
        "Stop",
        "Cleanup",
        "Simulate",
        "Unconditional Stop",
        "Deleted",
    ]
    assert {(entry.operator_name, entry.at, entry.entity_id) for entry in trail} == {
        ("admin", datetime(2026, 11, 24, 9, 0, tzinfo=UTC), workflow.pk)
    }


@pytest.mark.case("E39")
def test_a_purge_deletes_what_is_past_and_nothing_else(db, clock):
    workflow = make_workflow(chain(scheduler(), js("set", "instance.vars.kept = 1"), end()))
    other = begin(make_workflow(chain(start(), end())))
    begin(workflow)
    run_to(datetime(2026, 11, 26, 9, 0, tzinfo=UTC), clock)
    before = workflow.definition
    said = len(lines(other))
    assert WorkflowRun.objects.filter(workflow=workflow).exists()
    post(workflow, Command.CLEANUP)
    assert tasks(workflow) == [("schedule", "pending")]
    assert lines(workflow) == []
    assert not Event.objects.filter(workflow=workflow, status__gt=2).exists()
    assert not WorkflowRun.objects.filter(workflow=workflow).exists()
    assert (workflow.definition, workflow.variables) == (before, {"kept": 1})
    assert len(lines(other)) == said
    assert AuditEntry.objects.filter(entity_id=workflow.pk, action="Cleanup").count() == 1
    run_to(datetime(2026, 11, 27, 9, 0, tzinfo=UTC), clock)
    assert ("end", "completed") in tasks(workflow)


def test_a_simulation_runs_nothing_that_has_an_effect(db, clock):
    make_operator("ann", email="ann@example.org")
    alert = Activity("alert", "tell", parameters={"assignee": {"operator": "ann"}})
    workflow = make_workflow(
        chain(
            start(),
            Activity("jstest", "test", transitions=(way("test", "tell", kind="test", condition="true"),)),
            alert,
            end(),
        )
    )
    post(workflow, Command.SIMULATE)
    assert (workflow.state, workflow.simulation) == (State.FINISHED, True)
    assert [activity for activity, _ in tasks(workflow)] == ["start", "test"]
    assert not OutboxItem.objects.exists()
    assert any("simulation" in line for line in lines(workflow))


def test_a_task_is_run_again_with_what_it_was_given(db, clock):
    workflow = make_workflow(chain(js("give", "vars.n = 5"), js("use", "logInfo('n is ' + vars.n)"), end()))
    begin(workflow)
    post(workflow, Command.RESTART_TASK, activity="use")
    assert lines(workflow).count("n is 5") == 2
    assert workflow.state == State.FINISHED
    assert [activity for activity, _ in tasks(workflow)] == ["give", "use", "end", "end"]


def test_a_bad_definition_is_refused_with_the_activity_named(db, clock):
    cases = {
        "nowhere": (start(to="gone"),),
        "there are two": (start(to="end"), end(), end()),
        "is of an unknown type": (start(to="odd"), Activity("odd", "odd")),
        "cannot be reached": (
            start(to="end"),
            end(),
            js("a", "1", transitions=(way("done", "a", kind="done"),)),
        ),
        "needs a duration": (start(to="wait"), Activity("wait", "wait")),
        "schedule": (scheduler({"frequency": "sometimes"}, transitions=(way("transition", "end"),)), end()),
        "no condition": (
            start(to="t"),
            Activity("jstest", "t", transitions=(way("a", "end", kind="test"),)),
            end(),
        ),
        "takes none": (start(to="schedule"), scheduler(transitions=(way("transition", "end"),)), end()),
        "envoi.kernel": (
            start(to="call"),
            Activity("call", "call", parameters={"function": "envoi.kernel.options:set"}),
        ),
    }
    said = {}
    for word, activities in cases.items():
        workflow = make_workflow(activities)
        with pytest.raises(Invalid) as refused:
            commands.post(admin_actor(), workflow.internal_name, Command.START)
        said[word] = str(refused.value)
        workflow.refresh_from_db()
        assert workflow.state == State.EDITION
    assert "activity start leads to gone" in said["nowhere"]
    assert "two activities called end" in said["there are two"]
    assert "Activity odd" in said["is of an unknown type"]
    assert "Activity a" in said["cannot be reached"]
    assert "Activity wait" in said["needs a duration"]
    assert "activity schedule" in said["schedule"]
    assert "activity t" in said["no condition"]
    assert "activity start leads to a scheduler" in said["takes none"]
    assert "Activity call" in said["envoi.kernel"]


def test_definitions_have_versions_and_a_save_over_another_is_refused(db, clock):
    admin = admin_actor()
    workflow = make_workflow(chain(start(), end()))
    editing.save(
        admin, workflow.internal_name, definition=Definition(chain(start(), call(), end())), seen_number=1
    )
    with pytest.raises(Conflict, match="version 2 instead of 1"):
        editing.save(admin, workflow.internal_name, definition=Definition(()), seen_number=1)
    editing.save(admin, workflow.internal_name, definition=Definition(chain(start(), call(), end())))
    assert [v.number for v in WorkflowVersion.objects.filter(workflow=workflow).order_by("number")] == [1, 2]


def test_an_edit_while_it_runs_holds_for_what_has_not_run_yet(db, clock):
    wait = Activity("wait", "wait", parameters={"duration_s": 60})
    workflow = begin(make_workflow(chain(start(), wait, end())))
    longer = Definition(chain(start(), wait, call("added"), end()))
    editing.save(admin_actor(), workflow.internal_name, definition=longer)
    run_to(datetime(2026, 11, 24, 9, 2, tzinfo=UTC), clock)
    assert [activity for activity, _ in tasks(workflow)] == ["start", "wait", "added", "end"]


def test_a_template_is_never_started_but_its_instances_are(db, clock):
    admin = admin_actor()
    template = make_workflow(
        chain(start(), js("read", "logInfo('x is ' + instance.vars.x)"), end()),
        name="pattern",
        folder="workflowTemplates",
        is_model=True,
    )
    with pytest.raises(Conflict, match="template"):
        commands.post(admin, "pattern", Command.START)
    made = Workflow.objects.get(internal_name=instances.spawn(admin, "pattern", variables={"x": 7}))
    run_until_passive()
    made.refresh_from_db()
    assert (made.model_name, made.state) == ("pattern", State.FINISHED)
    assert "x is 7" in lines(made)
    assert made.folder == Folder.objects.get(name="targetingWorkflows")
    template.refresh_from_db()
    assert template.state == State.EDITION


def test_it_runs_with_the_rights_of_who_started_it_or_of_its_account(db, clock):
    ina = make_actor("ina", rights=("WORKFLOW",))
    make_operator("sam", rights=("WORKFLOW", "SQL SCRIPT EXECUTION"))
    workflow = make_workflow(chain(start(), Activity("sql", "sql", parameters={"script": "SELECT 1"}), end()))
    begin(workflow, ina)
    assert workflow.failed
    assert any("SQL SCRIPT EXECUTION" in line for line in lines(workflow))
    post(workflow, Command.STOP)
    with pytest.raises(NotAllowed):
        instances.set_login(ina, workflow.internal_name, "sam")
    instances.set_login(admin_actor(), workflow.internal_name, "sam")
    begin(workflow, ina)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    assert instances.login_of(ina, workflow.internal_name) == "sam"


def test_execute_waits_for_the_end(committed_db):
    workflow = make_workflow(chain(start(), js("set", "instance.vars.answer = 42"), end()))
    done = threading.Event()

    def work():
        from django.db import connection

        while not done.is_set():
            run_until_passive()
            done.wait(0.02)
        connection.close()

    helper = threading.Thread(target=work)
    helper.start()
    try:
        ended = instances.execute(admin_actor(), workflow.internal_name, seconds=20)
    finally:
        done.set()
        helper.join()
    assert (ended.done, ended.state, ended.failed, ended.variables) == (
        True,
        "finished",
        False,
        {"answer": 42},
    )


def test_work_tables_go_with_the_run_unless_they_are_kept(db, clock, monkeypatch):
    def fill(*, actor, ctx):
        column = worktable.Column("id", "bigint")
        return {"tableName": worktable.create(ctx.workflow_id, ctx.run_number, [column], "id")}

    monkeypatch.setattr(testing, "nothing", fill)
    for kept in (False, True):
        workflow = begin(make_workflow(chain(start(), call(), end()), keep_results=kept))
        name = Event.objects.get(workflow=workflow, source="work").variables["tableName"]
        assert name.startswith(f"wkf{workflow.pk}_")
        assert _exists(name) is kept
        assert instances.delete_results(admin_actor(), workflow.internal_name) == int(kept)
        assert not _exists(name)


def _exists(table):
    from django.db import connection

    return table in connection.introspection.table_names()


def test_a_deleted_workflow_leaves_nothing(db, clock):
    workflow = begin(make_workflow(chain(start(), end())))
    editing.delete(admin_actor(), workflow.internal_name)
    for model in (Task, Event, LogLine):
        assert not model.objects.filter(workflow_id=workflow.pk).exists()


def test_properties_are_checked_and_the_place_is_named(db, clock):
    workflow = make_workflow(chain(start(), end()), name="checked")
    for wrong in (
        {"on_error": 7},
        {"history": -1},
        {"timezone": "Europe/Nowhere"},
        {"affinity": "two words"},
        {"label": " "},
        {"state": 11},
    ):
        with pytest.raises(Invalid, match=next(iter(wrong))):
            editing.save(admin_actor(), "checked", **wrong)
    workflow.refresh_from_db()
    assert workflow.version == 1
    named = make_workflow(chain(start(), call(affinity="a b"), end()))
    with pytest.raises(Invalid, match="affinity of activity work"):
        commands.post(admin_actor(), named.internal_name, Command.START)
