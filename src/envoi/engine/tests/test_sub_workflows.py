"""Sub-workflows (engine.md §6.2)."""

from datetime import timedelta

import pytest

from envoi.engine import commands, editing, supervision, testing
from envoi.engine.commands import Command
from envoi.engine.definition import Activity, Definition
from envoi.engine.models import Event, LogLine, State, Workflow, WorkTable
from envoi.engine.testing import lines, make_workflow, run_to, run_until_passive, tasks
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import call, end, js, start, way
from envoi.engine.tests.test_work_tables import exists, makes_a_table
from envoi.kernel import clock as kernel_clock
from envoi.kernel.errors import Invalid
from envoi.kernel.models import OutboxItem
from envoi.kernel.testing import admin_actor, make_operator


def jump(kind, name, number, to=None):
    ways = (way("transition", to),) if to else ()
    return Activity(kind, name, parameters={"number": number}, transitions=ways)


def model(script="vars.seen = vars.given + 1; logInfo('inside')", name="inner"):
    return make_workflow(
        (
            jump("jumpout", "entry", 1, "work"),
            js("work", script, transitions=(way("done", "exit", kind="done"),)),
            jump("jumpout", "other", 2, "work"),
            jump("jumpin", "low", 8),
            jump("jumpin", "exit", 9),
        ),
        name=name,
    )


def waits(name, seconds, to):
    return Activity("wait", name, parameters={"duration_s": seconds}, transitions=(way("transition", to),))


def parent(inner="inner", **settings):
    return make_workflow(
        (
            js("give", "vars.given = 41", transitions=(way("done", "inside", kind="done"),)),
            Activity(
                "subworkflow",
                "inside",
                parameters={"workflow": inner},
                transitions=(way("exit", "told"),),
            ),
            js("told", "logInfo('seen ' + vars.seen)", transitions=(way("done", "end", kind="done"),)),
            end(),
        ),
        **settings,
    )


@pytest.mark.case("E31")
def test_it_runs_from_the_lowest_entry_to_the_highest_exit_and_logs_into_the_parent(db, clock):
    inner = model()
    outer = begin(parent())
    assert outer.state == State.FINISHED
    assert "seen 42" in lines(outer)
    assert "inside" in lines(outer)
    inner.refresh_from_db()
    assert (inner.state, tasks(inner), lines(inner)) == (State.EDITION, [], [])
    assert not Workflow.objects.filter(model_name="inner").exists()


def test_a_script_prepares_what_the_sub_workflow_is_given(db, clock):
    model()
    inside = Activity(
        "subworkflow",
        "inside",
        parameters={"workflow": "inner", "script": "vars.given = 99"},
        transitions=(way("exit", "told"),),
    )
    told = js("told", "logInfo('seen ' + vars.seen)", transitions=(way("done", "end", kind="done"),))
    assert "seen 100" in lines(begin(make_workflow((inside, told, end()))))


@pytest.mark.case("E31")
def test_an_error_inside_pauses_the_parent_and_leaves_the_copy(db, clock):
    make_operator("ann", groups=("watchers",), email="ann@example.org")
    inner = model("throw new Error('broken inside')")
    from envoi.kernel.models import Group

    outer = begin(parent(supervisor_group_id=Group.objects.get(name="watchers").pk))
    assert (outer.state, outer.failed) == (State.PAUSED, True)
    copy = Workflow.objects.get(model_name="inner")
    assert (copy.state, copy.failed) == (State.PAUSED, True)
    assert any("broken inside" in line for line in lines(outer))
    assert OutboxItem.objects.filter(kind="mail").count() == 1
    shown = {row.internal_name for row in supervision.workflows(admin_actor(), language="en")}
    assert copy.internal_name in shown
    inner.refresh_from_db()
    assert inner.state == State.EDITION

    whole = Definition.from_json(copy.definition).to_json()
    for activity in whole["activities"]:
        if activity["name"] == "work":
            activity["parameters"] = {"script": "vars.seen = 7"}
    editing.save(admin_actor(), copy.internal_name, definition=Definition.from_json(whole))
    begin(outer)
    assert (outer.state, outer.failed) == (State.FINISHED, False)
    assert "seen 7" in lines(outer)


