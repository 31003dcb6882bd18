"""From hits to logs and indicators, by the technical workflow."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection

from envoi.kernel import clock as kernel_clock
from envoi.kernel.errors import Conflict
from envoi.kernel.models import Option
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    Automatic,
    Delivery,
    DeliveryRun,
    DeliveryTracking,
    Flag,
    InboundKind,
    InboundMail,
    InboundOutcome,
    TrackingInbox,
    TrackingStats,
    UserAgentsStats,
)
from envoi.packages.delivery.services.tracking import consuming, indicators, running, statistics
from envoi.packages.delivery.services.tracking.definitions import DEFINITIONS, RATIOS
from envoi.packages.delivery.tests.tracking.stage import Post, put, run

FLORIAN, FRIEND = uuid.UUID(int=1), uuid.UUID(int=2)


def consume() -> consuming.Taken:
    return consuming.batch(now=kernel_clock.now())


@pytest.mark.case("D30")
def test_opens_clicks_persons_and_forwards(post, clock):
    marie, florian, henry = 0, 1, 2
    put(
        post.hit(marie, "open"),
        post.hit(florian, "open"),
        *(post.hit(florian, "coats", after=60 + 40 * n, by=FLORIAN) for n in range(9)),
        *(post.hit(florian, "shoes", after=2000 + 60 * n, by=FRIEND) for n in range(2)),
        post.hit(henry, "open"),
        *(post.hit(henry, "coats", after=90 * n) for n in range(4)),
    )
    run(clock)
    found = post.fresh()
    assert (found.recipient_open, found.recipient_click) == (3, 2)
    assert (found.person_click, found.forward) == (6, 4)
    assert found.total_recipient_click == 15
    assert round(100 * RATIOS["rawReactivity"](found), 2) == 66.67
    assert not TrackingInbox.objects.exists()


def with_text(post: Post, text: int) -> Delivery:
    """Say that so many of its messages have no HTML."""
    DeliveryRun.objects.filter(pk=post.delivery.run_id).update(counts={"text": text})
    Delivery.objects.filter(pk=post.delivery.pk).update(to_deliver=1000)
    indicators.work_out(post.delivery.pk, now=kernel_clock.now())
    return post.fresh()


@pytest.mark.case("D31")
@pytest.mark.case("D32")
def test_readers_of_text_are_estimated(db, clock):
    post = Post.sent(160)
    put(*(post.hit(reader, "open") for reader in range(160)), post.hit(3, "open", after=90))
    consume()
    found = with_text(post, 200)
    assert (found.recipient_open, found.estimated_recipient_open) == (160, 200)
    assert (found.total_recipient_open, found.estimated_total_recipient_open) == (161, 201)
    found = with_text(post, 1000)
    assert (found.estimated_recipient_open, found.estimated_total_recipient_open, found.reactivity) == (
        0,
        0,
        0,
    )


def test_messages_in_text_are_those_of_readers_who_want_it(post, clock):
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_recipient SET email_format = 1 WHERE recipient_id = (
                 SELECT target_id FROM nms_broad_log_rcp WHERE id = %s)""",
            [post.messages[3]],
        )
    Delivery.objects.filter(pk=post.delivery.pk).update(html_source="<p>a</p>", text_source="a")
    put(*(post.hit(reader, "open") for reader in range(3)))
    run(clock)
    assert post.fresh().estimated_recipient_open == 4
    assert DeliveryRun.objects.get(pk=post.delivery.run_id).counts["text"] == 1


@pytest.mark.case("D33")
def test_repeated_opens_are_one(post, clock):
    put(post.hit(0, "open"), post.hit(0, "open", after=30))
    assert (consume().repeated, len(post.logs())) == (1, 1)
    # Also against what is logged already, whichever comes first; after a minute it is another open.
    put(post.hit(0, "open", after=45), post.hit(0, "open", after=-20), post.hit(0, "open", after=60))
    assert (consume().repeated, len(post.logs())) == (2, 2)


def test_a_chain_of_opens_counts_once_a_minute(post, clock):
    put(*(post.hit(0, "open", after=10 * n) for n in range(31)), post.hit(1, "open"))
    assert consume().repeated == 31 - 6
    indicators.work_out(post.delivery.pk, now=kernel_clock.now())
    assert post.fresh().total_recipient_open == 7


