"""Flow activities and variables (engine.md §5.7, §6.2)."""

from datetime import UTC, datetime, timedelta

import pytest

from envoi.engine import commands, scripts, testing, ticker
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import Event, State, Task
from envoi.engine.scripting import Limits
from envoi.engine.testing import (
    Gate,
    chain,
    in_thread,
    lines,
    make_workflow,
    run_to,
    run_until_passive,
    tasks,
)
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import EVERY_MINUTE, call, end, js, scheduler, start, way
from envoi.kernel.testing import admin_actor


def fork(*targets, name="fork"):
    return Activity("fork", name, transitions=tuple(way(f"to_{t}", t) for t in targets))


def test_a_join_waits_for_every_inbound_and_merges_the_variables(db, clock):
    workflow = make_workflow(
        (
            fork("a", "b"),
            js(
                "a",
                "vars.a = 1; vars.tableName = 'of_a'; vars.recCount = 3",
                transitions=(way("done", "join", kind="done"),),
            ),
            js(
                "b",
                "vars.b = 2; vars.tableName = 'of_b'; vars.recCount = 5",
                transitions=(way("done", "join", kind="done"),),
            ),
            Activity("andjoin", "join", parameters={"mainSet": "a"}, transitions=(way("transition", "end"),)),
            end(),
        )
    )
    begin(workflow)
    assert [activity for activity, _ in tasks(workflow)].count("join") == 1
    joined = Event.objects.get(workflow=workflow, source="join")
    assert joined.variables == {"a": 1, "b": 2, "tableName": "of_a", "recCount": 3}
    assert workflow.state == State.FINISHED


def test_a_join_whose_other_branch_never_comes_waits(db, clock):
    workflow = make_workflow(
        (
            fork("a", "b"),
            call("a", transitions=(way("done", "join", kind="done"),)),
            Activity(
                "jstest",
                "b",
                transitions=(way("test", "join", kind="test", condition="false"),),
            ),
            Activity("andjoin", "join", transitions=(way("transition", "end"),)),
            end(),
        )
    )
    begin(workflow)
    assert workflow.state == State.STARTED
    assert dict(tasks(workflow))["join"] == "pending"


def test_joins_in_a_loop_pair_in_the_order_of_arrival(db, clock):
    ways = {"transitions": (way("done", "join", kind="done"),)}
    workflow = make_workflow(
        (
            scheduler(EVERY_MINUTE, transitions=(way("transition", "fork"),)),
            fork("a", "b"),
            call("a", **ways),
            call("b", **ways),
            Activity("andjoin", "join", transitions=(way("transition", "end"),)),
            end(),
        )
    )
    begin(workflow)
    run_to(datetime(2026, 11, 24, 9, 3, 30, tzinfo=UTC), clock)
    assert [activity for activity, _ in tasks(workflow)].count("join") == 3


@pytest.mark.case("E22")
@pytest.mark.parametrize(
    ("first", "second", "goes"),
    [("true", "true", "one"), ("false", "1 > 0", "two"), ("false", "null", "other")],
)
def test_the_first_condition_that_holds_decides(db, clock, first, second, goes):
    workflow = make_workflow(
        (
            start(to="test"),
            Activity(
                "jstest",
                "test",
                transitions=(
                    way("first", "one", kind="test", condition=first),
                    way("second", "two", kind="test", condition=second),
                    way("default", "other", kind="default"),
                ),
            ),
            end("one"),
            end("two"),
            end("other"),
        )
    )
    begin(workflow)
    assert [activity for activity, _ in tasks(workflow)] == ["start", "test", goes]


@pytest.mark.case("E23")
def test_three_scopes_of_variables(db, clock):
    workflow = make_workflow(
        chain(
            start(),
            js("set", "instance.vars.foo = 'i'; vars.foo = 'v'; task.vars.foo = 't'"),
            js("read", "logInfo([instance.vars.foo, vars.foo, typeof task.vars.foo].join(' '))"),
            end(),
        )
    )
    begin(workflow)
    assert "i v undefined" in lines(workflow)
    assert workflow.variables == {"foo": "i"}


def test_dates_in_variables_stay_dates(db, clock):
    workflow = make_workflow(
        chain(
            start(),
            js("set", "vars.when = new Date(Date.UTC(2026, 0, 2)); instance.vars.when = vars.when"),
            js("read", "logInfo(vars.when.toISOString() + ' ' + instance.vars.when.getTime())"),
            end(),
        )
    )
    begin(workflow)
    assert "2026-01-02T00:00:00.000Z 1767312000000" in lines(workflow)


