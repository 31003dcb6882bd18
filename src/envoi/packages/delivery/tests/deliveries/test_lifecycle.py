"""What operators do with a delivery: waves, dates, pause and stop, once more to those who are left."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.engine import background
from envoi.kernel import clock as product_clock
from envoi.kernel import options
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.models import AuditEntry, OutboxItem
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import (
    BroadLogRcp,
    Channel,
    Delivery,
    DeliveryPart,
    DeliveryRun,
    DeliverySchedule,
    DeliveryState,
    Execution,
    JobLog,
    MessageStatus,
    Recipient,
    SenderProcess,
    ValidationMode,
)
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.services.deliveries import local_time, scheduling, sending, waves
from envoi.packages.delivery.services.mta import parts, without
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.django_db
S = DeliveryState
CONTENT = {
    "subject": "Spring", "from_name": "Shop", "from_address": "shop@example.org",
    "html_source": "<p>Hello</p>", "text_source": "Hello",
}  # fmt: skip


def make(count: int = 0, **more: Any) -> Delivery:
    actor = admin_actor()
    if count:
        make_recipients(count, black_list=0, black_list_email=0)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE nms_recipient SET email = 'p' || recipient_id || '@example.org'")
    given = {"targeting": {"filter": "@id > 0"}, **CONTENT, **more}
    return deliveries.create(deliveries.find("mail", actor=actor), actor=actor, **given)


def analyse(delivery: Delivery) -> DeliveryRun:
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    delivery.refresh_from_db()
    return run


def confirmed(delivery: Delivery) -> DeliveryRun:
    run = analyse(delivery)
    assert (delivery.status is S.READY) > (deliveries.worst(run) == 2), said(delivery)
    deliveries.confirm(delivery, actor=admin_actor())
    return run


def said(delivery: Delivery) -> list[str]:
    return [deliveries.text(line) for line in JobLog.objects.filter(delivery=delivery)]


def claimed(delivery: Delivery) -> int:
    """Return how many messages a sender would take now, and let them be gone."""
    count = 0
    while found := parts.claim("j" * 32, most=10_000, now=product_clock.now()):
        for part in found:
            count += BroadLogRcp.objects.filter(
                run_id=part.run_id, broad_log_id__range=(part.first_id, part.last_id), status=6
            ).update(status=MessageStatus.SENT)
        parts.finish("j" * 32, [part.id for part in found])
    return count


@pytest.mark.case("D9")
def test_waves_go_out_on_their_days_and_the_others_stay_pending(clock: Any) -> None:
    delivery = make(
        1_000,
        batch_quantity=64,
        sending={"waves": {"size": "30%", "every": "2d"}, "validity": {"duration": "10d"}},
    )
    run = confirmed(delivery)
    start = product_clock.now()
    found: dict[int, int] = {}
    for day in range(8):
        if count := claimed(delivery):
            found[day] = count
            left = BroadLogRcp.objects.filter(run_id=run.pk, status=MessageStatus.PENDING).count()
            assert left == 1_000 - sum(found.values())
        clock.move_to(start + timedelta(days=day + 1, seconds=-1))
        assert claimed(delivery) == 0
        clock.step(seconds=1)
    assert found == {0: 300, 2: 300, 4: 300, 6: 100}
    assert "Waves: 4; the last one starts at" in " ".join(said(delivery))


@pytest.mark.case("D10")
def test_a_last_wave_that_starts_after_the_end_of_validity_is_an_error(clock: Any) -> None:
    every = {"waves": {"size": "30%", "every": "2d"}}
    late = make(20, sending=every)
    analyse(late)
    assert late.status is S.READY
    assert any(line.startswith("The last wave starts at") for line in said(late))
    assert "confirm" not in deliveries.possible(late, admin_actor())
    with pytest.raises(Conflict, match="errors"):
        deliveries.confirm(late, actor=admin_actor())
    # Four waves start on the sixth day: one more day of validity than that is enough.
    deliveries.change(late, {"sending": {**every, "validity": {"duration": "7d"}}}, actor=admin_actor())
    assert late.status is S.EDITING
    analyse(late)
    deliveries.confirm(late, actor=admin_actor())
    assert late.validity == product_clock.now() + timedelta(days=7)
    assert late.web_validity == product_clock.now() + timedelta(days=60)


def test_calendars_of_waves() -> None:
    def plan(said: dict[str, Any], total: int) -> list[tuple[float, int]]:
        found = waves.plan(sending.read({"waves": said}).waves, total)
        return [(each.offset / timedelta(hours=1), each.count) for each in found]

    quarter = {"size": "25%"}
    six = {"after": "6h", "size": "25%"}
    assert plan({"lines": [quarter, six, six]}, 1_000) == [(0, 250), (6, 250), (12, 500)]
    assert plan({"lines": [{"size": 10}, six]}, 7) == [(0, 7)]
    assert plan({"size": 400, "every": "1d"}, 1_000) == [(0, 400), (24, 400), (48, 200)]
    assert plan({"size": "0.1%", "every": "1s"}, 3) == [(0, 1), (1 / 3600, 1), (2 / 3600, 1)]
    assert plan({"size": "33.3%", "every": "1h"}, 10) == [(0, 3), (1, 3), (2, 3), (3, 1)]
    with pytest.raises(Invalid, match="1000"):
        plan({"size": 1, "every": "1h"}, 5_000)


def test_what_is_wrong_with_the_sending_is_named() -> None:
    for wrong, place in (
        ({"wave": {}}, "wave"),
        ({"waves": {"size": "30%"}}, "waves/every"),
        ({"waves": {"size": "130%", "every": "2d"}}, "waves/size"),
        ({"waves": {"lines": [{"size": "60%"}, {"size": "60%"}]}}, "waves/lines"),
        ({"waves": {"lines": [{"size": 5, "after": "2 weeks"}]}}, "waves/lines/1/after"),
        ({"retry": {"count": -1}}, "retry/count"),
        ({"validity": {"duration": "5d", "until": "2026-12-01T00:00:00Z"}}, "validity"),
        ({"validity": {"until": "2026-12-01T00:00:00"}}, "validity/until"),
        ({"verify": "yes"}, "verify"),
        ({"doubt": "forget"}, "doubt"),
        ({"bcc": "yes"}, "bcc"),
        ({"missed": {"policy": "no"}}, "missed/policy"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"personalisation": -1}, "personalisation"),
        ({"expired": "javascript:alert(1)"}, "expired"),
    ):
        with pytest.raises(Invalid, match=place):
            make(sending=wrong)


def test_defaults_of_sending_are_options_and_differ_by_channel() -> None:
    plain = sending.read({})
    assert (plain.retry_count, plain.retry_period) == (5, timedelta(hours=1))
    assert (plain.validity, plain.web_validity) == (timedelta(days=5), timedelta(days=60))
    assert sending.read({"web": {"duration": "0"}}).web_end(product_clock.now()) is None, "0: for ever"
    assert sending.read({}, channel=Channel.SMS).retry_period == timedelta(minutes=15)
    assert (plain.doubt, plain.missed, plain.personalisation, plain.verify) == ("repeat", "send", 5, False)
    options.set("NmsEmail_RetryCount", 20, actor=admin_actor())
    options.set("NmsBroadcast_MsgValidityDuration", 3600, actor=admin_actor())
    assert sending.read({}).plan().count == 20
    assert sending.read({}).validity == timedelta(hours=1)
    assert sending.read({"retry": {"count": 0, "period": "90s"}}).plan().count == 0


def due(delivery: Delivery) -> dict[str, int]:
    """Return how many messages are due when, by the hour in UTC, as parts say it."""
    found: Counter[str] = Counter()
    for part in DeliveryPart.objects.filter(delivery=delivery, seeds=False):
        found[f"{part.due_at:%d %H:%M}"] += part.quantity
        held = BroadLogRcp.objects.filter(
            run_id=part.run_id, broad_log_id__range=(part.first_id, part.last_id), status=6
        )
        assert held.count() == part.quantity
    return dict(found)


def test_at_the_local_time_of_each_recipient(clock: Any) -> None:
    clock.move_to(datetime(2027, 3, 10, 12, tzinfo=UTC))
    delivery = make(
        60,
        batch_quantity=7,
        contact_date=datetime(2027, 3, 12, 8, tzinfo=UTC),  # nine o'clock in Paris
        sending={"local_time": True, "zone": "Europe/Paris", "validity": {"duration": "5d"}},
    )
    everyone = list(Recipient.objects.order_by("pk").values_list("pk", flat=True))
    for country, those in (
        ("JP", everyone[:20]),
        ("US", everyone[20:30]),
        ("FR", everyone[30:50]),
        ("XX", []),
    ):
        Recipient.objects.filter(pk__in=those).update(country_code=country)
    Recipient.objects.filter(pk__in=everyone[50:]).update(country_code="XX")
    run = confirmed(delivery)
    assert due(delivery) == {"12 00:00": 20, "12 08:00": 30, "12 14:00": 10}
    assert BroadLogRcp.objects.filter(run_id=run.pk, status=6).count() == 60
    taken: dict[int, int] = {}
    for hour in (-9, -8, 0, 6):
        clock.move_to(datetime(2027, 3, 12, 8, tzinfo=UTC) + timedelta(hours=hour))
        taken[hour] = claimed(delivery)
    assert taken == {-9: 0, -8: 20, 0: 30, 6: 10}
    sent = BroadLogRcp.objects.filter(run_id=run.pk, status=MessageStatus.SENT).order_by("broad_log_id")
    assert set(sent.values_list("target_id", flat=True)[:20]) == set(everyone[:20])


def test_waves_at_local_time_and_clocks_that_change(clock: Any) -> None:
    clock.move_to(datetime(2027, 3, 1, 12, tzinfo=UTC))
    delivery = make(
        10,
        # Clocks in New York go forward on 14 March 2027, those of Paris two weeks later.
        contact_date=datetime(2027, 3, 13, 8, tzinfo=UTC),
        sending={
            "local_time": True, "zone": "Europe/Paris", "validity": {"duration": "5d"},
            "waves": {"size": "50%", "every": "2d"},
        },
    )  # fmt: skip
    Recipient.objects.update(country_code="US")
    confirmed(delivery)
    assert due(delivery) == {"13 14:00": 5, "15 13:00": 5}
    nowhere = make(sending={"local_time": True})
    analyse(nowhere)
    assert "Sending at the local time of recipients needs a contact date." in said(nowhere)
    assert local_time.zone_of("AU") is not None
    assert local_time.zone_of("XX") is None
    assert str(local_time.zone_of("BR")) == "America/Sao_Paulo"


def test_a_stop_takes_effect_though_no_sender_lives(clock: Any) -> None:
    actor, delivery = admin_actor(), make(10)
    run = confirmed(delivery)
    parts.claim("j" * 32, most=1, now=product_clock.now())
    delivery.refresh_from_db()
    deliveries.stop(delivery, actor=actor)
    assert without.asked() == [], "what a dead sender has in hand is settled on its host first"
    DeliveryPart.objects.filter(delivery=delivery).update(journal="")
    now = product_clock.now()
    SenderProcess.objects.create(journal="k" * 32, host="h", pid=1, started_at=now, seen_at=now)
    assert without.asked() == []
    clock.move_to(now + timedelta(minutes=2))
    (job,) = without.asked()
    background.carry_out(*job)
    background.carry_out(*job)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.broad_end) == (S.STOPPED, product_clock.now())
    statuses = set(BroadLogRcp.objects.filter(run_id=run.pk).values_list("status", flat=True))
    assert statuses == {MessageStatus.CANCELLED}
    assert not DeliveryPart.objects.filter(delivery=delivery).exists()
    assert without.asked() == []


def test_pause_resume_and_stop_are_asked_for_or_done_where_nobody_is_at_work() -> None:
    actor, delivery = admin_actor(), make(10)
    with pytest.raises(Conflict):
        deliveries.pause(delivery, actor=actor)
    confirmed(delivery)
    assert {"pause", "stop"} <= deliveries.possible(delivery, actor)
    deliveries.pause(delivery, actor=actor)
    assert delivery.status is S.PAUSED
    assert {"resume", "stop"} <= deliveries.possible(delivery, actor)
    assert parts.claim("j" * 32, most=100, now=product_clock.now()) == []
    deliveries.resume(delivery, actor=actor)
    # A sender has something: it ends that first, and says so.
    parts.claim("j" * 32, most=1, now=product_clock.now())
    delivery.refresh_from_db()
    deliveries.pause(delivery, actor=actor)
    assert delivery.status is S.PAUSE_ASKED
    Delivery.objects.filter(pk=delivery.pk).update(state=S.PAUSED)
    delivery.refresh_from_db()
    deliveries.stop(delivery, actor=actor)
    assert delivery.status is S.STOP_ASKED
    assert not {"pause", "resume", "stop", "delete"} & deliveries.possible(delivery, actor)
    actions = AuditEntry.objects.filter(entity="nms:delivery", entity_id=delivery.pk).order_by("pk")
    assert list(actions.values_list("action", flat=True))[2:] == [
        "Confirm",
        "Pause",
        "Resume",
        "Pause",
        "Stop",
    ]
    writer = actor_of(make_operator("pat", rights=(Right.PREPARE_DELIVERIES,)))
    with pytest.raises(NotAllowed, match="START DELIVERIES"):
        deliveries.stop(delivery, actor=writer)
    plan = DeliverySchedule.objects.get(delivery=delivery)
    assert (plan.confirmed_by_id, plan.confirmed_at is not None) == (actor.operator_id, True)


def test_ready_or_failed_goes_back_to_being_edited_and_a_copy_takes_everything_but_results() -> None:
    actor = admin_actor()
    delivery = make(5, sending={"doubt": "hold"}, approvals={"content": {}})
    analyse(delivery)
    assert "reset" in deliveries.possible(delivery, actor)
    deliveries.reset(delivery, actor=actor)
    assert delivery.status is S.EDITING
    copy = deliveries.duplicate(delivery, actor=actor)
    assert copy.label == "Copy of E-mail delivery"
    assert (copy.subject, copy.sending, copy.approvals) == ("Spring", {"doubt": "hold"}, {"content": {}})
    assert (copy.run_id, copy.to_deliver, copy.status) == (None, 0, S.EDITING)
    template = deliveries.duplicate(deliveries.find("mail", actor=actor), actor=actor)
    assert template.is_model
    assert not template.built_in


def tick() -> None:
    """Do what the workers' timer finds due, as workers do."""
    work = {scheduling.ANALYSE: scheduling._analyse, scheduling.MISSED: scheduling._miss}
    for name, number in scheduling.due():
        work[name](number)
        work[name](number)  # once too often changes nothing


