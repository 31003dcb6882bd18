"""What operators do with a delivery: waves, dates, pause and stop, once more to those who are left."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.kernel import clock as product_clock
from envoi.kernel import options
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    BroadLogRcp,
    Delivery,
    DeliveryRun,
    DeliveryState,
    JobLog,
    MessageStatus,
)
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.services.deliveries import sending, waves
from envoi.packages.delivery.services.mta import parts
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
        ({"missed": {"policy": "no"}}, "missed/policy"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"personalisation": -1}, "personalisation"),
    ):
        with pytest.raises(Invalid, match=place):
            make(sending=wrong)


def test_defaults_of_sending_are_options_and_differ_by_channel() -> None:
    from envoi.packages.delivery.models import Channel

    plain = sending.read({})
    assert (plain.retry_count, plain.retry_period) == (5, timedelta(hours=1))
    assert (plain.validity, plain.web_validity) == (timedelta(days=5), timedelta(days=60))
    assert sending.read({}, channel=Channel.SMS).retry_period == timedelta(minutes=15)
    assert (plain.doubt, plain.missed, plain.personalisation, plain.verify) == ("repeat", "send", 5, False)
    options.set("NmsEmail_RetryCount", 20, actor=admin_actor())
    options.set("NmsBroadcast_MsgValidityDuration", 3600, actor=admin_actor())
    assert sending.read({}).plan().count == 20
    assert sending.read({}).validity == timedelta(hours=1)
    assert sending.read({"retry": {"count": 0, "period": "90s"}}).plan().count == 0
