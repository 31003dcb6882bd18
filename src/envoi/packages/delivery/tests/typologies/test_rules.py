from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.kernel import clock as product_clock
from envoi.kernel import writing
from envoi.kernel.clock import Frozen
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import (
    BroadLogRcp,
    ControlPhase,
    Delivery,
    DeliveryMapping,
    DeliveryRun,
    DeliveryState,
    DlvExclusion,
    ExclLogRcp,
    FailureReason,
    JobLevel,
    JobLog,
    MessageStatus,
    Recipient,
    RuleType,
    TypologyRule,
)
from envoi.packages.delivery.services import analysis, deliveries, suppression, typologies
from envoi.packages.delivery.services.typologies.checks import sms_parts
from envoi.packages.delivery.testing import make_delivery, make_recipients, make_service

pytestmark = pytest.mark.django_db
CLEAN = {"black_list": 0, "black_list_email": 0}


def people(count: int, **columns: Any) -> list[int]:
    ids = list(make_recipients(count, **{**CLEAN, **columns}))
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org")
    return ids


def rule(name: str, kind: RuleType, definition: dict[str, Any], **values: Any) -> TypologyRule:
    actor = admin_actor()
    made = typologies.create_rule(name, actor=actor, type=kind, definition=definition, **values)
    typologies.put_in(typologies.find_typology(typologies.DEFAULT), made, actor=actor)
    return made


def filtering(name: str, where: Any, **values: Any) -> TypologyRule:
    schema = values.pop("schema", "nms:recipient")
    return rule(name, RuleType.FILTERING, {"schema": schema, "where": where}, **values)


def control(name: str, script: str, **values: Any) -> TypologyRule:
    return rule(name, RuleType.CONTROL, {"script": script}, **values)


def analyse(delivery: Delivery, actor: Any = None) -> DeliveryRun:
    who = actor or admin_actor()
    run = analysis.work(analysis.start(delivery, actor=who, queue=False).pk, actor=who)
    delivery.refresh_from_db()
    return run


def reasons(run: DeliveryRun) -> dict[int, int]:
    return dict(BroadLogRcp.objects.filter(run_id=run.pk).values_list("target_id", "failure_reason"))


def said(delivery: Delivery, level: JobLevel) -> list[str]:
    found = JobLog.objects.filter(delivery=delivery, level=level).order_by("pk")
    return [deliveries.text(each) for each in found]


def test_filtering_rules_exclude_in_their_order_after_the_native_checks_and_before_doubles() -> None:
    bare, listed, first, both, twin, kept = people(6)
    change = Recipient.objects.filter
    suppression.add(["a1@example.org"], actor=admin_actor())
    change(pk__in=[bare, listed, first, both]).update(company="Acme")
    change(pk=bare).update(email="")
    change(pk__in=[both, twin]).update(origin="shop")
    change(pk__in=[first, twin, kept]).update(email="same@example.org")
    filtering("late", "@origin = 'shop'", rank=30)
    filtering("early", "@company = 'Acme'", rank=20)
    filtering("off", "@id > 0", active=False)
    filtering("sms", "@id > 0", channel=1)
    filtering("spring", "@id > 0", applies="@code = 'spring'")
    delivery = make_delivery(exclusion_log=True)
    run = analyse(delivery)
    # `twin` is no double of `first`, who is excluded; nor is `kept`, since both before it are.
    rules = dict(TypologyRule.objects.values_list("pk", "name"))
    logs = ExclLogRcp.objects.filter(run_id=run.pk)
    assert {
        each.target_id: (each.failure_reason, rules.get(each.rule_id)) for each in logs
    } == {
        bare: (7, None), listed: (11, None), first: (11, "early"), both: (11, "early"), twin: (11, "late"),
    }  # fmt: skip
    assert reasons(run) == {kept: 0}
    counted = DlvExclusion.objects.filter(run=run).values_list("failure_reason", "rule", "count")
    assert set(counted) == {(7, "", 1), (11, "suppressionList", 1), (11, "early", 2), (11, "late", 1)}
    assert "Excluded: 2 (excluded by a rule: early)." in said(delivery, JobLevel.INFO)
    assert set(reasons(analyse(make_delivery(code="spring"))).values()) == {7, 11}


def test_a_filtering_rule_may_ask_about_other_rows_and_sees_all_of_them() -> None:
    ann, bob = people(2)
    service = make_service("news")
    hidden = make_folder("hidden", model="nms:service")
    allow(hidden, make_operator("keeper"))
    type(service).objects.filter(pk=service.pk).update(folder=hidden)
    from envoi.packages.delivery.services import chosen, subscriptions

    service.refresh_from_db()
    subscriptions.subscribe(service, chosen.ids([ann]), actor=admin_actor())
    filtering(
        "readers",
        {"condition": [{"expr": "[subscription]", "setOperator": "EXISTS",
                        "condition": [{"expr": "[service/@name] = 'news'"}]}]},
    )  # fmt: skip
    who = actor_of(make_operator("joe", rights=(Right.PREPARE_DELIVERIES,)))
    assert reasons(analyse(make_delivery(), who)) == {ann: FailureReason.RULE, bob: 0}
    # A collection that is passed by a path multiplies nothing.
    filtering("more", "[subscription/service/@label] = 'News'", rank=10)
    assert reasons(analyse(make_delivery())) == {ann: FailureReason.RULE, bob: 0}