def test_an_analysis_at_a_date_and_what_follows_it(clock: Any) -> None:
    actor = admin_actor()
    later = product_clock.now() + timedelta(hours=2)
    for execution, after in ((Execution.ANALYSIS, S.READY), (Execution.AUTOMATIC, S.START_PENDING)):
        delivery = make(5)
        with pytest.raises(Invalid, match="future"):
            deliveries.schedule(delivery, product_clock.now(), actor=actor)
        deliveries.schedule(delivery, later, actor=actor, execution=execution)
        assert delivery.status is S.TARGET_PENDING
        tick()
        assert DeliveryRun.objects.filter(delivery=delivery).count() == 0
        clock.move_to(later)
        tick()
        run = DeliveryRun.objects.get(delivery=delivery)
        analysis.work(run.pk)
        delivery.refresh_from_db()
        assert delivery.status is after
        later += timedelta(hours=2)
    back = make(5)
    deliveries.schedule(back, later, actor=actor)
    deliveries.reset(back, actor=actor)
    clock.move_to(later + timedelta(days=1))
    tick()
    assert back.status is S.EDITING
    assert not DeliveryRun.objects.filter(delivery=back).exists()
    # What cannot be begun any more stays editable, and says why.
    owner = make_operator("pat", rights=(Right.PREPARE_DELIVERIES,))
    deliveries.schedule(back, later + timedelta(days=2), actor=actor_of(owner))
    owner.disabled = True
    owner.save()
    clock.step(days=3)
    tick()
    back.refresh_from_db()
    assert back.status is S.EDITING
    assert "pat is disabled" in said(back)[-1]


