"""Events from outside, expirations and approvals (engine.md §7.2, §7.3)."""

import re
from datetime import UTC, datetime

import pytest

from envoi.engine import approvals, commands, testing
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import Approval, Event, LogLine, State, Task
from envoi.engine.testing import chain, lines, make_workflow, run_to, run_until_passive, tasks
from envoi.engine.testing import start as begin
from envoi.engine.tests.diagrams import end, js, start, way
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import OutboxItem
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, make_operator


def signal(*more, **settings):
    return Activity("signal", "signal", transitions=(*more, way("transition", "got")), **settings)


def listening(*more, **settings):
    return make_workflow(
        (
            start(to="signal"),
            signal(*more, **settings),
            js("got", "logInfo('got ' + vars.n)", transitions=(way("done", "end", kind="done"),)),
            end(),
            end("late"),
        )
    )


def send(workflow, n=1, **parameters):
    commands.post(
        admin_actor(),
        workflow.internal_name,
        Command.POST_EVENT,
        activity="signal",
        variables={"n": n},
        **parameters,
    )
    run_until_passive()


@pytest.mark.case("E25")
def test_events_from_outside(db, clock):
    workflow = listening()
    send(workflow)
    assert Event.objects.filter(workflow=workflow).count() == 0
    assert LogLine.objects.filter(workflow=workflow, level=2).count() == 1

    begin(workflow)
    send(workflow, 1)
    send(workflow, 2)
    assert [line for line in lines(workflow) if line.startswith("got")] == ["got 1", "got 2"]

    commands.post(admin_actor(), workflow.internal_name, Command.PAUSE)
    run_until_passive()
    send(workflow, 3)
    assert "got 3" not in lines(workflow)
    begin(workflow)
    assert "got 3" in lines(workflow)

    send(workflow, 4, complete=True)
    assert "got 4" in lines(workflow)
    send(workflow, 5, complete=True)
    assert "got 5" not in lines(workflow)


def test_an_empty_transition_never_means_an_expiration(db, clock):
    expiration = {"expirations": [{"name": "timeout", "delay_s": 3600}]}
    workflow = begin(listening(way("timeout", "late", kind="timeout"), parameters=expiration))
    send(workflow, 1)
    assert "got 1" in lines(workflow)
    assert "late" not in dict(tasks(workflow))


@pytest.mark.parametrize("execution", ["skip", "hold"])
def test_a_disabled_signal_never_fires(db, clock, execution):
    workflow = make_workflow(
        (
            start(to="signal"),
            Activity(
                "wait", "wait", parameters={"duration_s": 86400}, transitions=(way("transition", "end"),)
            ),
            signal(execution=execution),
            js("got", "logInfo('got')", transitions=(way("done", "end", kind="done"),)),
            end(),
        )
    )
    begin(workflow)
    if workflow.state == State.PAUSED:
        return
    send(workflow)
    assert "got" not in lines(workflow)


def asking(*more, multiple=False, **parameters):
    ask = Activity(
        "validation",
        "ask",
        parameters={
            "assignee": {"group": "deciders"},
            "title": "Send it?",
            "multiple": multiple,
            **parameters,
        },
        transitions=(
            way("yes", "answered", kind="answer"),
            way("no", "answered", kind="answer"),
            *more,
        ),
    )
    answered = js(
        "answered",
        "logInfo([event.response, event.responseOperator].join('|'))",
        transitions=(way("done", "end", kind="done"),),
    )
    return make_workflow((start(to="ask"), ask, answered, end(), end("reminded"), end("late")))


@pytest.fixture
def deciders(db):
    return [
        make_operator(name, groups=("deciders",), email=f"{name}@example.org", rights=("WORKFLOW",))
        for name in ("ann", "bob")
    ]


def asked(workflow, operator):
    return Approval.objects.get(workflow=workflow, operator=operator).approval_id


@pytest.mark.case("E26")
def test_expirations_remind_and_then_close(db, clock, deciders):
    ann, _bob = deciders
    workflow = asking(
        way("timeout", "reminded", kind="timeout"),
        way("timeout2", "late", kind="timeout"),
        multiple=True,
        expirations=[
            {"name": "timeout2", "delay_s": 7200},
            {"name": "timeout", "delay_s": 3600, "terminate": False},
        ],
    )
    begin(workflow)
    run_to(datetime(2026, 11, 24, 10, 0, tzinfo=UTC), clock)
    assert "reminded" in dict(tasks(workflow))
    assert OutboxItem.objects.filter(key__startswith="approval:").count() == 4
    approvals.answer(actor_of(ann), asked(workflow, ann), "yes", "fine")
    run_until_passive()
    assert f"fine|{ann.operator_id}" in lines(workflow)
    run_to(datetime(2026, 11, 24, 11, 0, tzinfo=UTC), clock)
    assert "late" in dict(tasks(workflow))
    with pytest.raises(Conflict, match="too late"):
        approvals.answer(actor_of(_bob), asked(workflow, _bob), "no")
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED


@pytest.mark.case("E27")
def test_the_first_answer_of_a_group_decides_and_the_second_is_told(db, clock, deciders):
    ann, bob = deciders
    workflow = begin(asking())
    assert workflow.state == State.STARTED
    with pytest.raises(NotAllowed):
        approvals.answer(admin_actor(), asked(workflow, ann), "yes")
    with pytest.raises(Invalid, match="yes, no"):
        approvals.answer(actor_of(ann), asked(workflow, ann), "perhaps")
    approvals.answer(actor_of(ann), asked(workflow, ann), "no", "not yet")
    with pytest.raises(Conflict, match="Ann has answered already: no"):
        approvals.answer(actor_of(bob), asked(workflow, bob), "yes")
    with pytest.raises(Conflict, match="cannot be changed"):
        approvals.answer(actor_of(ann), asked(workflow, ann), "yes")
    run_until_passive()
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED
    assert f"not yet|{ann.operator_id}" in lines(workflow)
    assert approvals.pending(actor_of(bob)) == []


