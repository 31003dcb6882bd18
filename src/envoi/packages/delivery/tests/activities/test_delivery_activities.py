"""Activities on deliveries, run by the engine: prepared, started, controlled, recurring, continuous."""

from typing import Any

import pytest
from django.test import Client

from envoi.engine import background, commands, population, runner
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Event, State, Task, Workflow
from envoi.engine.testing import lines, make_workflow, run_until_passive
from envoi.engine.testing import start as begin
from envoi.kernel import clock as product_clock
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import (
    BroadLogRcp,
    Delivery,
    DeliveryApproval,
    DeliveryPart,
    DeliveryRun,
    DeliveryState,
    Kind,
    MessageStatus,
    Recipient,
    RunStep,
)
from envoi.packages.delivery.services import deliveries
from envoi.packages.delivery.services.deliveries import approvals
from envoi.packages.delivery.testing import CONTENT, make_recipients

pytestmark = pytest.mark.django_db
S = DeliveryState
END = Activity("end", "end")


def people(count: int, **columns: Any) -> list[int]:
    ids = list(make_recipients(count, black_list=0, black_list_email=0, text1="here", **columns))
    for number in ids:
        Recipient.objects.filter(pk=number).update(email=f"p{number}@example.org")
    return ids


def template(name: str = "letter", of: str = "mail", **values: Any) -> Delivery:
    actor = admin_actor()
    found = deliveries.find(of, actor=actor)
    return deliveries.create(
        found, actor=actor, name=name, label=name, as_template=True, **({**CONTENT, **values})
    )


def ask(to: str, filter: str = "@text1 = 'here'", name: str = "query", **more: Any) -> Activity:
    return Activity(
        "query",
        name,
        parameters={"targetingDimension": "nms:recipient", "filter": filter, **more},
        transitions=(Transition("result", to, kind="result"),),
    )


def deliver(kind: str, name: str, to: str = "end", *ways: Transition, **parameters: Any) -> Activity:
    drawn = ways or ((Transition("transition", to),) if to else ())
    return Activity(kind, name, parameters=parameters, transitions=drawn)


def work() -> None:
    """Do what workers do beside activities."""
    for answer in background.lost.ask():
        for name, number in answer:
            background.carry_out(name, number)


def carry(workflow: Workflow, clock: Any, rounds: int = 8) -> Workflow:
    """Let a workflow go on until it ends or has looked `rounds` times in vain."""
    for _round in range(rounds):
        work()
        clock.step(minutes=1)
        run_until_passive()
        workflow.refresh_from_db()
        if workflow.state != State.STARTED:
            break
    return workflow


def only(**found: Any) -> Delivery:
    return Delivery.objects.get(is_model=False, **found)


def pending(run: DeliveryRun | int | None) -> set[int]:
    number = run.pk if isinstance(run, DeliveryRun) else run
    messages = BroadLogRcp.objects.filter(run_id=number, status=MessageStatus.PENDING)
    return set(messages.values_list("target_id", flat=True))


def test_a_population_is_split_prepared_and_started(clock: Any) -> None:
    """A query, a split and a new delivery: to state 51, with data of the workflow in its content."""
    ids = people(6)
    Recipient.objects.filter(pk=ids[0]).update(black_list=1)
    template(text_source="Dear {{ targetData.nick }}\nhttps://shop.example/unsubscribe\n")
    workflow = begin(
        make_workflow(
            (
                ask("split", columns=[{"expr": "Upper(@firstName)", "alias": "nick"}]),
                Activity(
                    "extract",
                    "split",
                    parameters={"extractOutput": [{"name": "some", "filter": f"@id <= {ids[3]}"}]},
                    transitions=(Transition("some", "send", kind="extractOutput"),),
                ),
                deliver(
                    "delivery", "send", "", Transition("transition", "end"),
                    Transition("others", "end", kind="complement"),
                    source="template", template="letter", label="To <%= vars.recCount %>",
                    recipients="transition", action="start",
                    script="delivery.mailParameters.subject = 'Set by ' + instance.internalName",
                ),
                END,
            ),
            name="WKF_letter",
            keep_results=True,
        )
    )  # fmt: skip
    delivery = only()
    assert (delivery.status, workflow.state) == (S.TARGET_PENDING, State.STARTED), lines(workflow)
    # The task waits without a worker, and with the table of the population.
    assert population.stored(delivery.targeting["table"]) is not None
    carry(workflow, clock)
    delivery.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    assert delivery.status is S.START_PENDING
    assert (delivery.workflow_id, delivery.label) == (workflow.pk, "To 4")
    assert delivery.subject == "Set by WKF_letter"
    assert pending(delivery.run_id) == set(ids[1:4])
    assert "Action 'Prepare and start' performed on delivery 'To 4'" in lines(workflow)
    fired = {each.transition: each.variables for each in Event.objects.filter(source="send")}
    assert fired["transition"]["recCount"] == "3"
    assert fired["others"]["recCount"] == "1"
    assert fired["transition"]["deliveryId"] == str(delivery.pk)
    reached = population.stored(fired["transition"]["tableName"])
    assert reached is not None
    assert [each.attribute for each in reached[0].columns] == ["nick"]
    from envoi.packages.delivery.services import content

    run = DeliveryRun.objects.get(pk=delivery.run_id)
    frozen = content.load(run)
    texts = [frozen.render(row).text for row in frozen.rows("rcp", 0, 2**62)]
    assert sorted(text.splitlines()[0] for text in texts) == sorted(
        f"Dear {name.upper()}"
        for name in Recipient.objects.filter(pk__in=ids[1:4]).values_list("first_name", flat=True)
    )