def test_it_does_not_matter_how_hits_are_cut_into_batches(post, clock):
    put(*(post.hit(0, "open", after=25 * n) for n in range(20)))
    last, taken = 0, consuming.Taken()
    while (batch := consuming.batch(last, now=kernel_clock.now(), size=3)).consumed:
        last, taken = batch.last, taken + batch
    # Kept at 0, 75, 150, … seconds.
    assert (taken.logged, taken.repeated) == (7, 13)


@pytest.mark.case("D34")
def test_opt_out_and_mirror_page_are_no_clicks(post, clock):
    put(
        post.hit(0, "coats"),
        post.hit(0, "leave", after=100),
        post.hit(1, "leave"),
        post.hit(1, "mirror", after=100),
        post.hit(2, "leave", kind=2, user_agent="curl/8"),
    )
    run(clock)
    found = post.fresh()
    assert (found.opt_out, found.mirror_page, found.total_recipient_click) == (3, 1, 1)
    assert found.recipient_open == 3


@pytest.mark.case("D35")
def test_a_late_click_is_logged_and_changes_no_indicator(post, clock):
    put(post.hit(0, "coats"))
    run(clock)
    assert post.fresh().recipient_click == 1
    Delivery.objects.filter(pk=post.delivery.pk).update(
        validity=kernel_clock.now() - timedelta(days=31),
        indicators_at=kernel_clock.now() - timedelta(days=40),
    )
    put(post.hit(1, "coats"))
    run(clock)
    assert (len(post.logs()), post.fresh().recipient_click) == (2, 1)
    # On demand it is worked out all the same.
    indicators.recompute(post.delivery, actor=admin_actor(), now=kernel_clock.now())
    assert post.delivery.recipient_click == 2


@pytest.mark.case("D36")
def test_few_new_logs_wait_for_a_day(post, clock):
    now = kernel_clock.now()
    Delivery.objects.filter(pk=post.delivery.pk).update(indicators_at=now, validity=now + timedelta(days=5))
    DeliveryTracking.objects.create(delivery_id=post.delivery.pk, logs=100_500, unaccounted=500)
    assert indicators.due(now=now + timedelta(hours=23)) == []
    assert indicators.due(now=now + timedelta(hours=24)) == [post.delivery.pk]
    DeliveryTracking.objects.update(logs=101_000, unaccounted=1_000)
    assert indicators.due(now=now) == [post.delivery.pk]
    # Errors likewise.
    DeliveryTracking.objects.update(unaccounted=0, errors=1000)
    Delivery.objects.filter(pk=post.delivery.pk).update(error=1009)
    assert indicators.due(now=now) == []
    Delivery.objects.filter(pk=post.delivery.pk).update(error=1010)
    assert indicators.due(now=now) == [post.delivery.pk]


@pytest.mark.case("D38")
def test_hits_that_come_again_are_logged_once(post, clock):
    hits = [post.hit(0, "open"), post.hit(0, "coats", after=5), post.hit(1, "shoes")]
    ids = put(*hits)
    run(clock)
    before = post.logs(), list(TrackingStats.objects.order_by("url_id").values_list("url_id", "total_clicks"))
    put(*({**hit, "tracking_inbox_id": number} for hit, number in zip(hits, ids, strict=True)))
    taken = consume()
    assert (taken.consumed, taken.logged, taken.again) == (3, 0, 3)
    after = post.logs(), list(TrackingStats.objects.order_by("url_id").values_list("url_id", "total_clicks"))
    assert after == before
    assert DeliveryTracking.objects.get().logs == 3


@pytest.mark.case("D84")
def test_seed_addresses_count_nowhere(post, clock):
    with connection.cursor() as cursor:
        for number, flag in enumerate((Flag.SEED, Flag.CONTROL)):
            cursor.execute(
                "UPDATE nms_broad_log_rcp SET flags = %s WHERE id = %s", [int(flag), post.messages[number]]
            )
    put(*(post.hit(n, link, after=70 * at) for n in range(3)
          for at, link in enumerate(("open", "coats", "leave", "mirror"))))  # fmt: skip
    run(clock)
    found = post.fresh()
    assert len(post.logs()) == 12
    assert (found.recipient_open, found.total_recipient_open, found.recipient_click) == (1, 1, 1)
    assert (found.opt_out, found.mirror_page, found.person_click) == (1, 1, 1)
    assert sum(TrackingStats.objects.values_list("total_clicks", flat=True)) == 4