def test_a_start_with_parameters_fills_the_instance_variables_and_on_start_runs(db, clock):
    workflow = make_workflow(
        chain(start(), js("read", "logInfo(instance.vars.a + instance.vars.b)"), end()),
        script="function onStart() { instance.vars.b = 'two' }",
    )
    begin(workflow, variables={"a": "one "})
    assert "one two" in lines(workflow)


def test_a_wait_goes_on_after_its_duration_or_when_woken(db, clock):
    wait = Activity("wait", "wait", parameters={"duration_s": 86400})
    one, two = (make_workflow(chain(start(), wait, end())) for _ in range(2))
    begin(one)
    begin(two)
    commands.post(admin_actor(), two.internal_name, Command.WAKEUP)
    run_until_passive()
    assert ("end", "completed") in tasks(two)
    assert ("end", "completed") not in tasks(one)
    run_to(datetime(2026, 11, 25, 9, 0, tzinfo=UTC), clock)
    assert ("end", "completed") in tasks(one)


@pytest.mark.case("E29")
def test_a_time_constraint_waits_for_its_hours_or_ends_the_branch(db, clock):
    hours = {"from": "08:00", "to": "18:00"}
    clock.move_to(datetime(2026, 11, 24, 19, 0, tzinfo=UTC))
    patient = make_workflow(
        chain(start(), Activity("timeconstraint", "hours", parameters=hours | {"retry": True}), end())
    )
    strict = make_workflow(
        chain(start(), Activity("timeconstraint", "hours", parameters=hours | {"retry": False}), end())
    )
    begin(patient)
    begin(strict)
    assert strict.state == State.FINISHED
    assert "end" not in dict(tasks(strict))
    assert Task.objects.get(workflow=patient, activity="hours").due_at == datetime(
        2026, 11, 25, 8, 0, tzinfo=UTC
    )
    run_to(datetime(2026, 11, 25, 8, 0, tzinfo=UTC), clock)
    assert dict(tasks(patient))["end"] == "completed"


@pytest.mark.parametrize(
    ("at", "inside"), [("23:00", True), ("03:00", True), ("06:00", False), ("12:00", False), ("22:00", True)]
)
def test_hours_may_cross_midnight(db, clock, at, inside):
    clock.move_to(datetime.fromisoformat(f"2026-11-24T{at}+00:00"))
    hours = {"from": "22:00", "to": "06:00", "retry": False}
    workflow = begin(
        make_workflow(chain(start(), Activity("timeconstraint", "hours", parameters=hours), end()))
    )
    assert ("end" in dict(tasks(workflow))) is inside


@pytest.mark.case("E28")
def test_re_entrance(committed_db, clock, monkeypatch):
    """A scheduler fires each minute into an activity that takes three."""
    monkeypatch.setattr(testing, "gate", gate := Gate())
    ran = {}
    for behavior in ("multiple", "priority"):
        busy = call(function="passes_the_gate", behavior=behavior)
        workflow = begin(make_workflow(chain(scheduler(EVERY_MINUTE), busy, end())))
        clock.step(minutes=1)
        with in_thread_next(workflow):
            assert gate.reached.wait(10)
            for _ in range(2):
                clock.step(minutes=1)
                run_schedulers(workflow)
            ran[behavior] = Task.objects.filter(workflow=workflow, activity="work").count()
        gate.reached.clear()
        gate.opened.clear()
        commands.post(admin_actor(), workflow.internal_name, Command.KILL)
        run_until_passive()
    assert ran == {"multiple": 3, "priority": 1}


def run_schedulers(workflow):
    ticker.queue_due()
    task = Task.objects.get(workflow=workflow, activity="schedule")
    testing.runner.run_task(task.task_id)


def in_thread_next(workflow):
    run_schedulers(workflow)
    return in_thread(Task.objects.get(workflow=workflow, activity="work").task_id)


@pytest.mark.case("E49")
def test_an_end_that_stops_all_ends_the_other_branches(db, clock):
    wait = Activity(
        "wait", "wait", parameters={"duration_s": 86400}, transitions=(way("transition", "last"),)
    )
    for stop_all, state in ((True, State.FINISHED), (False, State.STARTED)):
        workflow = make_workflow((fork("wait", "end"), wait, end("last"), end("end", stop_all=stop_all)))
        begin(workflow)
        assert workflow.state == state
        assert dict(tasks(workflow))["wait"] == ("aborted" if stop_all else "pending")


