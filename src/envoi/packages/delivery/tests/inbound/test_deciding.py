"""What operators decide: about texts, rules and addresses (delivery.md §3.3, §3.4)."""

from datetime import timedelta
from typing import Any

import pytest

from envoi.kernel import clock as product_clock
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.rights import Right
from envoi.kernel.testing import admin_actor, make_actor
from envoi.kernel.writing import write
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    BroadLogMsg,
    Channel,
    FailureReason,
    FailureType,
    MailRule,
    MailRuleSet,
    Qualification,
)
from envoi.packages.delivery.services import qualification, quarantine
from envoi.packages.delivery.services.bounces.rules import shipped
from envoi.packages.delivery.services.qualification import Asked, Said, rule_sets
from envoi.packages.delivery.services.quarantine import Chosen, Failure

pytestmark = pytest.mark.django_db
ODD = Said("Momen_Code10 invalid for 12345", 550)


def fail(*addresses: str, text: str = "550 5.1.1 user unknown") -> None:
    now, reason = product_clock.now(), FailureReason.USER_UNKNOWN
    quarantine.note(
        [Failure(each, Channel.EMAIL, None, FailureType.HARD, reason, text, now) for each in addresses],
        now=now,
    )


def statuses() -> dict[str, int]:
    return dict(Address.objects.values_list("address", "status"))


def test_after_an_outage_the_addresses_of_a_provider_become_valid_together(clock: Any) -> None:
    fail("old@provider.example")
    clock.step(days=3)
    began = product_clock.now()
    fail(*(f"p{n}@provider.example" for n in range(5)), "p@other.example")
    fail("gone@provider.example", text="550 5.2.1 account disabled")
    clock.step(hours=5)
    operator = make_actor("op", (Right.PREPARE_DELIVERIES,))
    chosen = Chosen(
        status=AddressStatus.QUARANTINE, domain="@Provider.example", text="USER UNKNOWN",
        since=began, until=began + timedelta(hours=1),
    )  # fmt: skip
    assert quarantine.find(chosen).count() == 5
    assert quarantine.set_status(chosen, AddressStatus.VALID, actor=operator) == 5
    assert [who for who, status in statuses().items() if status == AddressStatus.QUARANTINE] == [
        "old@provider.example", "p@other.example", "gone@provider.example",
    ]  # fmt: skip
    assert Address.objects.get(address="p0@provider.example").error_count == 0


def test_a_complaint_is_overruled_by_administrators_only() -> None:
    operator, nobody = make_actor("op", (Right.PREPARE_DELIVERIES,)), make_actor("none")
    row = quarantine.put("Someone@Example.org", Channel.EMAIL, AddressStatus.DENYLISTED, actor=operator)
    assert row.address == "someone@example.org"
    fail("hard@example.org")
    with pytest.raises(NotAllowed, match="overrule a complaint"):
        quarantine.set_status(Chosen(ids=(row.pk,)), AddressStatus.VALID, actor=operator)
    assert quarantine.set_status(Chosen(domain="example.org"), AddressStatus.VALID, actor=operator) == 1
    assert statuses() == {"someone@example.org": AddressStatus.DENYLISTED, "hard@example.org": 2}
    with pytest.raises(NotAllowed, match="PREPARE DELIVERIES"):
        quarantine.set_status(Chosen(ids=(row.pk,)), AddressStatus.VALID, actor=nobody)
    with pytest.raises(NotAllowed):
        quarantine.put("x@example.org", Channel.EMAIL, AddressStatus.ALLOWLISTED, actor=operator)
    with pytest.raises(Invalid, match="never meant"):
        quarantine.set_status(Chosen(), AddressStatus.VALID, actor=admin_actor())
    with pytest.raises(Invalid):
        quarantine.set_status(Chosen(ids=(row.pk,)), AddressStatus.ERRORS, actor=admin_actor())
    assert quarantine.set_status(Chosen(ids=(row.pk,)), AddressStatus.ALLOWLISTED, actor=admin_actor()) == 1
    assert quarantine.get(row.pk).status == AddressStatus.ALLOWLISTED