def test_hits_on_nothing_are_counted_and_left(post, clock):
    other = Post.sent(1, label="other")
    put(
        post.hit(0, "coats"),
        {"broad_log_id": 1, "delivery_id": post.delivery.pk, "url_id": post.links["coats"]},
        {"broad_log_id": post.messages[0], "delivery_id": 99_999_999, "url_id": 1},
        {"broad_log_id": post.messages[0], "delivery_id": other.delivery.pk, "url_id": 1},
        post.hit(0, "coats", url_id=other.links["coats"]),
    )
    DeliveryRun.objects.create(
        delivery=Post.sent(1, label="gone").delivery, storage="gone", step=10, started_at=kernel_clock.now()
    )
    gone = DeliveryRun.objects.get(storage="gone").delivery
    DeliveryRun.objects.filter(delivery=gone).exclude(storage="gone").delete()
    put({"broad_log_id": 5, "delivery_id": gone.pk, "url_id": 1})
    taken = consume()
    assert (taken.consumed, taken.logged, taken.skipped, taken.unmatched) == (6, 1, 4, 1)
    assert Option.objects.get(name="NmsTracking_Pointer").value.split()[0] == str(taken.last)


def test_the_run_of_a_message_is_found_in_a_delivery_with_many(post, clock):
    now = kernel_clock.now()
    with connection.cursor() as cursor:
        runs = [DeliveryRun.objects.create(delivery=post.delivery, storage="rcp", step=10, started_at=now).pk
                for _ in range(3)]  # fmt: skip
        for at, number in enumerate(runs):
            cursor.execute(
                """INSERT INTO nms_broad_log_rcp (id, target_id, run_id, delivery_id, status, modified_at)
                   SELECT id + %s, target_id, %s, delivery_id, 1, modified_at FROM nms_broad_log_rcp
                   WHERE run_id = %s""",
                [10_000_000 * (at + 1), number, post.delivery.run_id],
            )
    put(post.hit(0, "coats", broad_log_id=post.messages[0] + 20_000_000), post.hit(0, "coats"))
    assert consume().logged == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT run_id FROM nms_tracking_log_rcp ORDER BY run_id")
        assert [row[0] for row in cursor.fetchall()] == [post.delivery.run_id, runs[1]]
    indicators.work_out(post.delivery.pk, now=now)
    assert post.fresh().recipient_click == 2


