from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection

from envoi.engine import worktable
from envoi.engine.definition import Activity
from envoi.engine.testing import chain, make_workflow
from envoi.kernel import clock as product_clock
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right, actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    BroadLogRcp,
    Channel,
    Delivery,
    DeliveryPart,
    DeliveryRun,
    DeliveryState,
    DlvExclusion,
    ExclLogRcp,
    FailureReason,
    Flag,
    JobLevel,
    JobLog,
    MessageStatus,
    Recipient,
    RunStep,
    SeedMember,
    ValidationMode,
)
from envoi.packages.delivery.services import analysis, chosen, deliveries, lists, recipients, suppression
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.django_db
CLEAN = {"black_list": 0, "black_list_email": 0}


def make(targeting: dict[str, Any] | None = None, template: str = "mail", **more: Any) -> Delivery:
    return make_delivery(targeting, template=template, **more)


def analyse(delivery: Delivery, actor: Actor | None = None) -> DeliveryRun:
    who = actor or admin_actor()
    run = analysis.work(analysis.start(delivery, actor=who, queue=False).pk, actor=who)
    delivery.refresh_from_db()
    return run


def people(count: int, **columns: Any) -> list[int]:
    return list(make_recipients(count, **{**CLEAN, **columns}))


def addressed(count: int, **columns: Any) -> list[int]:
    ids = people(count, **columns)
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org")
    return ids


def reasons(run: DeliveryRun) -> dict[int, int]:
    return dict(BroadLogRcp.objects.filter(run_id=run.pk).values_list("target_id", "failure_reason"))


def pending(run: DeliveryRun) -> set[int]:
    return set(
        BroadLogRcp.objects.filter(run_id=run.pk, status=MessageStatus.PENDING).values_list(
            "target_id", flat=True
        )
    )


def lines(delivery: Delivery, level: JobLevel | None = None) -> list[str]:
    found = JobLog.objects.filter(delivery=delivery)
    return [deliveries.text(each) for each in (found if level is None else found.filter(level=level))]


def block(address: str, status: AddressStatus) -> None:
    now = product_clock.now()
    Address.objects.create(address=address, status=status, created_at=now, modified_at=now)


def test_everyone_is_excluded_for_the_first_reason_that_holds() -> None:
    bare, refused, channel, denied, held, hidden, domain, first, second, kept = addressed(10)
    change = Recipient.objects.filter
    # Each has what speaks against the following ones too, so that only the order can tell the reasons apart.
    block("held@example.org", AddressStatus.QUARANTINE)
    block("denied@example.org", AddressStatus.DENYLISTED)
    block("ok@example.org", AddressStatus.ERRORS)
    block("second@example.org", AddressStatus.ALLOWLISTED)
    suppression.add(["held@example.org", "hidden@example.org", "@gone.example"], actor=admin_actor())
    change(pk=bare).update(email="", black_list=1)
    change(pk=refused).update(email="held@example.org", black_list=1)
    change(pk=channel).update(email="held@example.org", black_list_email=1)
    change(pk=denied).update(email="denied@example.org")
    change(pk=held).update(email="held@example.org")
    change(pk=hidden).update(email="hidden@example.org")
    change(pk=domain).update(email="x@gone.example")
    change(pk__in=[first, second]).update(email="second@example.org")
    change(pk=kept).update(email="ok@example.org")
    delivery = make()
    run = analyse(delivery)
    assert reasons(run) == {
        bare: 7, refused: 8, channel: 8, denied: 8, held: 9, hidden: 11, domain: 11, first: 0, second: 10,
        kept: 0,
    }  # fmt: skip
    assert pending(run) == {first, kept}
    counted = DlvExclusion.objects.filter(delivery=delivery)
    assert dict(counted.values_list("failure_reason", "count")) == {7: 1, 8: 3, 9: 1, 10: 1, 11: 2}
    assert counted.get(failure_reason=11).rule == "suppressionList"
    assert (delivery.total_target, delivery.reject, delivery.to_deliver) == (10, 8, 2)
    assert delivery.status is DeliveryState.READY
    assert "Excluded: 3 (denylisted address)." in lines(delivery)