@pytest.mark.case("E27")
def test_everyone_answers_a_multiple_approval(db, clock, deciders):
    ann, bob = deciders
    workflow = begin(asking(multiple=True))
    approvals.answer(actor_of(ann), asked(workflow, ann), "yes", "one")
    run_until_passive()
    assert [q.title for q in approvals.pending(actor_of(bob))] == ["Send it?"]
    approvals.answer(actor_of(bob), asked(workflow, bob), "no", "two")
    run_until_passive()
    said = [line for line in lines(workflow) if "|" in line]
    assert said == [f"one|{ann.operator_id}", f"two|{bob.operator_id}"]
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED


def test_a_signed_link_answers_for_the_one_who_got_it(db, clock, deciders):
    ann, _bob = deciders
    workflow = begin(asking())
    text = OutboxItem.objects.get(key__startswith=f"approval:{asked(workflow, ann)}:").payload["text"]
    token = re.search(r"/approve/(\S+)", text).group(1)
    actor, approval_id = approvals.read_token(token)
    assert (actor.operator_id, approval_id) == (ann.operator_id, asked(workflow, ann))
    with pytest.raises(NotAllowed):
        approvals.read_token(token[:-1] + ("A" if token[-1] != "A" else "B"))
    with pytest.raises(NotFound):
        approvals.question(actor_of(_bob), approval_id)


def test_an_answer_to_a_paused_workflow_is_kept_until_it_goes_on(db, clock, deciders):
    ann, _bob = deciders
    workflow = begin(asking())
    commands.post(admin_actor(), workflow.internal_name, Command.PAUSE)
    run_until_passive()
    approvals.answer(actor_of(ann), asked(workflow, ann), "yes")
    run_until_passive()
    assert "answered" not in dict(tasks(workflow))
    begin(workflow)
    assert dict(tasks(workflow))["answered"] == "completed"
    assert Task.objects.filter(workflow=workflow, activity="ask", status=1).exists()


def test_an_alert_tells_those_with_an_address_once(db, clock, deciders):
    make_operator("cleo", groups=("deciders",))
    alert = Activity(
        "alert",
        "tell",
        parameters={"assignee": {"group": "deciders"}, "title": "<%= vars.n %> people", "message": "Look."},
    )
    begin(make_workflow(chain(js("count", "vars.n = 3"), alert, end())))
    mails = [item.payload for item in OutboxItem.objects.filter(key__startswith="alert:")]
    assert sorted(mail["to"][0] for mail in mails) == ["ann@example.org", "bob@example.org"]
    assert {mail["subject"] for mail in mails} == {"3 people"}


@pytest.mark.parametrize("multiple", [False, True])
def test_an_accepted_answer_is_not_overtaken_by_an_expiration(db, clock, deciders, multiple):
    ann, _bob = deciders
    workflow = begin(
        asking(
            way("timeout", "late", kind="timeout"),
            multiple=multiple,
            expirations=[{"name": "timeout", "delay_s": 3600}],
        )
    )
    clock.step(minutes=59)
    approvals.answer(actor_of(ann), asked(workflow, ann), "yes", "in time")
    clock.step(minutes=2)
    ask = Task.objects.get(workflow=workflow, activity="ask")
    testing.runner.run_task(ask.task_id)
    run_until_passive()
    assert f"in time|{ann.operator_id}" in lines(workflow)
    assert ("late" in dict(tasks(workflow))) is multiple
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED


def test_the_link_to_an_approval_can_be_opened_from_a_mail():
    assert re.match(r"https?://[^/]+/approve/.+", approvals.link(7))


def test_a_filter_chooses_who_is_asked(db, clock):
    make_operator("ann", email="ann@shop.example")
    make_operator("bob", email="bob@shop.example", disabled=True)
    make_operator("cid", email="cid@elsewhere.example")
    begin(asking(assignee={"filter": "@email LIKE '%@shop.example'"}))
    assert [each.operator.name for each in Approval.objects.all()] == ["ann"]
    for wrong, text in (("@email = 'nobody'", "no active operator fits"), ("@nothing = 1", "@nothing")):
        assert text in "".join(lines(begin(asking(assignee={"filter": wrong}))))


def test_a_schedule_expires_at_its_date(db, clock):
    every = {"frequency": "several", "every_seconds": 3600}
    expirations = [
        {"name": "reminder", "delay_s": 5400, "terminate": False},
        {"name": "timeout", "delay_s": 9000},
    ]
    schedule = Activity(
        "schedule",
        "schedule",
        parameters={"schedule": every, "expirations": expirations},
        transitions=(
            way("transition", "tick"),
            way("reminder", "note", kind="timeout"),
            way("timeout", "late", kind="timeout"),
        ),
    )
    workflow = begin(
        make_workflow((schedule, js("tick", "1"), js("note", "1"), js("late", "1"), end("never")))
    )
    run_to(datetime(2026, 11, 24, 18, 30, tzinfo=UTC), clock)
    ran = [activity for activity, _status in tasks(workflow) if activity not in ("schedule", "never")]
    assert ran == ["tick", "note", "tick", "late"]
    assert dict(tasks(workflow))["schedule"] == "completed"
