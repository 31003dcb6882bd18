"""Approvals and proofs (delivery.md §2.4, §2.11)."""

from datetime import timedelta
from typing import Any

import pytest

from envoi.kernel import clock as product_clock
from envoi.kernel import options
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.models import Group, Operator, OutboxItem
from envoi.kernel.rights import Actor, Right, actor_of
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import (
    ApprovalStep,
    BroadLogRcp,
    Delivery,
    DeliveryApproval,
    DeliveryRun,
    DeliveryState,
    Flag,
    JobLog,
    Recipient,
    SeedMember,
    ValidationMode,
)
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.services.deliveries import approvals, proofs
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.django_db
S, Step = DeliveryState, ApprovalStep
DELIVERS = (Right.PREPARE_DELIVERIES, Right.START_DELIVERIES)


def person(name: str, *rights: Right) -> Actor:
    return actor_of(make_operator(name, rights=rights, email=f"{name}@example.org"))


def make(actor: Actor, count: int = 5, **more: Any) -> Delivery:
    make_recipients(count, black_list=0, black_list_email=0)
    given = {
        "label": "Spring", "subject": "It is spring", "from_name": "Shop", "from_address": "shop@example.org",
        "html_source": "<p>Hello</p>", "text_source": "Hello", "targeting": {"filter": "@id > 0"}, **more,
    }  # fmt: skip
    return deliveries.create(deliveries.find("mail", actor=actor), actor=actor, **given)


def analyse(delivery: Delivery, actor: Actor) -> DeliveryRun:
    run = analysis.work(analysis.start(delivery, actor=actor, queue=False).pk, actor=actor)
    delivery.refresh_from_db()
    return run


def mails() -> list[tuple[str, str]]:
    found = OutboxItem.objects.filter(key__startswith="delivery-approval").order_by("pk")
    return [(each.payload["to"][0].partition("@")[0], each.payload["subject"]) for each in found]


def open_one(delivery: Delivery, step: ApprovalStep) -> int:
    return DeliveryApproval.objects.get(delivery=delivery, step=step, approved__isnull=True).pk


def test_nothing_goes_out_before_it_is_approved_and_one_answer_settles_a_step() -> None:
    owner, boss = person("olga", *DELIVERS), person("boss", Right.ADMINISTRATION)
    ann, ben = person("ann"), person("ben")
    group = Group.objects.create(name="readers", label="Readers")
    Operator.objects.get(name="ben").operator_groups.add(group)
    delivery = make(
        owner,
        approvals={
            "target": {"operators": ["ann"], "groups": ["readers"]},
            "content": {"submission": "manual"},
        },
    )
    analyse(delivery, owner)
    assert [each.standing for each in approvals.standing(delivery)] == ["waits", "to submit"]
    assert mails() == [(name, "envoi: Spring waits for your approval: Target") for name in ("ann", "ben")]
    assert f"/deliveries/{delivery.pk}/approval" in OutboxItem.objects.latest("pk").payload["text"]
    assert "confirm" not in deliveries.possible(delivery, owner)
    with pytest.raises(Conflict, match="not approved yet: Target, Content"):
        deliveries.confirm(delivery, actor=boss)
    number = open_one(delivery, Step.TARGET)
    with pytest.raises(NotAllowed):
        approvals.answer(number, True, actor=owner)
    with pytest.raises(Invalid, match="Say why"):
        approvals.answer(number, False, actor=ann)
    assert [each.pk for each in approvals.waiting(ben)] == [number]
    approvals.answer(number, True, actor=ben)
    with pytest.raises(Conflict, match="answered already"):
        approvals.answer(number, True, actor=ann)
    # Nobody is named for the content: its owner is asked. An administrator answers without having been asked.
    approvals.submit(delivery, Step.CONTENT, actor=owner)
    assert mails()[-1] == ("olga", "envoi: Spring waits for your approval: Content")
    approvals.answer(open_one(delivery, Step.CONTENT), False, actor=boss, comment="Too long")
    assert mails()[-1] == ("olga", "envoi: Spring is not approved: Content")
    assert "Not approved: Content. Too long" in [deliveries.text(line) for line in JobLog.objects.all()]
    with pytest.raises(Conflict, match="not approved yet: Content"):
        deliveries.confirm(delivery, actor=owner)
    approvals.submit(delivery, Step.CONTENT, actor=owner)
    approvals.answer(open_one(delivery, Step.CONTENT), True, actor=owner)
    deliveries.confirm(delivery, actor=owner)
    assert delivery.status is S.START_PENDING