def test_an_operator_says_what_a_text_means() -> None:
    operator = make_actor("op", (Right.PREPARE_DELIVERIES,))
    (first,) = qualification.qualify([ODD])
    with pytest.raises(NotAllowed):
        qualification.decide([first.msg_id], Qualification.IGNORE, actor=make_actor("none"))
    with pytest.raises(Invalid, match="soft or hard"):
        qualification.decide([first.msg_id], Qualification.KEEP, actor=operator)
    qualification.decide(
        [first.msg_id], Qualification.KEEP, actor=operator,
        failure_type=FailureType.HARD, failure_reason=FailureReason.USER_UNKNOWN,
    )  # fmt: skip
    (second,) = qualification.qualify([Said("Momen_Code10 invalid for 777", 550)])
    assert (second.msg_id, second.failure_type, second.failure_reason) == (first.msg_id, 3, 1)
    assert [each.pk for each in qualification.find(Asked(text="momen", failure_type=3))] == [first.msg_id]
    qualification.decide([first.msg_id], Qualification.TO_QUALIFY, actor=operator)
    assert qualification.qualify([ODD])[0].failure_type == FailureType.UNDEFINED


def test_an_own_rule_comes_before_those_of_the_product_and_explains_open_texts() -> None:
    qualification.qualify([ODD, Said("user unknown", 550, "5.1.1")])
    rule = rule_sets.add(
        "Momen", ["Momen_Code10 invalid", "USER unknown"], FailureType.SOFT, FailureReason.REFUSED,
        actor=admin_actor(),
    )  # fmt: skip
    row = BroadLogMsg.objects.get(first_text__startswith="550 Momen")
    assert (row.qualification, row.rule, row.failure_type, row.failure_reason) == (1, "Momen", 2, 20)
    assert BroadLogMsg.objects.get(text="550 5.1.1 user unknown").rule == "User_unknown"
    (found,) = qualification.qualify([Said("sorry, user unknown at this place", 550, "5.1.1")])
    assert (found.failure_type, found.failure_reason) == (FailureType.SOFT, FailureReason.REFUSED)
    with pytest.raises(Conflict):
        rule_sets.add("Momen", ["x"], FailureType.SOFT, FailureReason.REFUSED, actor=admin_actor())
    with pytest.raises(Invalid):
        rule_sets.add("Empty", [" 550 "], FailureType.SOFT, FailureReason.REFUSED, actor=admin_actor())
    with pytest.raises(NotAllowed):
        rule_sets.remove(rule.pk, actor=make_actor("op", (Right.PREPARE_DELIVERIES,)))
    rule_sets.remove(rule.pk, actor=admin_actor())
    (found,) = qualification.qualify([Said("sorry, user unknown in that place", 550, "5.1.1")])
    assert found.failure_type == FailureType.HARD


def test_rules_of_the_product_follow_its_version_and_stay_switched_off() -> None:
    assert rule_sets.current().by_kind == shipped().by_kind
    rule = MailRule.objects.filter(name="User_unknown", kind="text").get()
    rule_sets.switch(rule.pk, False, actor=admin_actor())
    with pytest.raises(Conflict, match="Switch it off"):
        rule_sets.remove(rule.pk, actor=admin_actor())
    rule_sets.add("Own", ["my words"], FailureType.SOFT, FailureReason.REFUSED, actor=admin_actor())
    MailRuleSet.objects.update(version=0)
    MailRule.objects.filter(name="Mailbox_full", kind="text").update(patterns=["old"])
    MailRule.objects.create(
        rule_set=rule.rule_set, key="Past:text:0", rank=1, name="Past", kind="text", patterns=["x"],
        built_in=True, modified_at=product_clock.now(),
    )  # fmt: skip
    rule_sets.plant()
    names = [(each.name, each.texts) for each in rule_sets.current().by_kind["text"]]
    assert names[0] == ("Own", (("my words",),))
    assert "Past" not in dict(names)
    assert "User_unknown" not in dict(names)
    assert dict(names)["Mailbox_full"] == {r.name: r.texts for r in shipped().by_kind["text"]}["Mailbox_full"]


def test_workflows_and_lists_write_the_same_by_the_schemas() -> None:
    fail("p@example.org")
    (found,) = qualification.qualify([ODD])
    row = Address.objects.get()
    write("nms:address", {"status": AddressStatus.VALID}, key=row.pk, actor=admin_actor())
    row.refresh_from_db()
    assert (row.status, row.error_count) == (AddressStatus.VALID, 0)
    values = {"failureType": FailureType.SOFT, "failureReason": FailureReason.MAILBOX_FULL}
    write("nms:broadLogMsg", values, key=found.msg_id, actor=admin_actor())
    assert qualification.qualify([ODD])[0].failure_reason == FailureReason.MAILBOX_FULL
    with pytest.raises(NotAllowed):
        write("nms:address", {"status": 4}, key=row.pk, actor=make_actor("guest"))
