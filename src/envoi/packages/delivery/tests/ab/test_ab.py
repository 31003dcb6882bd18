"""Versions of a delivery: the best one goes to the rest, by an activity or by a script as in the product."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.engine import background
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State, Workflow
from envoi.engine.testing import lines, make_workflow, run_until_passive
from envoi.engine.testing import start as begin
from envoi.kernel import clock as product_clock
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.models import Operator, OutboxItem
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import (
    AbTest,
    BroadLogRcp,
    Delivery,
    DeliveryState,
    MessageStatus,
)
from envoi.packages.delivery.services import ab_testing, deliveries, log_tables
from envoi.packages.delivery.services.ab_testing import Figure, Verdict, carrying_out, comparing
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.tracking import indicators
from envoi.packages.delivery.testing import CONTENT, make_delivery, make_recipients

pytestmark = pytest.mark.django_db
S = DeliveryState
MANY = 1000
HTML = "<p>Hello</p><a href='https://shop.example/unsubscribe'>Leave</a>"
"""Only messages with HTML are seen to be opened."""


def people(count: int) -> list[int]:
    ids = list(make_recipients(count, black_list=0, black_list_email=0, email_format=0, text1="here"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nms_recipient SET email = 'p' || recipient_id || '@example.org'")
    return ids


def carry(workflow: Workflow, clock: Any, rounds: int = 8) -> Workflow:
    """Let workers do what is due, minute by minute, while something happens."""
    for _round in range(rounds):
        for answer in background.lost.ask():
            for name, number in answer:
                background.carry_out(name, number)
        clock.step(minutes=1)
        run_until_passive()
        workflow.refresh_from_db()
        if workflow.state != State.STARTED:
            break
    return workflow


def react(delivery: Delivery, opened: int) -> None:
    """Let the messages of a delivery be sent, and some of them be opened by their readers."""
    delivery.refresh_from_db()
    log, hits = "nms_broad_log_rcp", log_tables.partition("tracking_log", "rcp", delivery.run_id or 0)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {log} SET status = %s, event_date = %s WHERE run_id = %s AND status = %s",
            [MessageStatus.SENT, product_clock.now(), delivery.run_id, MessageStatus.PENDING],
        )
        cursor.execute(
            f"""INSERT INTO {hits} (id, target_id, run_id, broad_log_id, delivery_id, url_id, type, log_date)
                SELECT id, target_id, run_id, id, delivery_id, %s, 2, %s FROM {log}
                WHERE run_id = %s AND status = %s ORDER BY id LIMIT %s""",
            [tags.OPEN, product_clock.now(), delivery.run_id, MessageStatus.SENT, opened],
        )
    Delivery.objects.filter(pk=delivery.pk).update(state=S.FINISHED)


def targets(delivery: Delivery) -> set[int]:
    found = BroadLogRcp.objects.filter(run_id=delivery.run_id, status__in=(1, 6))
    return set(found.values_list("target_id", flat=True))


@pytest.mark.case("D83")
def test_the_version_that_was_opened_most_goes_to_the_rest(clock: Any) -> None:
    everybody = people(MANY)
    base = make_delivery({"filter": "@text1 = 'here'"}, label="Spring", subject="A subject", html_source=HTML)
    test = ab_testing.make(base, actor=admin_actor())
    a, b = (each.delivery for each in test.versions.all())
    deliveries.change(b, {"subject": "Another", "text_source": "Other. unsubscribe\n"}, actor=admin_actor())
    workflow = carry(carrying_out.start(test, actor=admin_actor()), clock)
    assert workflow.state == State.STARTED, lines(workflow)
    react(a, 12)
    react(b, 15)
    assert (len(targets(a)), len(targets(b)), targets(a) & targets(b)) == (100, 100, set())
    # Until five days are over nothing goes to the rest.
    clock.step(days=4, hours=23)
    carry(workflow, clock, 2)
    assert Delivery.objects.filter(workflow_id=workflow.pk).count() == 2
    clock.step(hours=1)
    carry(workflow, clock)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    test.refresh_from_db()
    final = Delivery.objects.get(pk=test.final_id)
    assert (final.label, final.subject, final.text_source) == (f"{b.label} final", "Another", b.text_source)
    assert (final.status, final.workflow_id, final.to_deliver) == (S.START_PENDING, workflow.pk, 800)
    assert targets(final) == set(everybody) - targets(a) - targets(b)
    assert test.winner_id == b.pk
    # It says how sure that is: 12 and 15 of 100 may well be chance.
    assert test.decision["verdict"] == Verdict.CHANCE
    assert test.decision["chance"] == pytest.approx(0.5356, abs=1e-3)
    assert [(each["part"], each["whole"]) for each in test.decision["figures"]] == [(15, 100), (12, 100)]


SCRIPT = """
  var found = xtk.queryDef.create({queryDef: {schema: 'nms:delivery', operation: 'select', lineCount: 1,
    select: {node: [{expr: '@id'}, {expr: '@label'}]},
    where: {condition: [{expr: '@FCP = 0 and [@workflow-id] = ' + instance.id}]},
    orderBy: {node: [{expr: '[indicators/@estimatedRecipientOpenRatio]', sortDesc: 'true'}]}}})
    .ExecuteQuery();
  var winner = found.delivery ? (found.delivery[0] || found.delivery) : found[0];
  vars.deliveryId = nms.delivery.Duplicate(winner.id, {label: winner.label + ' final'});