@pytest.mark.parametrize(
    ("policy", "after"), [("ask", S.PAUSED), ("skip", S.STOP_ASKED), ("send", S.START_PENDING)]
)
def test_a_delivery_that_misses_its_date(policy: str, after: DeliveryState, clock: Any) -> None:
    owner = actor_of(make_operator("mary", rights=(Right.ADMINISTRATION,), email="mary@example.org"))
    contact = product_clock.now() + timedelta(hours=1)
    delivery = make(5, contact_date=contact, sending={"missed": {"policy": policy, "grace": "30m"}})
    run = analysis.work(analysis.start(delivery, actor=owner, queue=False).pk, actor=owner)
    delivery.refresh_from_db()
    deliveries.confirm(delivery, actor=owner)
    clock.move_to(contact + timedelta(minutes=29))
    tick()
    delivery.refresh_from_db()
    assert delivery.status is S.START_PENDING
    clock.step(minutes=1)
    late = policy == "send"
    # A sender that comes late takes nothing, even before anybody has decided.
    assert bool(parts.claim("j" * 32, most=1, now=product_clock.now())) is late
    if late:
        return
    tick()
    delivery.refresh_from_db()
    assert delivery.status is after
    assert OutboxItem.objects.filter(key__startswith="delivery-missed").count() == 1
    if policy == "ask":
        deliveries.resume(delivery, actor=owner)
        assert len(parts.claim("j" * 32, most=100, now=product_clock.now())) == 1
        assert BroadLogRcp.objects.filter(run_id=run.pk, status=6).count() == 5


