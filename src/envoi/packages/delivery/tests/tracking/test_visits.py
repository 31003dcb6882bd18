"""Visits of pages with a web tracking tag."""

import json
import uuid
from typing import Any

import pytest
from django.db import connection

from envoi.kernel import clock as kernel_clock
from envoi.kernel import options
from envoi.kernel.models.option import DataType
from envoi.kernel.testing import admin_actor, make_folder
from envoi.packages.delivery.models import Delivery, TrackingUrl, UrlType, Visitor
from envoi.packages.delivery.services.tracking import consuming, indicators, visits
from envoi.packages.delivery.tests.tracking.stage import Post, put, run

BROWSER = uuid.UUID(int=7)


def visit(
    post: Post, reader: int | None = None, *, job: int = 0, by: uuid.UUID = BROWSER, **said: Any
) -> Any:
    """Return a call of a tag, of a browser that came from the message of a reader."""
    if reader is not None:
        said["session"] = f"{post.messages[reader]:x},{post.delivery.pk:x}"
    return {"kind": 1, "delivery_id": job, "source_id": by, "extra": json.dumps({"tag": "home", **said})}


def option(name: str, value: object) -> None:
    kind = DataType.BOOLEAN if isinstance(value, bool) else DataType.STRING
    options.set(name, value, actor=admin_actor(), data_type=kind)


def logged() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT target_id, broad_log_id, delivery_id, amount, article FROM nms_web_tracking_log"
            " ORDER BY id"
        )
        return cursor.fetchall()


def target(message: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT target_id FROM nms_broad_log_rcp WHERE id = %s", [message])
        return cursor.fetchone()[0]


def consume() -> Any:
    return consuming.batch(now=kernel_clock.now())


@pytest.mark.case("D40")
def test_an_unknown_page_of_a_transaction_is_made_in_its_folder(post, clock):
    folder = make_folder("MyFolder", model="nms:trackingUrl")
    put(
        visit(post, 0, tag="order", type="t", folder="MyFolder", amount=100.0, article=2),
        visit(post, 1),
        visit(post, 1, tag="order", amount=20.5),
    )
    run(clock)
    page = TrackingUrl.objects.get(url="order")
    assert (page.type, page.folder_id, page.delivery_id) == (UrlType.TRANSACTION, folder.pk, None)
    assert TrackingUrl.objects.get(url="home").type == UrlType.WEB
    zero = post.messages[0]
    assert logged()[0] == (target(zero), zero, post.delivery.pk, 100.0, 2)
    found = post.fresh()
    assert (found.total_web_page, found.transaction, found.amount, found.article) == (3, 2, 120.5, 2)
    assert (found.recipient_open, found.total_recipient_click) == (0, 0)


def test_in_a_session_everything_must_be_known(post, clock):
    put(visit(post), visit(post, job=post.delivery.pk), visit(post, last=f"{post.delivery.pk:x}"),
        visit(post, session="zz,1"), visit(post, session="1,1"),
        {"kind": 1, "extra": "no json"}, {"kind": 1, "extra": '["a"]'})  # fmt: skip
    taken = consume()
    assert (taken.consumed, taken.logged, taken.skipped, logged()) == (7, 0, 7, [])
    assert not TrackingUrl.objects.filter(delivery=None, type=UrlType.WEB).exists()


def test_what_the_tag_says_of_the_recipient_comes_first(post, clock):
    one, two = (target(post.messages[n]) for n in (0, 1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nms_recipient SET email = 'ann@x.org' WHERE recipient_id = %s", [two])
        cursor.execute("SELECT account FROM nms_recipient WHERE recipient_id = %s", [one])
        account = cursor.fetchone()[0]
    put(
        visit(post, 0, rcpid="sEmail=ann@x.org"),
        visit(post, job=post.delivery.pk, rcpid=f"@account={account}"),
        visit(post, job=post.delivery.pk, rcpid=f"id={two}"),
        visit(post, job=post.delivery.pk, rcpid="id=no number"),
        visit(post, job=post.delivery.pk, rcpid="password=x"),
        visit(post, rcpid="email=ann@x.org"),
    )
    assert consume().visits == 3
    assert [row[:3] for row in logged()] == [
        (two, post.messages[1], post.delivery.pk),
        (one, post.messages[0], post.delivery.pk),
        (two, post.messages[1], post.delivery.pk),
    ]


def test_a_browser_that_has_clicked_is_known_later(post, clock):
    option(visits.MODE, "permanent")
    other = Post.sent(1, label="other")
    option(visits.DELIVERY, other.delivery.internal_name)
    put(post.hit(2, "coats", by=BROWSER), visit(post, by=uuid.UUID(int=8)))
    consume()
    put(visit(post), visit(post, job=other.delivery.pk))
    consume()
    who = target(post.messages[2])
    assert [(row[0], row[2]) for row in logged()] == [(who, post.delivery.pk), (who, other.delivery.pk)]
    option(visits.FORCED, True)
    put(visit(post))
    consume()
    assert logged()[-1][2] == other.delivery.pk


def test_visits_of_nobody_become_those_of_a_recipient(post, clock):
    option(visits.MODE, "anonymous")
    option(visits.VISITORS, True)
    put(visit(post), visit(post, amount=5.0, type="t", tag="order"), visit(post, by=uuid.UUID(int=8)))
    assert consume().visits == 3
    assert {row[0] for row in logged()} == {0}
    assert Visitor.objects.filter(recipient_id=0).count() == 2
    put(post.hit(1, "coats", by=BROWSER))
    consume()
    who = target(post.messages[1])
    assert [row[0] for row in logged()] == [who, who, 0]
    assert [row[2] for row in logged()] == [post.delivery.pk] * 2 + [None]
    assert Visitor.objects.get(external_id=str(BROWSER)).recipient_id == who
    indicators.work_out(post.delivery.pk, now=kernel_clock.now())
    assert (post.fresh().total_web_page, post.fresh().amount) == (2, 5.0)


def test_machines_and_invented_pages_do_no_harm(post, clock, monkeypatch):
    monkeypatch.setattr(visits, "PAGES", 2)
    hits = [visit(post, 0, tag=f"page{n}") for n in range(5)]
    put(*hits, visit(post, 0, tag="page0") | {"user_agent": "curl/8"})
    taken = consume()
    assert (taken.visits, taken.automatic, taken.skipped) == (3, 1, 3)
    indicators.work_out(post.delivery.pk, now=kernel_clock.now())
    assert post.fresh().total_web_page == 2
    assert Delivery.objects.get(pk=post.delivery.pk).transaction == 0


def test_visits_that_come_again_are_logged_once(post, clock):
    hit = visit(post, 0)
    (number,) = put(hit)
    consume()
    put({**hit, "tracking_inbox_id": number})
    assert (consume().again, len(logged())) == (1, 1)