def test_a_step_that_is_repeated_makes_nothing_twice(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a worker had done when it died is rolled back, or remembered by the task."""
    people(3)
    template()
    workflow = make_workflow((ask("send"), deliver("deliveryEmail", "send", template="letter"), END))
    settle, deaths = runner._settle, []

    def dies(*args: Any) -> Any:
        claim = args[0]
        if claim["activity"] == "send" and len(deaths) < 2:
            deaths.append(claim["task_id"])
            raise runner.Fenced
        return settle(*args)

    monkeypatch.setattr(runner, "_settle", dies)

    def repeat() -> None:
        Task.objects.filter(activity="send", status=2).update(
            status=0, due_at=product_clock.now(), queued=False, lease_token=None, worker_id=None
        )

    begin(workflow)
    assert not Delivery.objects.filter(is_model=False).exists()
    repeat()
    run_until_passive()
    assert len(deaths) == 2
    repeat()
    carry(workflow, clock)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    delivery = only()
    assert delivery.status is S.START_PENDING
    assert DeliveryRun.objects.filter(delivery=delivery).count() == 1


def test_only_the_missing_steps_are_done(clock: Any) -> None:
    """Save, estimate, prepare, start: each goes on where the one before has ended."""
    ids = people(3)
    template(targeting={"filter": "@text1 = 'here'"})
    workflow = begin(
        make_workflow(
            (
                deliver("delivery", "save", "estimate", source="template", template="letter", action="save"),
                deliver("delivery", "estimate", "prepare", source="transition", action="estimate"),
                deliver("delivery", "prepare", "start", source="transition", action="prepare"),
                deliver("deliveryControl", "start", "again", action="start"),
                deliver("deliveryControl", "again", "", action="start"),
            ),
            keep_results=True,
        )
    )
    delivery = only()
    work()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.to_deliver) == (S.TARGET_READY, 3)
    assert not DeliveryPart.objects.exists()
    carry(workflow, clock)
    delivery.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    assert delivery.status is S.START_PENDING
    assert pending(delivery.run_id) == set(ids)
    fired = {each.source: each.variables for each in Event.objects.filter(workflow=workflow)}
    assert {name: fired[name].get("recCount") for name in fired} == {
        "save": None, "estimate": "3", "prepare": "3", "start": "3",
    }  # fmt: skip
    assert "tableName" not in fired["estimate"]
    # One analysis estimated, one prepared; starting found nothing missing, twice.
    assert [each.step for each in DeliveryRun.objects.order_by("pk")] == [RunStep.GONE, RunStep.READY]


def test_a_delivery_is_paused_goes_on_and_is_stopped(clock: Any) -> None:
    people(2)
    template(targeting={"filter": "@text1 = 'here'"})
    workflow = begin(
        make_workflow(
            (
                deliver("delivery", "send", "pause", source="template", template="letter", action="start"),
                deliver("deliveryControl", "pause", "on", action="pause"),
                deliver("deliveryControl", "on", "stop", action="start"),
                deliver("deliveryControl", "stop", "", action="stop"),
            )
        )
    )
    carry(workflow, clock)
    delivery = only()
    told = [line for line in lines(workflow) if line.startswith("Action ")]
    assert [line.split("'")[1] for line in told][:3] == ["Prepare and start", "Pause", "Start"], lines(
        workflow
    )
    # No sender is there: a worker sees to the stop.
    assert delivery.status is S.STOPPED
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    assert "Action 'Stop' performed on delivery 'letter'" in lines(workflow)
    name = delivery.internal_name
    on = deliver("deliveryControl", "on", "", source="explicit", delivery=name, action="start")
    again = begin(make_workflow((on,)))
    assert again.failed
    assert "was stopped" in " ".join(lines(again))


def test_an_analysis_with_errors_fails_the_activity_and_is_done_anew_when_it_is_resumed(clock: Any) -> None:
    people(1)
    template(subject="", targeting={"filter": "@text1 = 'here'"})
    workflow = begin(
        make_workflow(
            (deliver("delivery", "send", "", source="template", template="letter", action="start"),)
        )
    )
    carry(workflow, clock)
    delivery = only()
    assert (workflow.state, workflow.failed) == (State.PAUSED, True)
    assert any(f"(analysis {delivery.run_id})" in line for line in lines(workflow))
    deliveries.change(delivery, {"subject": "Now"}, actor=admin_actor())
    commands.post(admin_actor(), workflow.internal_name, commands.Command.START)
    run_until_passive()
    carry(workflow, clock)
    delivery.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    assert delivery.status is S.START_PENDING


def test_people_decide_where_they_are_asked(clock: Any) -> None:
    """The task waits for an approval, whoever the workflow runs for, and goes on after it."""
    people(1)
    template(targeting={"filter": "@text1 = 'here'"}, approvals={"start": {"operators": ["admin"]}})
    send = deliver("delivery", "send", "", source="template", template="letter", action="start")
    workflow = carry(begin(make_workflow((send,))), clock)
    assert (workflow.state, only().status) == (State.STARTED, S.READY)
    asked = DeliveryApproval.objects.get(delivery=only(), approved=None)
    approvals.answer(asked.pk, yes=True, actor=admin_actor())
    carry(workflow, clock)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    assert only().status is S.START_PENDING


def test_errors_that_are_processed_leave_by_their_own_way(clock: Any) -> None:
    workflow = begin(
        make_workflow(
            (
                Activity(
                    "delivery",
                    "send",
                    parameters={"source": "explicit", "delivery": "DM404", "action": "start"},
                    process_errors=True,
                    transitions=(Transition("error", "end", kind="error"),),
                ),
                END,
            )
        )
    )
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    assert "DM404" in Event.objects.get(source="send", transition="error").variables["errorMessage"]


def test_a_delivery_for_each_time(clock: Any) -> None:
    people(2)
    found = template()
    made = make_workflow((ask("send"), deliver("recurringDelivery", "send", template="letter"), END))
    for _time in range(2):
        workflow = carry(begin(made), clock)
        assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
        latest = Delivery.objects.filter(is_model=False).latest("pk")
        assert latest.status is S.START_PENDING
        deliveries.stop(latest, actor=admin_actor())
    two = Delivery.objects.filter(is_model=False)
    assert {(each.kind, each.parent_id, each.to_deliver) for each in two} == {(Kind.RECURRING, found.pk, 2)}
    assert two.count() == 2


def test_recipients_are_added_to_one_delivery(clock: Any) -> None:
    """Logs add up, what waits is sent on, and nobody to add harms nobody."""
    first, second = people(2), people(3)
    template()
    months = "<%= 'Birthdays ' + vars.month %>"

    def add(filter: str, month: str = "5") -> Workflow:
        made = make_workflow(
            (
                ask("vars", filter),
                Activity(
                    "js", "vars", parameters={"script": f"vars.month = '{month}'"},
                    transitions=(Transition("done", "send", kind="done"),),
                ),
                deliver("continuousDelivery", "send", template="letter", label=months),
                END,
            )
        )  # fmt: skip
        workflow = carry(begin(made), clock)
        assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
        return workflow

    add(f"@id <= {first[-1]}")
    delivery = only()
    assert (delivery.label, delivery.kind) == ("Birthdays 5", Kind.CONTINUOUS)
    one = delivery.run_id
    # A sender has the first message; the other one waits.
    BroadLogRcp.objects.filter(run_id=one, target_id=first[0]).update(status=MessageStatus.SENT)
    Delivery.objects.filter(pk=delivery.pk).update(state=S.IN_PROGRESS)
    add(f"@id > {first[-1]}")
    delivery = only()
    assert (delivery.status, delivery.to_deliver, delivery.total_target) == (S.START_PENDING, 5, 5)
    assert (pending(one), pending(delivery.run_id)) == ({first[1]}, set(second))
    assert set(DeliveryPart.objects.values_list("run_id", flat=True)) == {one, delivery.run_id}
    # Everybody of the third population is left out: the delivery goes on with what it had.
    Recipient.objects.filter(pk__in=first).update(black_list=1)
    add(f"@id <= {first[-1]}")
    add("@id < 0")
    again = only()
    assert (again.status, again.run_id, again.to_deliver) == (S.START_PENDING, delivery.run_id, 5)
    assert pending(one) == {first[1]}
    add(f"@id = {second[0]}", month="6")
    assert set(Delivery.objects.filter(is_model=False).values_list("label", flat=True)) == {
        "Birthdays 5", "Birthdays 6",
    }  # fmt: skip


def test_the_diagram_leads_to_the_delivery_and_back(clock: Any) -> None:
    template(targeting={"filter": "@text1 = 'here'"})
    send = deliver("delivery", "send", "", source="template", template="letter", action="save")
    workflow = begin(make_workflow((send,), name="WKF_back", keep_results=True))
    client = Client()
    client.force_login(make_operator("ann", ("ADMINISTRATION",)), "django.contrib.auth.backends.ModelBackend")
    place = f"/deliveries/{only().pk}"
    page = client.get(f"/workflows/{workflow.internal_name}?activity=send").content.decode()
    assert f'<a href="{place}"' in page
    assert f'href="/workflows/{workflow.internal_name}"' in client.get(place).content.decode()