@pytest.mark.case("D14")
def test_of_two_targets_with_one_address_one_gets_the_message() -> None:
    first, second = people(2, email="same@example.org")
    run = analyse(make())
    logs = dict(BroadLogRcp.objects.filter(run_id=run.pk).values_list("target_id", "status"))
    assert logs == {first: MessageStatus.PENDING, second: MessageStatus.IGNORED}
    assert reasons(run)[second] == FailureReason.DOUBLE
    both = analyse(make({"filter": "@id > 0", "exclude": {"doubles": False}}))
    assert pending(both) == {first, second}


@pytest.mark.case("D15")
def test_who_refuses_contact_gets_proofs_only() -> None:
    ann, bob = addressed(2)
    Recipient.objects.filter(pk=ann).update(black_list=1)
    run = analyse(make())
    assert reasons(run) == {ann: FailureReason.DENYLISTED, bob: 0}
    assert pending(run) == {bob}
    proof = analyse(make(proof=True))
    assert pending(proof) == {ann, bob}
    told = analyse(make({"filter": "@id > 0", "exclude": {"denylisted": True}}, proof=True))
    assert pending(told) == {bob}


def test_a_proof_keeps_doubles_and_quarantined_addresses_but_not_suppressed_ones() -> None:
    ann, bob, eve = people(3, email="same@example.org")
    block("same@example.org", AddressStatus.QUARANTINE)
    assert pending(analyse(make(proof=True))) == {ann, bob, eve}
    suppression.add(["same@example.org"], actor=admin_actor())
    assert pending(analyse(make(proof=True))) == set()


@pytest.mark.case("D11")
def test_a_proof_to_more_than_a_hundred_is_an_error_and_nothing_is_prepared() -> None:
    addressed(101)
    proof = make(proof=True)
    run = analyse(proof)
    assert proof.status is DeliveryState.FAILED
    assert lines(proof, JobLevel.ERROR) == ["The target of a proof is 101; at most 100 are possible."]
    assert not BroadLogRcp.objects.filter(run_id=run.pk).exists()
    assert not DeliveryPart.objects.filter(run=run).exists()
    Recipient.objects.filter(email="a100@example.org").delete()
    analyse(proof)
    assert proof.status is DeliveryState.START_PENDING


@pytest.mark.case("D6")
def test_five_thousand_go_in_parts_of_eight() -> None:
    people(5000, email="x@example.org")
    delivery = make({"filter": "@id > 0", "exclude": {"doubles": False}})
    run = analyse(delivery)
    assert run.batch_quantity == 8
    parts = list(DeliveryPart.objects.filter(run=run).order_by("first_id"))
    assert [part.quantity for part in parts] == [8] * 625
    for part in (parts[0], parts[125], parts[-1]):  # 125: its ids lie in two blocks
        logs = BroadLogRcp.objects.filter(run_id=run.pk, broad_log_id__range=(part.first_id, part.last_id))
        assert logs.count() == part.quantity
    assert all(one.last_id < following.first_id for one, following in pairwise(parts))


