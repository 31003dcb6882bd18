"""What people see of workflows (engine.md §1.3, §8.3)."""

from datetime import UTC, datetime, timedelta

import pytest

from envoi.engine import commands, supervision
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import Task
from envoi.engine.supervision import Filter
from envoi.engine.testing import chain, make_workflow, run_to, run_until_passive
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import EVERY_HOUR, call, end, js, scheduler, start, way
from envoi.kernel.errors import NotFound
from envoi.kernel.testing import admin_actor, make_actor


def row_of(workflow, language="en"):
    return supervision.workflow(admin_actor(), workflow.internal_name, language).row


def post(workflow, command):
    commands.post(admin_actor(), workflow.internal_name, command)


def test_words_and_faces_along_a_life(db, clock):
    workflow = make_workflow(chain(scheduler(EVERY_HOUR), call(), end()))
    seen = [row_of(workflow)]
    post(workflow, Command.START)
    seen.append(row_of(workflow))
    run_until_passive()
    seen.append(row_of(workflow))
    clock.step(minutes=62)
    seen.append(row_of(workflow))
    run_until_passive()
    post(workflow, Command.PAUSE)
    seen.append(row_of(workflow))
    run_until_passive()
    seen.append(row_of(workflow))
    post(workflow, Command.STOP)
    run_until_passive()
    seen.append(row_of(workflow))
    assert [(row.word, row.face) for row in seen] == [
        ("editing", "draft"),
        ("starting", "asked"),
        ("waiting", "waiting"),
        ("late", "warn"),
        ("pausing", "asked"),
        ("paused", "warn"),
        ("stopped", "stopped"),
    ]
    assert seen[2].next_run == datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert seen[2].last_run is None
    assert "Admin" in seen[5].reason or "admin" in seen[5].reason
    assert len({row.version for row in seen}) >= 5


def test_runs_are_counted_from_waking_up_to_waiting(db, clock):
    workflow = begin(
        make_workflow(chain(scheduler(EVERY_HOUR), js("w", "if (instance.vars.bad) nothing.here"), end()))
    )
    run_to(datetime(2026, 11, 24, 12, 30, tzinfo=UTC), clock)
    workflow.variables = {"bad": True}
    workflow.save(update_fields=["variables"])
    run_to(datetime(2026, 11, 24, 13, 30, tzinfo=UTC), clock)
    row = row_of(workflow)
    assert [(run.started_at.hour, run.failed) for run in row.durations] == [
        (10, False),
        (11, False),
        (12, False),
        (13, True),
    ]
    assert (row.word, row.face) == ("failed", "bad")
    assert row.reason.startswith("w: ReferenceError")
    post(workflow, Command.START)
    assert (row_of(workflow).word, row_of(workflow).failed) == ("resuming", True)
    post(workflow, Command.STOP)
    assert row_of(workflow).word == "stopping"


def test_a_run_that_takes_three_times_as_long_as_usual_is_long(db, clock):
    workflow = begin(make_workflow(chain(scheduler(EVERY_HOUR), call(), end())))
    run_to(datetime(2026, 11, 24, 13, 30, tzinfo=UTC), clock)
    task = Task.objects.filter(workflow=workflow, activity="schedule").get()
    Task.objects.filter(pk=task.pk).update(status=2)
    workflow.refresh_from_db()
    for minutes, word in ((0, "working"), (1, "long")):
        workflow.busy_since = clock_now() - timedelta(minutes=minutes)
        workflow.save(update_fields=["busy_since"])
        assert row_of(workflow).word == word


def clock_now():
    from envoi.kernel import clock

    return clock.now()


def test_activities_and_transitions_of_the_run(db, clock):
    workflow = begin(
        make_workflow(
            (
                start(to="count"),
                js(
                    "count",
                    "vars.recCount = 12; logWarning('few')",
                    transitions=(way("done", "wait", kind="done"),),
                ),
                Activity(
                    "wait", "wait", parameters={"duration_s": 60}, transitions=(way("transition", "end"),)
                ),
                end(),
            )
        )
    )
    detail = supervision.workflow(admin_actor(), workflow.internal_name, "en")
    states = {activity.name: activity.state for activity in detail.activities}
    assert states == {"start": "done", "count": "warning", "wait": "waiting", "end": ""}
    assert {(t.source, t.transition, t.firings, t.count) for t in detail.transitions} == {
        ("start", "transition", 1, None),
        ("count", "done", 1, 12),
    }
    assert detail.runs_as
    assert [task.activity for task in detail.tasks] == ["wait", "count", "start"]


def test_the_journal_speaks_the_readers_language_and_pages(db, clock):
    workflow = begin(make_workflow(chain(start(), js("say", "logInfo('100 % sure')"), end())))
    lines = supervision.journal(admin_actor(), workflow.internal_name, language="en", limit=3)
    assert len(lines) == 3
    older = supervision.journal(
        admin_actor(), workflow.internal_name, language="en", before_id=lines[-1].id, limit=100
    )
    assert [line.id for line in older] == sorted((line.id for line in older), reverse=True)
    newer = supervision.journal(admin_actor(), workflow.internal_name, language="en", after_id=older[0].id)
    assert newer == lines
    own = supervision.journal(admin_actor(), workflow.internal_name, language="en", activity="say")
    assert "100 % sure" in [line.message for line in own]


def test_the_version_grows_with_each_change_that_can_be_seen(db, clock):
    workflow = make_workflow(chain(start(), call(), end()))
    seen = [supervision.version(admin_actor(), workflow.internal_name)]
    post(workflow, Command.START)
    seen.append(supervision.version(admin_actor(), workflow.internal_name))
    run_until_passive()
    seen.append(supervision.version(admin_actor(), workflow.internal_name))
    assert seen == sorted(set(seen))
    with pytest.raises(NotFound):
        supervision.version(make_actor("ora"), workflow.internal_name)


@pytest.mark.case("E46")
def test_filters_of_the_monitoring_page(db, clock):
    begin(make_workflow(chain(start(), end()), name="quiet"))
    loud = begin(make_workflow(chain(start(), end()), name="loud", production=1))
    begin(make_workflow(chain(start(), call(function="always_fails"), end()), name="broken"))

    def under(wanted):
        rows = supervision.workflows(admin_actor(), folder_path="/profilesAndTargets/", language="en")
        return {row.internal_name for row in rows if supervision.matches(row, wanted)}

    assert under(Filter.STOPPED_PRODUCTION) == {"loud"}
    assert under(Filter.FAILED) == {"broken"}
    assert under(Filter.FINISHED) == {"quiet", "loud"}
    assert under(Filter.ACTION_REQUIRED) == {"broken"}
    rows = supervision.workflows(admin_actor(), language="en")
    assert supervision.summary(rows) == ["Workflow failed: broken (broken)"]
    loud.production = 0
    loud.save(update_fields=["production"])
    assert under(Filter.STOPPED_PRODUCTION) == set()


def test_a_list_takes_the_same_number_of_statements_however_long_it_is(db, clock, monkeypatch):
    from envoi.engine import sql

    counted = []
    original = sql._execute

    def counting(query, params):
        counted.append(query)
        return original(query, params)

    def statements():
        counted.clear()
        supervision.workflows(admin_actor(), folder_path="/profilesAndTargets/", language="en")
        return len(counted)

    monkeypatch.setattr(sql, "_execute", counting)
    make_workflow(chain(start(), end()))
    short = statements()
    for _ in range(12):
        make_workflow(chain(start(), end()))
    assert statements() == short
