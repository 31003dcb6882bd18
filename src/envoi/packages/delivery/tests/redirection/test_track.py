"""The running process: what readers are answered, and what comes into the inbox."""

import pytest

from envoi.packages.delivery.models import HitKind
from envoi.packages.delivery.tests.redirection.stage import mailing, track


@pytest.fixture
def news(committed_db):
    return mailing(committed_db.home)


def test_a_click_leads_to_its_address_and_comes_into_the_inbox(news, committed_db, tmp_path):
    with track(committed_db.home, tmp_path) as running:
        got = running.ask(news.tag(), User_Agent="Mozilla\t5\\0")
        assert (got.status, got.header("location")) == (302, "https://shop.example/a?b=1")
        (hit,) = running.hits(1)
        assert (hit.broad_log_id, hit.delivery_id, hit.url_id) == (
            0x617791,
            news.delivery.pk,
            news.links["click"],
        )
        assert (hit.kind, hit.html, hit.user_agent) == (HitKind.TAG, True, "Mozilla 5\\0")
        assert str(hit.source_id) == got.cookies["uuid230"]
        assert hit.address == "127.0.0.1"