def test_parts_hold_every_message_once_whatever_their_quantity(monkeypatch: pytest.MonkeyPatch) -> None:
    from envoi.packages.delivery.services.analysis import writing

    monkeypatch.setattr(writing, "BATCH", 700)  # several batches, with what is left over at the end
    people(2345, email="x@example.org")
    delivery = make({"filter": "@id > 0", "exclude": {"doubles": False}}, batch_quantity=97)
    run = analyse(delivery)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.quantity, count(l.id) FROM nms_delivery_part p LEFT JOIN nms_broad_log_rcp l
                 ON l.run_id = p.run_id AND l.id BETWEEN p.first_id AND p.last_id
               WHERE p.run_id = %s GROUP BY p.delivery_part_id, p.quantity""",
            [run.pk],
        )
        found = cursor.fetchall()
    assert all(said == held for said, held in found)
    assert sum(held for _said, held in found) == 2345
    assert Counter(said for said, _held in found)[97] == 24


@pytest.mark.case("D7", "D8")
def test_the_quantity_of_a_part_follows_the_size() -> None:
    # That an analysis takes it from here is seen with five thousand, above.
    from envoi.packages.delivery.services.analysis import writing

    sizes = (5_000, 100_000, 1_000_000, 50_000_000)
    assert [writing.quantity(Delivery(), size) for size in sizes] == [8, 97, 256, 256]
    assert [writing.quantity(Delivery(batch_quantity=50), size) for size in sizes] == [50] * 4


def test_a_limit_draws_the_same_people_again() -> None:
    ids = addressed(40)
    delivery = make({"filter": "@id > 0", "exclude": {"limit": 10}})
    run = analyse(delivery)
    drawn = pending(run)
    assert len(drawn) == 10
    assert Counter(reasons(run).values()) == {0: 10, FailureReason.LIMITED: 30}
    assert pending(analyse(delivery)) == drawn
    others = pending(analyse(make({"filter": "@id > 0", "exclude": {"limit": 10}})))
    assert drawn != others
    assert drawn != set(ids[:10])


def test_a_control_group_gets_no_message_and_is_logged() -> None:
    addressed(40)
    delivery = make({"filter": "@id > 0", "control": {"percent": 25}}, exclusion_log=True)
    run = analyse(delivery)
    control = BroadLogRcp.objects.filter(run_id=run.pk, failure_reason=FailureReason.CONTROL)
    assert [(each.status, each.flags) for each in control] == [(MessageStatus.IGNORED, Flag.CONTROL)] * 10
    assert len(pending(run)) == 30
    assert delivery.to_deliver == 30
    assert not ExclLogRcp.objects.filter(run_id=run.pk).exists()  # it is compared, so it stays in the log
    again = analyse(delivery)
    members = BroadLogRcp.objects.filter(run_id=again.pk, failure_reason=127)
    assert len(pending(again)) == 30
    assert pending(again).isdisjoint(members.values_list("target_id", flat=True))


def test_a_sorted_control_group_is_the_first_ones() -> None:
    ids = addressed(6)
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(last_name="FEDCBA"[number])
    control = {"number": 2, "method": "sorted", "sort": ["@lastName"]}
    run = analyse(make({"filter": "@id > 0", "control": control}))
    assert pending(run) == set(ids[:4])
    falling = {**control, "sort": [{"expr": "@lastName", "descending": True}]}
    assert pending(analyse(make({"filter": "@id > 0", "control": falling}))) == set(ids[2:])


def test_exclusions_can_be_kept_apart() -> None:
    ann, bob = people(2, email="same@example.org")
    run = analyse(make(exclusion_log=True))
    assert reasons(run) == {ann: 0}
    kept = ExclLogRcp.objects.filter(run_id=run.pk).values_list("target_id", "failure_reason", "address")
    assert list(kept) == [(bob, FailureReason.DOUBLE, "same@example.org")]


def test_lists_and_a_filter_choose_together_and_each_person_once() -> None:
    ann, bob, eve, _joe = addressed(4)
    actor = admin_actor()
    group = lists.create("News", actor=actor, folder=Folder.objects.get(name="lists"), name="news")
    lists.add(group, chosen.ids([ann, bob]), actor=actor)
    assert pending(analyse(make({"lists": ["news"]}))) == {ann, bob}
    run = analyse(make({"lists": ["news"], "filter": f"@id = {bob} OR @id = {eve}"}))
    assert pending(run) == {ann, bob, eve}
    lost = make({"lists": ["nothing"]})
    analyse(lost)
    assert lost.status is DeliveryState.FAILED
    assert "There is no list 'nothing'" in lines(lost, JobLevel.ERROR)[0]


def test_the_population_of_a_workflow_is_a_target_for_those_who_see_the_workflow() -> None:
    ann, bob, _eve = addressed(3)
    workflow = make_workflow(chain(Activity("start", "start"), Activity("end", "end")))
    shape = {"schema": "temp:query", "dimension": "nms:recipient", "columns": [], "links": [], "beside": {}}
    table = worktable.create(workflow.pk, 1, [worktable.Column("id", "bigint")], "id", shape)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} VALUES (%s), (%s)", [ann, bob])
    assert pending(analyse(make({"table": table}))) == {ann, bob}
    outside = make({"table": table})
    analyse(outside, actor_of(make_operator("joe", rights=(Right.PREPARE_DELIVERIES,))))
    assert outside.status is DeliveryState.FAILED
    worktable.drop(table)
    gone = make({"table": table})
    analyse(gone)
    assert lines(gone, JobLevel.ERROR) == [f"The analysis failed: The population {table} is there no more."]


def test_only_those_are_reached_that_the_operator_may_read() -> None:
    secret = make_folder("secret", model="nms:recipient")
    allow(secret, make_operator("keeper"))
    mine = addressed(2)
    hidden = people(2, folder=secret, email="b@example.org")
    operator = make_operator("ann", rights=(Right.PREPARE_DELIVERIES,))
    group = lists.create("All", actor=admin_actor(), folder=Folder.objects.get(name="lists"), name="all")
    lists.add(group, chosen.ids([*mine, *hidden]), actor=admin_actor())
    assert pending(analyse(make(), actor_of(operator))) == set(mine)
    assert pending(analyse(make({"lists": ["all"]}), actor_of(operator))) == set(mine)
    with pytest.raises(NotAllowed):
        analysis.start(make(), actor=actor_of(make_operator("bob")))


def make_seed(**columns: Any) -> SeedMember:
    now = product_clock.now()
    folder = Folder.objects.get(name="seedAddresses")
    given = {"email": "seed@example.org", "folder": folder, "created_at": now, "modified_at": now}
    return SeedMember.objects.create(**{**given, **columns})


def test_seeds_are_added_as_a_part_of_their_own_and_count_nowhere() -> None:
    addressed(3)
    picked, other, empty = make_seed(), make_seed(email="other@example.org"), make_seed(email="")
    make_seed(email="off@example.org", active=False)
    delivery = make({"filter": "@id > 0", "seeds": {"ids": [picked.pk, empty.pk]}})
    own = make_seed(email="own@example.org", delivery_id=delivery.pk)
    run = analyse(delivery)
    seeds = BroadLogRcp.objects.filter(run_id=run.pk, flags=Flag.SEED, status=MessageStatus.PENDING)
    assert set(seeds.values_list("target_id", "address")) == {
        (-picked.pk, "seed@example.org"),
        (-own.pk, "own@example.org"),
    }
    assert delivery.to_deliver == 3
    part = DeliveryPart.objects.get(run=run, seeds=True)
    assert set(seeds.values_list("broad_log_id", flat=True)) == {part.first_id, part.last_id}
    assert lines(delivery, JobLevel.WARNING) == [
        "Seed addresses without an address for this channel are left out: 1."
    ]
    folder = analyse(make({"filter": "@id > 0", "seeds": {"folders": ["seedAddresses"]}}))
    found = BroadLogRcp.objects.filter(run_id=folder.pk, flags=Flag.SEED).values_list("target_id", flat=True)
    assert set(found) == {-picked.pk, -other.pk, -own.pk}


def test_an_analysis_anew_replaces_the_one_before() -> None:
    ann, bob = addressed(2)
    delivery = make()
    first = analyse(delivery)
    Recipient.objects.filter(pk=bob).update(black_list=1)
    deliveries.change(delivery, {"batch_quantity": 20}, actor=admin_actor())
    assert delivery.status is DeliveryState.EDITING
    with pytest.raises(Conflict):
        deliveries.confirm(delivery, actor=admin_actor())
    second = analyse(delivery)
    assert pending(second) == {ann}
    assert reasons(first) == {}
    first.refresh_from_db()
    assert first.step == RunStep.GONE
    assert set(DeliveryPart.objects.filter(delivery=delivery).values_list("run", flat=True)) == {second.pk}
    assert set(DlvExclusion.objects.filter(delivery=delivery).values_list("run", flat=True)) == {second.pk}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'wkdlv%%'")
        assert cursor.fetchone() == (0,)


def test_the_messages_of_two_profiles_that_become_one_are_those_of_the_one_that_stays() -> None:
    ann, bob = addressed(2)
    to_bob, to_both = analyse(make({"filter": f"@id = {bob}"})), analyse(make())
    recipients.merge(ann, bob, actor=admin_actor())
    assert set(BroadLogRcp.objects.filter(run_id=to_bob.pk).values_list("target_id", "address")) == {
        (ann, "a1@example.org")
    }
    # Both got this one: the message to the profile that is gone was prepared, and is counted.
    assert set(reasons(to_both)) == {ann, bob}
    assert (
        DeliveryPart.objects.get(run=to_bob).first_id
        == BroadLogRcp.objects.get(run_id=to_bob.pk).broad_log_id
    )


def test_two_analyses_at_once_are_refused() -> None:
    addressed(1)
    delivery = make()
    seen_before = Delivery.objects.get(pk=delivery.pk)
    analysis.start(delivery, actor=admin_actor(), queue=False)
    with pytest.raises(Conflict, match="analysed already"):
        analysis.start(seen_before, actor=admin_actor())
    with pytest.raises(Conflict):
        deliveries.change(seen_before, {"label": "Other"}, actor=admin_actor())
    with pytest.raises(Conflict):
        deliveries.delete(delivery, actor=admin_actor())


def test_what_cannot_be_a_target_is_refused_before_or_told() -> None:
    addressed(1)
    actor = admin_actor()
    with pytest.raises(Invalid, match="has no target"):
        analysis.start(make({}), actor=actor)
    with pytest.raises(Conflict, match="is a template"):
        analysis.start(deliveries.find("mail", actor=actor), actor=actor)
    for wrong in (
        {"filtre": "1"}, {"exclude": {"doubles": 1}}, {"control": {"percent": 120}}, {"lists": 3},
        {"control": {"number": 3, "method": "sorted"}}, {"seeds": {"ids": ["x"]}},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            make(wrong)
    delivery = make({"filter": "@nothing = 1"})
    analyse(delivery)
    assert delivery.status is DeliveryState.FAILED
    assert "@nothing" in lines(delivery, JobLevel.ERROR)[0]
    deliveries.change(
        delivery, {"targeting": {"filter": "AddYears(GetDate(), 999999) > @created"}}, actor=actor
    )
    analyse(delivery)
    assert delivery.status is DeliveryState.FAILED
    nobody = make({"filter": "@id = 0"})
    analyse(nobody)
    assert nobody.status is DeliveryState.READY
    with pytest.raises(Conflict, match="has errors"):
        deliveries.confirm(nobody, actor=actor)


@pytest.mark.case("D12")
def test_a_semi_automatic_delivery_starts_by_itself_unless_its_analysis_warns() -> None:
    addressed(1)
    quiet = make(validation_mode=ValidationMode.SEMI_AUTOMATIC)
    analyse(quiet)
    assert quiet.status is DeliveryState.START_PENDING
    seed = make_seed(email="")
    settings = {"filter": "@id > 0", "seeds": {"ids": [seed.pk]}}
    warned = make(settings, validation_mode=ValidationMode.SEMI_AUTOMATIC)
    analyse(warned)
    assert len(lines(warned, JobLevel.WARNING)) == 1
    assert warned.status is DeliveryState.READY
    deliveries.confirm(warned, actor=admin_actor())
    assert warned.status is DeliveryState.START_PENDING
    always = make(settings, validation_mode=ValidationMode.AUTOMATIC)
    analyse(always)
    assert always.status is DeliveryState.START_PENDING
    manual = make()
    analyse(manual)
    assert manual.status is DeliveryState.READY
    may_not_start = actor_of(make_operator("ann", rights=(Right.PREPARE_DELIVERIES,)))
    waits = make(validation_mode=ValidationMode.AUTOMATIC)
    analyse(waits, may_not_start)
    assert waits.status is DeliveryState.READY


def test_each_channel_has_its_address_and_its_refusal() -> None:
    ann, bob, eve = people(3, mobile_phone="+33612345678", phone="+33112345678", black_list_email=1)
    Recipient.objects.filter(pk=ann).update(mobile_phone="+33600000001", black_list_mobile=1)
    Recipient.objects.filter(pk=bob).update(mobile_phone="")
    run = analyse(make(template="sms"))
    assert reasons(run) == {ann: 8, bob: 7, eve: 0}
    assert BroadLogRcp.objects.get(run_id=run.pk, target_id=eve).address == "+33612345678"
    Recipient.objects.filter(pk__in=[ann, bob, eve]).update(
        first_name="Ann", last_name="Lee", zip_code="75001", city="PARIS"
    )
    Recipient.objects.filter(pk=bob).update(city="")
    Recipient.objects.filter(pk=eve).update(last_name="LEE ")
    paper = make(template="paper")
    assert paper.message_type == Channel.DIRECT_MAIL
    assert reasons(analyse(paper)) == {ann: 0, bob: 7, eve: 10}