def test_a_late_analysis_does_not_start_by_itself_where_it_is_asked(clock: Any) -> None:
    contact = product_clock.now() - timedelta(hours=2)
    for policy in ("ask", "skip"):
        delivery = make(
            3,
            contact_date=contact,
            validation_mode=ValidationMode.AUTOMATIC,
            sending={"missed": {"policy": policy}},
        )
        analyse(delivery)
        assert delivery.status is S.READY
        assert "does not start by itself" in said(delivery)[-1]
    with pytest.raises(Conflict, match="choose another"):
        deliveries.confirm(delivery, actor=admin_actor())


def test_once_more_to_those_who_did_not_get_it_and_to_nobody_else() -> None:
    actor, delivery = admin_actor(), make(8)
    run = confirmed(delivery)
    rows = list(BroadLogRcp.objects.filter(run_id=run.pk).order_by("target_id"))
    for row, status in zip(rows, (1, 2, 3, 5, 6, 7, 8, 6), strict=True):
        values = {"status": status} | ({"flags": 8} if row is rows[-1] else {})
        BroadLogRcp.objects.filter(run_id=run.pk, broad_log_id=row.pk).update(**values)
    with pytest.raises(Conflict, match="not over"):
        deliveries.resend(delivery, actor=actor)
    Delivery.objects.filter(pk=delivery.pk).update(state=S.FINISHED)
    delivery.refresh_from_db()
    assert "resend" in deliveries.possible(delivery, actor)
    again = deliveries.resend(delivery, actor=actor)
    second = analysis.work(again.run_id or 0)
    again.refresh_from_db()
    left = {rows[1].target_id, rows[4].target_id, rows[5].target_id}
    assert (
        set(BroadLogRcp.objects.filter(run_id=second.pk, status=6).values_list("target_id", flat=True))
        == left
    )
    with pytest.raises(Conflict, match="made for them already"):
        deliveries.resend(delivery, actor=actor)
    # Whom the second one has reached is not left of the first either.
    BroadLogRcp.objects.filter(run_id=second.pk, target_id=rows[1].target_id).update(status=1)
    Delivery.objects.filter(pk=again.pk).update(state=S.STOPPED)
    third = deliveries.resend(delivery, actor=actor)
    last = analysis.work(third.run_id or 0)
    found = BroadLogRcp.objects.filter(run_id=last.pk, status=6).values_list("target_id", flat=True)
    assert set(found) == {rows[4].target_id, rows[5].target_id}


def test_what_has_failed_half_way_is_never_forgotten() -> None:
    actor, delivery = admin_actor(), make(4)
    run = confirmed(delivery)
    first = BroadLogRcp.objects.filter(run_id=run.pk).order_by("target_id").first()
    assert first is not None
    BroadLogRcp.objects.filter(run_id=run.pk, target_id=first.target_id).update(status=MessageStatus.SENT)
    Delivery.objects.filter(pk=delivery.pk).update(state=S.FAILED, broad_start=product_clock.now())
    delivery.refresh_from_db()
    assert deliveries.possible(delivery, actor) == {"duplicate", "delete", "resend"}
    for refused in (
        lambda: deliveries.reset(delivery, actor=actor),
        lambda: deliveries.change(delivery, {"subject": "Anew"}, actor=actor),
        lambda: analysis.start(delivery, actor=actor),
    ):
        with pytest.raises(Conflict, match="those who are left"):
            refused()
    rest = analysis.work(deliveries.resend(delivery, actor=actor).run_id or 0)
    assert BroadLogRcp.objects.filter(run_id=rest.pk, status=6).count() == 3
