"""Tracking logs as everybody reads them: queries, lists, the history of a profile."""

import re
from html import unescape

from django.db import connection
from django.test import Client
from django.urls import reverse

from envoi.kernel import clock as kernel_clock
from envoi.kernel import query
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import current
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.services.tracking import consuming
from envoi.packages.delivery.tests.tracking.stage import put


def words(answer) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def target(message: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT target_id FROM nms_broad_log_rcp WHERE id = %s", [message])
        return cursor.fetchone()[0]


def test_who_clicked_on_a_link_of_a_delivery(post, clock):
    put(post.hit(0, "coats"), post.hit(1, "shoes"), post.hit(2, "coats"), post.hit(2, "open"))
    consuming.batch(now=kernel_clock.now())
    asked = QueryDef(
        "nms:recipient",
        select=(Field("@id"),),
        where=(
            Condition(
                set_operator="EXISTS",
                expr="trackingLog",
                conditions=(
                    Condition("[url/@source] = 'https://shop.example/coats'"),
                    Condition(f"[@delivery-id] = {post.delivery.pk}"),
                    Condition("@automatic <= 0"),
                ),
            ),
        ),
        order_by=(Field("@id"),),
    )
    found = [row[0] for row in query.run(asked, actor=admin_actor()).rows]
    assert found == sorted(target(post.messages[n]) for n in (0, 2))


def test_every_mapping_has_its_tracking_logs_as_a_schema(db):
    registry = current()
    for name, table in (("nms:trackingLogVisitor", "nms_tracking_log_visitor"),
                        ("nms:trackingLogFile", "nms_tracking_log_file")):  # fmt: skip
        schema = registry[name]
        assert schema.table == table
        rows = query.run(QueryDef(name, select=(Field("@id"), Field("@logDate"), Field("[url/@label]"))),
                         actor=admin_actor()).rows  # fmt: skip
        assert rows == []
    assert registry["nms:visitor"].links["trackingLog"].target == "nms:trackingLogVisitor"


def test_the_history_of_a_profile_tells_opens_and_clicks(post, clock):
    put(
        post.hit(0, "open"),
        post.hit(0, "coats", after=10),
        post.hit(0, "shoes", after=20, user_agent="curl/8"),
        post.hit(1, "hats"),
        {"kind": 1, "extra": f'{{"tag": "home", "session": "{post.messages[0]:x},{post.delivery.pk:x}"}}'},
    )
    consuming.batch(now=kernel_clock.now())
    client = Client()
    sofia = make_operator("sofia", ("ADMINISTRATION",))
    client.force_login(sofia, "django.contrib.auth.backends.ModelBackend")
    page = reverse("delivery:recipient", args=[target(post.messages[0])])
    shown = words(client.get(page))
    assert "Opened the message" in shown
    assert "Clicked on https://shop.example/coats" in shown
    assert "Chrome Windows" in shown
    assert "Robot or script, by its name" in shown
    assert "Visited the page home" in shown
    assert "hats" not in shown
    only = words(client.get(f"{page}?kind=reaction"))
    assert "Opened the message" in only
