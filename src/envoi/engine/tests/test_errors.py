"""What an error does to a workflow (engine.md §5.6)."""

import re
from datetime import UTC, datetime

import pytest

from envoi.engine import commands, editing
from envoi.engine.commands import Command
from envoi.engine.definition import Definition
from envoi.engine.models import LogLine, State, Task
from envoi.engine.testing import chain, lines, make_workflow, run_to, run_until_passive, tasks
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import EVERY_HOUR, call, end, js, scheduler, start, way
from envoi.kernel.models import Group, OutboxItem
from envoi.kernel.testing import admin_actor, make_operator


@pytest.mark.case("E15")
def test_suspend_tells_the_supervisors_once_and_resumes_at_the_failing_activity(db, clock):
    ann = make_operator("ann", groups=("watchers",), email="ann@example.org")
    make_operator("bob", groups=("watchers",))
    broken = chain(start(), js("broken", "nonsense.at.all"), end())
    workflow = make_workflow(broken, supervisor_group_id=Group.objects.get(name="watchers").pk)
    begin(workflow)
    assert (workflow.state, workflow.failed) == (State.PAUSED, True)
    assert tasks(workflow) == [("start", "completed"), ("broken", "error")]
    mails = [item.payload for item in OutboxItem.objects.filter(kind="mail")]
    assert [mail["to"] for mail in mails] == [[ann.email]]
    assert "broken" in mails[0]["text"]
    assert "nonsense" in mails[0]["text"]
    assert re.search(r"https?://[^/\s]+/workflows/WKF\d+$", mails[0]["text"])

    mended = Definition(chain(start(), js("broken", "vars.done = 1"), end()))
    editing.save(admin_actor(), workflow.internal_name, definition=mended)
    begin(workflow)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    assert tasks(workflow) == [("start", "completed"), ("broken", "completed"), ("end", "completed")]


def test_a_second_failure_is_a_second_mail(db, clock):
    make_operator("ann", groups=("watchers",), email="ann@example.org")
    workflow = make_workflow(
        chain(start(), call(function="always_fails"), end()),
        supervisor_group_id=Group.objects.get(name="watchers").pk,
    )
    begin(workflow)
    begin(workflow)
    assert OutboxItem.objects.filter(kind="mail").count() == 2
    assert [activity for activity, _ in tasks(workflow)] == ["start", "work"]


def test_a_failure_before_anything_was_activated_is_told_too(db, clock):
    make_operator("ann", groups=("watchers",), email="ann@example.org")
    workflow = make_workflow(
        chain(start(), end()),
        script="function onStart() { nonsense.at.all }",
        supervisor_group_id=Group.objects.get(name="watchers").pk,
    )
    for count in (1, 2):
        begin(workflow)
        assert (workflow.state, workflow.failed, tasks(workflow)) == (State.FINISHED, True, [])
        assert OutboxItem.objects.filter(kind="mail").count() == count
    assert "nonsense" in OutboxItem.objects.first().payload["text"]


@pytest.mark.case("E16")
def test_ignored_errors_suspend_after_the_given_number_in_a_row(db, clock):
    workflow = make_workflow(
        chain(scheduler(EVERY_HOUR), js("work", "if (instance.vars.fails) throw new Error('no')"), end()),
        on_error=1,
        consecutive_errors=3,
    )
    begin(workflow, variables={"fails": True})
    for hour in (10, 11):
        run_to(datetime(2026, 11, 24, hour, 30, tzinfo=UTC), clock)
        workflow.refresh_from_db()
        assert (workflow.state, workflow.failed) == (State.STARTED, False)
        assert "end" not in dict(tasks(workflow))
    workflow.variables = {"fails": False}
    workflow.save(update_fields=["variables"])
    run_to(datetime(2026, 11, 24, 12, 30, tzinfo=UTC), clock)
    assert dict(tasks(workflow))["end"] == "completed"
    workflow.variables = {"fails": True}
    workflow.save(update_fields=["variables"])
    for hour, state in ((13, State.STARTED), (14, State.STARTED), (15, State.PAUSED)):
        run_to(datetime(2026, 11, 24, hour, 30, tzinfo=UTC), clock)
        workflow.refresh_from_db()
        assert (workflow.state, workflow.failed) == (state, state == State.PAUSED)


