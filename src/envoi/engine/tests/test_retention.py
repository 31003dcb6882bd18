"""What the nightly cleanup takes away of workflows (engine.md §8.6)."""

import pytest

from envoi.engine import commands, retention, testing
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import (
    Approval,
    Event,
    LogLine,
    QueuedCommand,
    State,
    Task,
    Workflow,
    WorkflowRun,
    WorkTable,
)
from envoi.engine.testing import chain, make_workflow, run_until_passive
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import call, end, js, start, way
from envoi.engine.tests.test_sub_workflows import model, parent
from envoi.engine.tests.test_work_tables import exists, makes_a_table
from envoi.kernel import options
from envoi.kernel.errors import NotAllowed
from envoi.kernel.testing import admin_actor, make_actor, make_operator

PAST = (LogLine, Event, Task, WorkflowRun, QueuedCommand)


def cleaned():
    """Purge until nothing is left, as the cleanup does."""
    gone = 0
    while batch := retention.purge(actor=admin_actor()):
        gone += batch
    return gone


def counts(workflow):
    return [kind.objects.filter(workflow=workflow).count() for kind in PAST]


@pytest.mark.case("E37")
def test_what_is_older_than_the_history_goes_and_nothing_else(db, clock):
    old, forever, fresh = (make_workflow(chain(start(), js("say", "logInfo('x')"), end())) for _ in range(3))
    Workflow.objects.filter(pk=forever.pk).update(history=0)
    make_operator("ann")
    ask = Activity(
        "validation", "ask", parameters={"assignee": {"operator": "ann"}}, transitions=(way("yes", "end"),)
    )
    waiting = begin(make_workflow((ask, end())))
    for workflow in (old, forever):
        # First, for it takes the runs away too.
        commands.post(admin_actor(), workflow.internal_name, Command.CLEANUP)
        begin(workflow)
        begin(workflow)
    clock.step(days=2)
    begin(fresh)
    clock.step(days=29)
    kept, recent = counts(forever), counts(fresh)
    assert all(kept)
    assert all(recent)
    assert cleaned() > 0
    # Runs tell how long the next one takes, the last command who gave it.
    assert counts(old) == [0, 0, 0, 2, 1]
    assert counts(forever) == kept
    assert counts(fresh) == recent
    assert testing.tasks(waiting) == [("ask", "pending")]
    assert Approval.objects.filter(workflow=waiting, closed_at=None).count() == 1
    assert cleaned() == 0


def test_runs_beyond_those_that_are_shown_go(db, clock):
    workflow = make_workflow(chain(start(), end()))
    for _ in range(retention.RUNS_SHOWN + 3):
        begin(workflow)
    clock.step(days=31)
    cleaned()
    assert WorkflowRun.objects.filter(workflow=workflow).count() == retention.RUNS_SHOWN


@pytest.mark.case("E33")
def test_tables_of_the_finished_go_kept_results_after_their_delay(db, clock, monkeypatch):
    monkeypatch.setattr(testing, "nothing", makes_a_table)
    options.set(retention.RESULTS, "2 d", actor=admin_actor())
    keeping = begin(make_workflow(chain(start(), call(), end()), keep_results=True))
    waits = Activity("wait", "later", parameters={"duration_s": 86400 * 90})
    waiting = begin(make_workflow(chain(start(), call(), waits, end())))
    killed = begin(make_workflow(chain(start(), call(), waits, end())))
    commands.post(admin_actor(), killed.internal_name, Command.KILL)
    names = {each: WorkTable.objects.get(workflow=each).name for each in (keeping, waiting, killed)}
    assert all(exists(name) for name in names.values())
    cleaned()
    assert [exists(name) for name in names.values()] == [True, True, False]
    clock.step(days=3)
    cleaned()
    assert [exists(name) for name in names.values()] == [False, True, False]


def test_a_copy_whose_task_is_no_longer_kept_goes(db, clock):
    model("throw new Error('no')")
    outer = begin(parent())
    commands.post(admin_actor(), outer.internal_name, Command.STOP)
    run_until_passive()
    copy = Workflow.objects.get(model_name="inner")
    assert copy.state == State.FINISHED
    cleaned()
    assert Workflow.objects.filter(pk=copy.pk).exists()
    clock.step(days=31)
    cleaned()
    assert not Workflow.objects.filter(pk=copy.pk).exists()


def test_only_administrators_clean_up(db, clock):
    with pytest.raises(NotAllowed, match="ADMINISTRATION"):
        retention.purge(actor=make_actor("ina", rights=("WORKFLOW",)))