def test_jumps_lead_to_the_end_point_of_their_number(db, clock):
    workflow = make_workflow(
        (
            start(to="away"),
            Activity("jumpin", "away", parameters={"number": 7}),
            Activity("jumpout", "other", parameters={"number": 1}, transitions=(way("transition", "no"),)),
            Activity("jumpout", "here", parameters={"number": 7}, transitions=(way("transition", "yes"),)),
            end("yes"),
            end("no"),
        )
    )
    begin(workflow)
    assert [activity for activity, _ in tasks(workflow)] == ["start", "away", "here", "yes"]


def test_skipped_and_held_activities(db, clock):
    skipped = begin(make_workflow(chain(start(), call(execution="skip"), end())))
    assert (skipped.state, [a for a, _ in tasks(skipped)]) == (State.FINISHED, ["start"])
    held = begin(make_workflow(chain(start(), call(execution="hold"), end())))
    assert (held.state, held.failed, dict(tasks(held))["work"]) == (State.PAUSED, False, "held")
    begin(held)
    assert (held.state, dict(tasks(held))["work"]) == (State.FINISHED, "completed")


@pytest.mark.case("E35")
def test_a_maximum_duration_only_warns(committed_db, monkeypatch, clock):
    from envoi.engine import supervision

    monkeypatch.setattr(testing, "gate", gate := Gate())
    workflow = begin_up_to_work(
        make_workflow(chain(start(), call(function="passes_the_gate", max_duration_s=10), end()))
    )
    with in_thread(Task.objects.get(workflow=workflow, activity="work").task_id):
        assert gate.reached.wait(10)

        def flagged():
            detail = supervision.workflow(admin_actor(), workflow.internal_name, "en")
            return {a.name: a.too_long for a in detail.activities}["work"]

        clock.step(seconds=9)
        assert not flagged()
        clock.step(seconds=51)
        assert flagged()
    run_until_passive()
    workflow.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)


def begin_up_to_work(workflow):
    commands.post(admin_actor(), workflow.internal_name, Command.START)
    while not Task.objects.filter(workflow=workflow, activity="work").exists():
        assert testing.run_one()
    return workflow


@pytest.mark.case("E34")
def test_a_script_ends_at_its_limit_and_at_an_hour_without_one(db, clock, monkeypatch):
    asked = []
    original = scripts.run_script

    def watch(source, *, limits, **rest):
        asked.append(limits.wall_seconds)
        return original(source, limits=Limits(wall_seconds=limits.wall_seconds and 0.5), **rest)

    monkeypatch.setattr(scripts, "run_script", watch)
    slow = "const until = Date.now() + 900; while (Date.now() < until);"
    default = begin(make_workflow(chain(start(), js("slow", slow), end())))
    endless = begin(make_workflow(chain(start(), js("slow", slow, parameters={"timeout_s": 0}), end())))
    assert asked == [3600, 0]
    assert (default.state, default.failed) == (State.PAUSED, True)
    assert (endless.state, endless.failed) == (State.FINISHED, False)


def test_advanced_javascript_is_called_again_until_it_says_that_it_is_done(db, clock):
    advanced = Activity(
        "jsadvanced",
        "many",
        parameters={
            "first": "vars.n = 1; task.postEvent('done'); return 0",
            "next": "task.vars.n = (task.vars.n || 1) + 1; if (task.vars.n == 3) task.setCompleted(); return",
            "schedule": EVERY_MINUTE,
        },
        transitions=(way("done", "end", kind="done"),),
    )
    workflow = begin(make_workflow((start(to="many"), advanced, end())))
    assert dict(tasks(workflow)) == {"start": "completed", "many": "pending", "end": "completed"}
    run_to(clock_at(minutes=5), clock)
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED


def clock_at(**later):
    return datetime(2026, 11, 24, 9, 0, tzinfo=UTC) + timedelta(**later)


def test_sql_code_cannot_end_the_transaction_of_its_activity(db, clock):
    for script in ("COMMIT", "SELECT 1; ROLLBACK", "CREATE TABLE kept (a int); COMMIT; SELECT 1/0"):
        workflow = begin(
            make_workflow(chain(start(), Activity("sql", "sql", parameters={"script": script}), end()))
        )
        assert (workflow.state, workflow.failed) == (State.PAUSED, True)