def test_without_a_limit_ignored_errors_never_suspend(db, clock):
    workflow = make_workflow(chain(scheduler(EVERY_HOUR), call(function="always_fails"), end()), on_error=1)
    begin(workflow)
    run_to(datetime(2026, 11, 25, 9, 0, tzinfo=UTC), clock)
    workflow.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.STARTED, False)
    assert [status for activity, status in tasks(workflow) if activity == "work"] == ["failed"] * 24


def test_an_activity_may_override_the_policy_of_its_workflow(db, clock):
    workflow = make_workflow(
        chain(start(), call(function="always_fails", on_error="ignore"), end()), on_error=0
    )
    begin(workflow)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    assert dict(tasks(workflow))["work"] == "failed"


@pytest.mark.case("E17")
def test_abort_on_error_finishes_failed_and_starts_at_the_beginning_again(db, clock):
    workflow = make_workflow(chain(start(), call(function="always_fails"), end()), on_error=2)
    begin(workflow)
    assert (workflow.state, workflow.failed) == (State.FINISHED, True)
    begin(workflow)
    assert [activity for activity, _ in tasks(workflow)] == ["start", "work"] * 2
    assert Task.objects.filter(workflow=workflow).values("run_number").distinct().count() == 2


@pytest.mark.case("E19")
def test_log_error_ends_the_script(db, clock):
    workflow = make_workflow(
        chain(start(), js("talk", "logInfo('one'); logError('two'); logInfo('three')"), end())
    )
    begin(workflow)
    said = LogLine.objects.filter(workflow=workflow, activity="talk").order_by("pk")
    shown = [(line.get_level_display(), text) for line, text in zip(said, lines_of(said), strict=True)]
    assert shown == [("info", "one"), ("error", "two")]
    assert dict(tasks(workflow))["talk"] == "error"


def lines_of(found):
    return [line.message % line.params if line.params is not None else line.message for line in found]


@pytest.mark.case("E20")
def test_a_transition_that_leads_nowhere_pauses_without_failing(db, clock):
    workflow = make_workflow((start(to="work"), call(transitions=(way("done", kind="done"),))))
    begin(workflow)
    assert (workflow.state, workflow.failed) == (State.PAUSED, False)
    assert dict(tasks(workflow))["work"] == "completed"
    warnings = list(LogLine.objects.filter(workflow=workflow, level=1))
    assert [line.activity for line in warnings] == ["work"]


def test_a_connected_transition_goes_on_where_it_paused(db, clock):
    workflow = make_workflow((start(to="work"), call(transitions=(way("done", kind="done"),))))
    begin(workflow)
    whole = Definition(chain(start(), call(), end()))
    editing.save(admin_actor(), workflow.internal_name, definition=whole)
    begin(workflow)
    assert tasks(workflow) == [("start", "completed"), ("work", "completed"), ("end", "completed")]
    assert workflow.state == State.FINISHED


def test_processed_errors_take_the_error_transition(db, clock):
    ways = (way("done", "end", kind="done"), way("error", "mend", kind="error"))
    workflow = make_workflow(
        (
            start(to="work"),
            call(function="always_fails", transitions=ways, process_errors=True),
            call("mend", transitions=(way("done", "end", kind="done"),)),
            end(),
        )
    )
    begin(workflow)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    assert [activity for activity, _ in tasks(workflow)] == ["start", "work", "mend", "end"]


def test_a_wrong_setting_fails_even_where_errors_are_processed(db, clock):
    ways = (way("done", "end", kind="done"), way("error", "end", kind="error"))
    tell = call("tell", transitions=ways, process_errors=True)
    workflow = make_workflow((start(to="tell"), tell, end()))
    commands.post(admin_actor(), workflow.internal_name, Command.START)
    # The service disappears between the check and the run.
    broken = Definition(
        (start(to="tell"), call("tell", "gone", transitions=ways, process_errors=True), end())
    )
    editing.save(admin_actor(), workflow.internal_name, definition=broken)
    run_until_passive()
    workflow.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.PAUSED, True)
    assert "gone" in "".join(lines(workflow))