def test_stopping_the_parent_stops_the_copy(db, clock):
    make_workflow(
        (
            jump("jumpout", "entry", 1, "wait"),
            Activity(
                "wait", "wait", parameters={"duration_s": 86400}, transitions=(way("transition", "exit"),)
            ),
            jump("jumpin", "exit", 9),
        ),
        name="inner",
    )
    outer = begin(parent())
    assert outer.state == State.STARTED
    for command, state in (
        (Command.PAUSE, State.PAUSED),
        (Command.START, State.STARTED),
        (Command.STOP, State.FINISHED),
    ):
        commands.post(admin_actor(), outer.internal_name, command)
        run_until_passive()
        outer.refresh_from_db()
        copy = Workflow.objects.get(model_name="inner")
        if command is Command.START:
            continue
        assert (outer.state, copy.state) == (state, state)
    assert LogLine.objects.filter(workflow=copy).count() == 0


def test_the_parents_page_sees_what_happens_inside(db, clock):
    make_workflow(
        (
            jump("jumpout", "entry", 1, "early"),
            waits("early", 3600, "say"),
            js("say", "logInfo('half way')", transitions=(way("done", "late", kind="done"),)),
            waits("late", 86400, "exit"),
            jump("jumpin", "exit", 9),
        ),
        name="inner",
    )
    outer = begin(parent())
    before = supervision.version(admin_actor(), outer.internal_name)
    assert supervision.version(admin_actor(), outer.internal_name) == before
    run_to(kernel_clock.now() + timedelta(hours=2), clock)
    assert "half way" in lines(outer)
    assert supervision.version(admin_actor(), outer.internal_name) != before


def test_a_workflow_cannot_run_inside_of_itself(db, clock):
    model(name="inner")
    recursive = Definition(
        (
            jump("jumpout", "entry", 1, "again"),
            Activity(
                "subworkflow", "again", parameters={"workflow": "inner"}, transitions=(way("exit", "exit"),)
            ),
            jump("jumpin", "exit", 9),
        )
    )
    editing.save(admin_actor(), "inner", definition=recursive)
    outer = begin(parent())
    assert (outer.state, outer.failed) == (State.PAUSED, True)
    assert any("inside of itself" in line for line in lines(outer))


def test_a_model_that_is_not_there_is_named(db, clock):
    outer = make_workflow(
        (start(to="inside"), Activity("subworkflow", "inside", parameters={"workflow": "nobody"}))
    )
    with pytest.raises(Invalid, match=r"Activity inside runs workflow nobody"):
        begin(outer)


def test_the_population_of_a_sub_workflow_reaches_its_parent(db, clock, monkeypatch):
    monkeypatch.setattr(testing, "nothing", makes_a_table)
    make_workflow(
        (
            jump("jumpout", "entry", 1, "work"),
            call("work", transitions=(way("done", "more", kind="done"),)),
            js("more", "vars.more = 1", transitions=(way("done", "exit", kind="done"),)),
            jump("jumpin", "exit", 9),
        ),
        name="inner",
    )
    outer = make_workflow(
        (
            Activity(
                "subworkflow", "inside", parameters={"workflow": "inner"}, transitions=(way("exit", "later"),)
            ),
            Activity(
                "wait", "later", parameters={"duration_s": 3600}, transitions=(way("transition", "end"),)
            ),
            end(),
        )
    )
    begin(outer)
    name = Event.objects.get(workflow=outer, source="inside").variables["tableName"]
    assert WorkTable.objects.get(name=name).workflow_id == outer.pk
    assert exists(name)
    run_to(kernel_clock.now() + timedelta(hours=2), clock)
    assert not exists(name)
    assert not WorkTable.objects.exists()