def test_what_has_changed_since_is_to_be_approved_anew() -> None:
    owner = person("olga", *DELIVERS)
    delivery = make(owner, approvals={"target": {}, "content": {}})
    analyse(delivery, owner)
    old = open_one(delivery, Step.TARGET)
    approvals.answer(open_one(delivery, Step.CONTENT), True, actor=owner)
    deliveries.change(delivery, {"targeting": {"filter": "@id > 1"}}, actor=owner)
    assert approvals.approved(delivery, Step.CONTENT)
    analyse(delivery, owner)
    with pytest.raises(Conflict):
        approvals.answer(old, True, actor=owner)  # the analysis it was about is gone
    approvals.answer(open_one(delivery, Step.TARGET), True, actor=owner)
    assert not approvals.missing(delivery)
    deliveries.change(delivery, {"subject": "Summer"}, actor=owner)
    assert approvals.missing(delivery) == [Step.CONTENT]
    analyse(delivery, owner)
    assert approvals.missing(delivery) == [Step.TARGET, Step.CONTENT]


def test_who_is_named_for_the_start_may_start_and_the_last_answer_starts_what_starts_by_itself() -> None:
    owner, starter = person("olga", *DELIVERS), person("stan", *DELIVERS)
    delivery = make(owner, approvals={"start": {"operators": ["stan"], "submission": "manual"}})
    analyse(delivery, owner)
    with pytest.raises(NotAllowed, match="may start"):
        deliveries.confirm(delivery, actor=owner)
    assert "confirm" in deliveries.possible(delivery, starter)
    options.set("NMS_ActivateOwnerConfirmation", True, actor=admin_actor())
    assert "confirm" in deliveries.possible(delivery, owner)
    deliveries.confirm(delivery, actor=starter)
    assert DeliveryApproval.objects.get(delivery=delivery).answered_by_id == starter.operator_id
    alone = make(
        owner, validation_mode=ValidationMode.AUTOMATIC, approvals={"target": {"operators": ["stan"]}}
    )
    analyse(alone, owner)
    assert alone.status is S.READY
    assert approvals.answer(open_one(alone, Step.TARGET), True, actor=starter).state == S.START_PENDING


def test_reviewers_are_reminded_until_somebody_answers(clock: Any) -> None:
    owner = person("olga", *DELIVERS)
    person("ann")
    delivery = make(owner, approvals={"target": {"operators": ["ann"], "reminders": ["1d", "2d"]}})
    analyse(delivery, owner)
    start = product_clock.now()
    assert DeliveryApproval.objects.get().due_at == start + timedelta(days=3)
    for day, sent in ((0.9, 1), (1, 2), (1.5, 2), (2, 3), (9, 3)):
        clock.move_to(start + timedelta(days=day))
        for _name, number in approvals.reminders_due():
            approvals._remind(number)
            approvals._remind(number)
        assert len(mails()) == sent
    assert mails()[-1] == ("ann", "envoi: Spring still waits for your approval: Target")


def test_what_is_wrong_with_approvals_is_named() -> None:
    for wrong, place in (
        ({"budget": {}}, "budget"),
        ({"target": {"who": []}}, "target/who"),
        ({"target": {"submission": "later"}}, "target/submission"),
        ({"target": {"deadline": "soon"}}, "target/deadline"),
        ({"target": {"reminders": "2d"}}, "target/reminders"),
        ({"target": []}, "approvals/target"),
    ):
        with pytest.raises(Invalid, match=place):
            approvals.read(wrong)


def messages(run_id: int | None) -> dict[int, str]:
    found = BroadLogRcp.objects.filter(run_id=run_id, status=6)
    return dict(found.values_list("target_id", "address"))