def test_a_rule_about_persons_holds_for_deliveries_to_their_subscriptions() -> None:
    ann, bob = people(2)
    from envoi.packages.delivery.services import chosen, subscriptions

    service = make_service("news")
    subscriptions.subscribe(service, chosen.ids([ann, bob]), actor=admin_actor())
    filtering("not-ann", f"@id = {ann}")
    filtering("strange", "@name = 'x'", schema="nms:service")
    rule("p", RuleType.PRESSURE, {"threshold": 0})
    delivery = make_delivery()
    mapping = DeliveryMapping.objects.get(name="mapSubscribe")
    Delivery.objects.filter(pk=delivery.pk).update(mapping=mapping)
    delivery.refresh_from_db()
    run = analyse(delivery)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT s.recipient_id, l.status FROM nms_broad_log_sub l
               JOIN nms_subscription s ON s.subscription_id = l.target_id WHERE l.run_id = %s""",
            [run.pk],
        )
        assert dict(cursor.fetchall()) == {ann: MessageStatus.IGNORED, bob: MessageStatus.PENDING}
    told = said(delivery, JobLevel.INFO)
    assert "strange is about other rows than the target, and is not applied." in told
    assert "p is about other rows than the target, and is not applied." in told


def test_control_rules_look_in_their_phase_and_errors_keep_a_delivery_from_being_confirmed() -> None:
    people(3)
    order = "logInfo(`{} ${{delivery.count}} ${{delivery.subject}}`); return true"
    for phase in reversed(ControlPhase):
        control(f"at{phase.value}", order.format(phase.value), phase=phase)
    delivery = make_delivery({"filter": "@id > 0", "exclude": {"limit": 2}})
    analyse(delivery)
    assert delivery.status is DeliveryState.READY
    told = [each.split(": ")[1] for each in said(delivery, JobLevel.INFO) if each.startswith("at")]
    assert told == ["0 0 News", "1 3 News", "2 2 News", "3 2 News"]
    control("warns", "logWarning('hm'); return delivery.subject.length > 50", level=JobLevel.WARNING)
    analyse(delivery)
    assert said(delivery, JobLevel.WARNING) == ["warns: hm", "The control rule does not hold: warns."]
    deliveries.confirm(delivery, actor=admin_actor())
    late = control("late", "return false", level=JobLevel.ERROR)
    blocked = make_delivery()
    analyse(blocked)
    assert blocked.status is DeliveryState.READY
    with pytest.raises(Conflict, match="has errors"):
        deliveries.confirm(blocked, actor=admin_actor())
    typologies.change_rule(late, {"active": False}, actor=admin_actor())
    early = control("early", "return false", phase=ControlPhase.TARGETED)
    stopped = make_delivery()
    run = analyse(stopped)
    assert stopped.status is DeliveryState.FAILED
    assert said(stopped, JobLevel.ERROR) == ["The control rule does not hold: early."]
    assert not BroadLogRcp.objects.filter(run_id=run.pk).exists()
    typologies.change_rule(early, {"definition": {"script": "return nothing.here"}}, actor=admin_actor())
    analyse(stopped)
    assert "The control rule early failed" in said(stopped, JobLevel.ERROR)[-1]
    typologies.change_rule(early, {"definition": {"script": "return true"}}, actor=admin_actor())
    analyse(stopped)
    assert stopped.status is DeliveryState.READY


def test_a_control_rule_reads_with_the_rights_of_who_analyses_and_writes_nothing() -> None:
    people(2)
    secret = make_folder("secret", model="nms:recipient")
    allow(secret, make_operator("keeper"))
    people(3, folder=secret)
    asked = "{schema: 'nms:recipient', operation: 'select', select: {node: [{expr: '@id'}]}}"
    count = f"xtk.queryDef.ExecuteQuery({asked})"
    control("sees", f"logInfo(String({count}.length)); return true")
    delivery = make_delivery()
    analyse(delivery, actor_of(make_operator("joe", rights=(Right.PREPARE_DELIVERIES,))))
    assert said(delivery, JobLevel.ERROR) == []
    assert "sees: 2" in said(delivery, JobLevel.INFO)
    control("writes", "setOption('a', 'b'); return true")
    analyse(delivery)
    assert "setOption cannot be used in a control rule" in said(delivery, JobLevel.ERROR)[-1]


GOOD = "<a href='https://x.example/unsubscribe?a=1&amp;b=2'>Leave</a>"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"html_source": GOOD}, []),
        ({"subject": "Hi\u202e {{ recipient.firstName }}"}, ["Special characters in the subject: U+202E."]),
        ({"from_name": "Shop <x>"}, ["Special characters in the name of the sender: < >."]),
        (
            {"html_source": GOOD + "<a href='https://x.example/p'><img src='a.png'></a>"},
            ["Links without a label: https://x.example/p."],
        ),
        ({"html_source": GOOD + "<a href='https://x.example/p'><img src='a.png' alt='Shoes'></a>"}, []),
        (
            {"html_source": GOOD + '<a href="https://x.example/?a=1&b=2">Go</a>'},
            ["In links an & should be written &amp;: https://x.example/?a=1&b=2."],
        ),
        ({"html_source": "<p>Hello</p>"}, ["The HTML content has no link to unsubscribe."]),
        ({"text_source": "Hello"}, ["The text content has no link to unsubscribe."]),
    ],
)  # fmt: skip
def test_the_rules_of_the_product_look_at_content(columns: dict[str, str], expected: list[str]) -> None:
    people(1)
    delivery = make_delivery(**columns)
    analyse(delivery)
    assert said(delivery, JobLevel.WARNING) == expected
    assert said(delivery, JobLevel.ERROR) == []


def test_how_many_sms_a_text_takes() -> None:
    assert sms_parts("a" * 160) == (160, 1)
    assert sms_parts("a" * 161) == (161, 2)
    assert sms_parts("é" * 158 + "€") == (160, 1)
    assert sms_parts("€" * 81) == (162, 2)
    assert sms_parts("한" * 70) == (70, 1)
    assert sms_parts("한" * 71) == (71, 2)
    assert sms_parts("😀" * 36) == (72, 2)


@pytest.mark.case("D10")
def test_a_last_wave_after_the_end_of_validity_is_an_error(clock: Frozen) -> None:
    people(10)
    waves = {"waves": {"size": "30%", "every": "2d"}}
    delivery = make_delivery()
    # Days 0, 2, 4 and 6: the last one starts after the five days of validity.
    Delivery.objects.filter(pk=delivery.pk).update(sending=waves)
    delivery.refresh_from_db()
    analyse(delivery)
    [error] = said(delivery, JobLevel.ERROR)
    assert error.startswith("The last wave starts at ")
    with pytest.raises(Conflict, match="has errors"):
        deliveries.confirm(delivery, actor=admin_actor())
    deliveries.change(delivery, {"code": "again"}, actor=admin_actor())
    Delivery.objects.filter(pk=delivery.pk).update(
        sending={**waves, "validity": {"duration": "7d"}}, state=DeliveryState.EDITING
    )
    analyse(delivery)
    run = DeliveryRun.objects.get(pk=delivery.run_id)
    assert not JobLog.objects.filter(run=run, level=JobLevel.ERROR).exists()
    deliveries.confirm(delivery, actor=admin_actor())
    short = make_delivery(contact_date=product_clock.now() + timedelta(days=1))
    for until, level in ((timedelta(hours=23), JobLevel.ERROR), (timedelta(hours=24, minutes=5), 1)):
        Delivery.objects.filter(pk=short.pk).update(validity=product_clock.now() + until)
        short.refresh_from_db()
        run = analyse(short)
        assert JobLog.objects.filter(run=run, level=level).count() == 1


def test_rules_are_written_as_rows_by_administrators_and_checked() -> None:
    actor = admin_actor()
    values = {"name": "r", "label": "R", "type": 0, "definition": {"where": "@email = ''"}}
    key = writing.write("nms:typologyRule", values, actor=actor, operation="insert").key
    made = TypologyRule.objects.get(pk=key)
    writing.write("nms:typologyRule", {"id": key, "level": 1, "executionOrder": 7}, actor=actor,
                  operation="update", key=["id"])  # fmt: skip
    made.refresh_from_db()
    assert (made.level, made.rank) == (1, 7)
    typology = writing.write("nms:typology", {"name": "t", "label": "T", "filtering": True}, actor=actor,
                             operation="insert").key  # fmt: skip
    line = {"typology-id": typology, "rule-id": key}
    writing.write("nms:typologyRuleRel", line, actor=actor, operation="insert")
    proof = TypologyRule.objects.get(name="proofSize")
    with pytest.raises(Conflict, match="filtering rules only"):
        writing.write("nms:typologyRuleRel", {**line, "rule-id": proof.pk}, actor=actor, operation="insert")
    with pytest.raises(Conflict, match="belongs to the product"):
        writing.remove("nms:typologyRule", proof.pk, actor=actor)
    with pytest.raises(NotAllowed):
        writing.write("nms:typologyRule", {**values, "name": "s"},
                      actor=actor_of(make_operator("joe", rights=(Right.PREPARE_DELIVERIES,))),
                      operation="insert")  # fmt: skip
    wrong: list[tuple[int, dict[str, Any]]] = [
        (0, {}), (0, {"where": "@nothing = 1"}), (1, {"days": 3}), (1, {"threshold": "@nothing"}),
        (1, {"threshold": 1, "grouping": "decade"}), (1, {"threshold": 1, "days": -1}), (2, {}), (3, {}),
        (3, {"check": "proofSize"}), (0, {"where": "@id = 1", "more": 1}),
    ]  # fmt: skip
    for kind, definition in wrong:
        with pytest.raises(Invalid):
            typologies.create_rule("w", actor=actor, type=kind, definition=definition)
    writing.remove("nms:typologyRule", key, actor=actor)
    writing.remove("nms:typology", typology, actor=actor)