"""


@pytest.mark.case("D83")
def test_a_script_chooses_as_in_the_product(clock: Any) -> None:
    everybody = people(MANY)
    actor = admin_actor()
    for name in ("A", "B"):
        mail = deliveries.find("mail", actor=actor)
        deliveries.create(
            mail,
            actor=actor,
            name=f"template{name}",
            as_template=True,
            **{**CONTENT, "subject": name, "html_source": HTML},
        )
    sample = {"type": "percent", "percent": 10, "random": True}

    def send(name: str, to: str, **said: Any) -> Activity:
        given = {"recipients": "transition", "action": "start", **said}
        return Activity("delivery", name, parameters=given, transitions=(Transition("transition", to),))

    workflow = begin(
        make_workflow(
            (
                Activity(
                    "query", "query",
                    parameters={"targetingDimension": "nms:recipient", "filter": "@text1 = 'here'"},
                    transitions=(Transition("result", "split", kind="result"),),
                ),
                Activity(
                    "extract", "split",
                    parameters={
                        "extractOutput": [{"name": name, "limiter": sample} for name in ("a", "b")]
                    },
                    transitions=(
                        Transition("a", "sendA", kind="extractOutput"),
                        Transition("b", "sendB", kind="extractOutput"),
                        Transition("remainder", "join", kind="remainder"),
                    ),
                ),
                send("sendA", "join", source="template", template="templateA", label="Spring A"),
                send("sendB", "join", source="template", template="templateB", label="Spring B"),
                Activity(
                    "andjoin", "join", parameters={"mainSet": "split"},
                    transitions=(Transition("transition", "wait"),),
                ),
                Activity(
                    "wait", "wait", parameters={"duration_s": 5 * 86_400},
                    transitions=(Transition("transition", "script"),),
                ),
                Activity(
                    "js", "script", parameters={"script": SCRIPT},
                    transitions=(Transition("done", "final", kind="done"),),
                ),
                send("final", "end", source="transition"),
                Activity("end", "end"),
            ),
            keep_results=True,
        )
    )  # fmt: skip
    carry(workflow, clock)
    a, b = (Delivery.objects.get(label=f"Spring {name}") for name in ("A", "B"))
    react(a, 12)
    react(b, 15)
    for each in (a, b):
        indicators.work_out(each.pk, now=product_clock.now(), messages=True)
    clock.step(days=5)
    carry(workflow, clock)
    assert (workflow.state, workflow.failed) == (State.FINISHED, False), lines(workflow)
    final = Delivery.objects.get(label="Spring B final")
    assert (final.subject, final.status, final.to_deliver) == ("B", S.START_PENDING, 800)
    assert targets(final) == set(everybody) - targets(a) - targets(b)


def test_whoever_is_asked_chooses_and_only_once(clock: Any) -> None:
    people(40)
    Operator.objects.filter(name="admin").update(email="boss@example.org", language="fr")
    base = make_delivery({"filter": "@text1 = 'here'"}, label="Spring")
    test = ab_testing.make(base, actor=admin_actor())
    ab_testing.set_up(
        test, actor=admin_actor(), criterion_name="recipientClickRatio", wait=timedelta(minutes=5),
        shares={"A": 25, "B": 25}, tie="ask",
    )  # fmt: skip
    a, b = (each.delivery for each in test.versions.all())
    workflow = carry(carrying_out.start(test, actor=admin_actor()), clock, 4)
    react(a, 0)
    react(b, 0)
    clock.step(minutes=5)
    carry(workflow, clock, 3)
    test.refresh_from_db()
    assert (workflow.state, test.winner_id, test.decision["verdict"]) == (State.STARTED, None, Verdict.EQUAL)
    asked = OutboxItem.objects.filter(key__startswith="ab-test:")
    assert [each.payload["to"] for each in asked] == [["boss@example.org"]]
    assert "choisissez une version de Spring" in asked[0].payload["subject"]
    assert f"/deliveries/{base.pk}/versions" in asked[0].payload["text"]
    clock.step(days=1)
    carry(workflow, clock, 3)
    assert [each.key.split(":")[2] for each in asked.order_by("pk")] == ["0", "1"]
    only_prepares = actor_of(make_operator("paul", (Right.PREPARE_DELIVERIES,)))
    with pytest.raises(NotAllowed):
        ab_testing.choose(test, a.pk, actor=only_prepares)
    ab_testing.choose(test, a.pk, actor=admin_actor())
    with pytest.raises(Conflict):
        ab_testing.choose(test, b.pk, actor=admin_actor())
    carry(workflow, clock)
    assert workflow.state == State.FINISHED, lines(workflow)
    assert Delivery.objects.get(pk=AbTest.objects.get().final_id).label == f"{a.label} final"


def test_a_test_is_changed_until_it_starts() -> None:
    base = make_delivery(label="Spring")
    test = ab_testing.make(base, actor=admin_actor())
    said: dict[str, Any] = {
        "actor": admin_actor(),
        "criterion_name": "optOutRatio",
        "wait": timedelta(hours=4),
    }
    ab_testing.set_up(test, shares={"A": 10, "B": 10, "C": 5}, **said)
    assert [each.share for each in test.versions.all()] == [10, 10, 5]
    ab_testing.set_up(test, shares={"A": 10, "B": 20}, **said)
    assert [each.letter for each in test.versions.all()] == ["A", "B"]
    for wrong in ({"A": 10}, {"A": 50, "B": 50}, {"A": 10, "C": 10}, {"A": 0, "B": 10}):
        with pytest.raises(Invalid):
            ab_testing.set_up(test, shares=wrong, **said)
    with pytest.raises(Conflict):
        ab_testing.make(base, actor=admin_actor())
    with pytest.raises(Conflict):
        ab_testing.make(make_delivery({"table": "wkf1_1"}), actor=admin_actor())
    versions = [each.delivery for each in test.versions.all()]
    ab_testing.remove(test, actor=admin_actor())
    assert not deliveries.visible(admin_actor()).filter(pk__in=[each.pk for each in versions]).exists()


def test_what_figures_say_and_what_they_do_not() -> None:
    def figures(*said: tuple[int, int]) -> list[Figure]:
        return [Figure(index, "", part, whole) for index, (part, whole) in enumerate(said)]

    # 45 of 500 and 75 of 500: z = 2.919, p = 0.0035.
    sure = ab_testing.compare(figures((45, 500), (75, 500)))
    assert (sure.verdict, sure.best.delivery_id) == (Verdict.SURE, 1)
    assert sure.chance == pytest.approx(0.00351, abs=1e-4)
    # A third version makes it twice as likely that chance has done it.
    assert ab_testing.compare(figures((45, 500), (75, 500), (10, 500))).chance == pytest.approx(
        2 * sure.chance
    )
    assert ab_testing.compare(figures((5, 50), (9, 50))).verdict is Verdict.CHANCE
    assert ab_testing.compare(figures((5, 50), (9, 50)), least=51).verdict is Verdict.FEW
    assert ab_testing.compare(figures((0, 50), (0, 50))).verdict is Verdict.EQUAL
    assert ab_testing.compare(figures((3, 50), (1, 50)), lower=True).best.delivery_id == 1
    assert ab_testing.compare(figures((3, 0), (1, 50))).verdict is Verdict.FEW
    assert comparing.p_value(*figures((0, 9), (0, 9))) == 1.0