MACHINES = [
    ({"user_agent": "Barracuda Sentinel (EE)"}, "coats", Automatic.SCANNER),
    ({"user_agent": "python-requests/2.31"}, "coats", Automatic.ROBOT),
    ({"user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}, "coats", Automatic.ROBOT),
    ({"address": "40.94.20.1"}, "coats", Automatic.READER),
    ({"address": "40.93.20.1"}, "coats", Automatic.GATEWAY),
    ({"address": "2a01:111:f403:c111::1"}, "coats", Automatic.GATEWAY),
    ({"address": "no address"}, "coats", Automatic.READER),
    ({"after": -7200}, "coats", Automatic.EARLY),
    ({"user_agent": "Mozilla/5.0"}, "open", Automatic.PROXY_APPLE),
    ({"user_agent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) (via ggpht.com GoogleImageProxy)"}, "open",
     Automatic.PROXY_GMAIL),
    ({"user_agent": "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"}, "open",
     Automatic.PROXY_YAHOO),
    ({"user_agent": "Mozilla/5.0"}, "coats", Automatic.READER),
    ({}, "coats", Automatic.READER),
]  # fmt: skip


@pytest.mark.parametrize(("how", "link", "made"), MACHINES)
def test_machines_are_told_apart_with_the_reason(post, clock, how, link, made):
    put(post.hit(0, link, **how))
    run(clock)
    assert post.logs() == [(0, link, int(made))]
    machine, found = made > Automatic.READER, post.fresh()
    assert found.recipient_open == (not machine)
    counted = DeliveryTracking.objects.get()
    assert (counted.automatic, counted.proxy_open) == (machine, made < Automatic.READER)


def test_several_links_within_seconds_are_followed_by_a_machine(post, clock):
    put(
        *(post.hit(0, link, after=n) for n, link in enumerate(("coats", "shoes", "hats"))),
        post.hit(0, "coats", after=300),
        *(post.hit(1, "coats", after=n) for n in range(5)),
        *(post.hit(2, link, after=30 * n) for n, link in enumerate(("coats", "shoes", "hats"))),
    )
    run(clock)
    burst = int(Automatic.BURST)
    assert [each for each in post.logs() if each[2]] == [
        (0, "coats", burst), (0, "shoes", burst), (0, "hats", burst),
    ]  # fmt: skip
    found = post.fresh()
    assert (found.total_recipient_click, found.recipient_click) == (9, 3)


def test_a_scanner_hides_no_reader(post, clock):
    put(post.hit(0, "open", user_agent="Mimecast"), post.hit(0, "open", after=20))
    run(clock)
    assert post.fresh().total_recipient_open == 1


def test_a_link_that_nobody_sees_is_a_trap(post, clock):
    from envoi.packages.delivery.models import TrackingUrl

    TrackingUrl.objects.filter(pk=post.links["hats"]).update(category="hidden")
    put(post.hit(0, "hats"))
    consume()
    assert post.logs() == [(0, "hats", int(Automatic.HIDDEN))]


def test_browsers_are_counted_by_day(post, clock):
    phone = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        " Version/17.2 Mobile/15E148 Safari/604.1"
    )
    put(
        post.hit(0, "coats"),
        post.hit(0, "shoes", after=100),
        post.hit(1, "coats", user_agent=phone),
        post.hit(0, "hats", user_agent=phone, after=200),
        post.hit(2, "coats", user_agent="curl/8"),
    )
    journal = run(clock)
    rows = UserAgentsStats.objects.order_by("os")
    shown = [(each.browser, each.os, each.visitors, each.pages, each.visitors_of_the_day) for each in rows]
    assert shown == [
        ("Chrome", "Windows", 1, 2, 2), ("Mobile Safari", "iOS", 2, 2, 2),
    ]  # fmt: skip
    assert Option.objects.get(name="NmsUserAgentStats_LastConsolidation").value == kernel_clock.now()
    assert any("5 hits: 5 logged, 1 of them of machines" in line for line in journal), journal
    statistics.rebuild(kernel_clock.now().date())
    assert rows.count() == 2


def test_the_workflow_works_out_deliveries_some_at_a_time(db, clock, monkeypatch):
    monkeypatch.setattr(indicators, "MOST", 2)
    posts = [Post.sent(1, label=f"d{n}") for n in range(5)]
    put(*(post.hit(0, "coats") for post in posts))
    journal = run(clock)
    assert all(post.fresh().recipient_click == 1 for post in posts)
    assert any("Indicators of 5 deliveries" in line for line in journal), journal


def test_on_demand_all_is_worked_out_from_the_logs(post, clock):
    put(post.hit(0, "coats"))
    run(clock)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE nms_broad_log_rcp SET status = 2, failure_reason = 8 WHERE id = %s", [post.messages[1]]
        )
        cursor.execute("UPDATE nms_broad_log_rcp SET flags = 1 WHERE id = %s", [post.messages[2]])
    Delivery.objects.filter(pk=post.delivery.pk).update(success=77, error=9, recipient_click=5)
    indicators.recompute(post.fresh(), actor=admin_actor(), now=kernel_clock.now())
    found = post.delivery
    assert (found.success, found.error, found.processed, found.complaints) == (2, 1, 3, 1)
    assert found.recipient_click == 1
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM nms_tracking_log_rcp")
    with pytest.raises(Conflict, match="purged"):
        indicators.recompute(found, actor=admin_actor(), now=kernel_clock.now())


def test_complaints_that_came_in_are_counted(post, clock):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nms_broad_log_rcp SET flags = 1 WHERE id = %s", [post.messages[1]])
    for number, message in enumerate((0, 0, 1)):
        InboundMail.objects.create(
            digest=f"{number}", kind=InboundKind.COMPLAINT, outcome=InboundOutcome.APPLIED,
            delivery_id=post.delivery.pk, run_id=post.delivery.run_id, broad_log_id=post.messages[message],
            received_at=kernel_clock.now(),
        )  # fmt: skip
    run(clock)
    assert post.fresh().complaints == 1
    assert indicators.due(now=kernel_clock.now()) == []


def test_hits_that_wait_are_consumed_without_the_hourly_run(post, clock):
    put(post.hit(0, "coats"))
    assert running.waiting() == []
    clock.step(seconds=31)
    assert running.waiting() == [(running.JOB, 0)]
    running.at_once(now=kernel_clock.now())
    assert post.fresh().recipient_click == 1
    assert running.waiting() == []


def test_every_indicator_names_columns_that_are_there(db):
    own = {each.name for each in Delivery._meta.get_fields()} | {"automatic", "proxy_open"}
    for each in DEFINITIONS.values():
        assert set(each.columns) <= own, each.name
        assert all((str(each.label), str(each.text), str(each.formula)))
    assert set(RATIOS) == {each.name for each in DEFINITIONS.values() if each.unit == "ratio"}