def test_proofs_go_to_other_addresses_with_the_data_of_real_profiles() -> None:
    ann = person("ann", Right.PREPARE_DELIVERIES)
    delivery = make(
        ann,
        30,
        sending={"waves": {"size": 1, "every": "1d"}, "proof_label": "Test {n}"},
        approvals={"target": {}},
    )
    people = set(Recipient.objects.values_list("pk", flat=True))
    chosen = min(people)
    proof = deliveries.prove(
        delivery, "substitution", actor=ann, addresses=["b@x.example", "c@x.example"], profiles=[chosen]
    )
    assert (proof.label, proof.subject) == ("Test 1 – Spring", "Test 1 – It is spring")
    assert (proof.fcp, proof.parent_id, proof.approvals) == (True, delivery.pk, {})
    analysis.work(proof.run_id or 0)
    proof.refresh_from_db()
    # It goes out by itself, though ann may start no deliveries.
    assert proof.status is S.START_PENDING
    sent = messages(proof.run_id)
    assert set(sent.values()) == {"b@x.example", "c@x.example"}
    assert chosen in sent
    assert set(sent) <= people
    # Drawn from the analysis, when there is one.
    Recipient.objects.exclude(pk__gte=chosen + 25).update(email="")
    analyse(delivery, ann)
    second = deliveries.prove(
        delivery, "substitution", actor=ann, addresses=["d@x.example"], label="Look: {n}"
    )
    assert second.label == "Look: 2 – Spring"
    analysis.work(second.run_id or 0)
    assert min(messages(second.run_id)) >= chosen + 25
    assert [each.pk for each in proofs.of(delivery)] == [second.pk, proof.pk]
    with pytest.raises(Conflict, match="fewer profiles"):
        deliveries.prove(delivery, "substitution", actor=ann, addresses=[f"{n}@x.example" for n in range(9)])
    with pytest.raises(Invalid):
        deliveries.prove(delivery, "target", actor=ann)
    with pytest.raises(Conflict):
        deliveries.prove(proof, "seeds", actor=ann)


def test_proofs_to_seeds_and_to_a_target_of_their_own() -> None:
    actor = admin_actor()
    delivery = make(actor, 5, approvals={"proof": {}})
    with pytest.raises(Conflict, match="no seed addresses"):
        deliveries.prove(delivery, "seeds", actor=actor)
    with pytest.raises(Conflict, match="Send a proof"):
        approvals.submit(delivery, Step.PROOF, actor=actor)
    now = product_clock.now()
    mine, other = (
        SeedMember.objects.create(
            folder=delivery.folder, label=name, email=f"{name}@seed.example", created_at=now, modified_at=now,
            delivery_id=number,
        )
        for name, number in (("mine", delivery.pk), ("other", None))
    )  # fmt: skip
    deliveries.change(
        delivery, {"targeting": {"filter": "@id > 0", "seeds": {"ids": [other.pk]}}}, actor=actor
    )
    seeds = deliveries.prove(delivery, "seeds", actor=actor)
    analysis.work(seeds.run_id or 0)
    seeds.refresh_from_db()
    assert messages(seeds.run_id) == {
        -mine.pk: "mine@seed.example",
        -other.pk: "other@seed.example",
    }
    assert seeds.status is S.START_PENDING
    # A proof is there now, and asks for its approval by itself.
    assert approvals.standing(delivery)[0].standing == "waits"
    one = Recipient.objects.order_by("pk").first()
    assert one is not None
    Recipient.objects.filter(pk=one.pk).update(email="one@example.org", black_list=1)
    both = deliveries.prove(delivery, "target+seeds", actor=actor, target={"filter": f"@id = {one.pk}"})
    analysis.work(both.run_id or 0)
    assert set(messages(both.run_id)) == {one.pk, -mine.pk, -other.pk}
    flags = BroadLogRcp.objects.filter(run_id=both.run_id, target_id__lt=0).values_list("flags", flat=True)
    assert set(flags) == {Flag.SEED}
    deliveries.delete(delivery, actor=actor)
    assert set(
        Delivery.objects.filter(parent=delivery, state__lt=S.START_PENDING).values_list("delete_status")
    ) <= {(1,)}
