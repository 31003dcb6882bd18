"""The running process: what readers are answered, and what comes into the inbox."""

import json
import os
import re
import shutil
import signal
from contextlib import contextmanager

import pytest
from psycopg.conninfo import make_conninfo

from envoi.app import boot
from envoi.kernel import clock as product_clock
from envoi.kernel.testing import wait_until
from envoi.packages.delivery.models import (
    Delivery,
    HitKind,
    OptOut,
    TrackingInbox,
    TrackingSegment,
    TrackingUrl,
    UrlType,
)
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.tests.redirection.stage import PAGES, PIXEL, READERS, mailing, track


@pytest.fixture
def news(committed_db):
    # Tests of one process share the folder of its instance.
    shutil.rmtree(committed_db.home / "tracking", ignore_errors=True)
    return mailing(committed_db.home)


@pytest.fixture
def running(news, committed_db, tmp_path):
    with track(committed_db.home, tmp_path) as found:
        yield found


def test_clicks_opens_and_pages_are_answered_and_come_into_the_inbox(news, running):
    got = running.ask(news.tag(), User_Agent="Mozilla\t5\\0 é".encode().decode("latin-1"))
    assert (got.status, got.header("location")) == (302, "https://shop.example/a?b=1")
    assert got.header("cache-control") == "no-store, private"
    cookies = got.cookies
    assert (cookies["nlid"], cookies["nllastdelid"]) == (
        f"617791|{news.delivery.pk:x}",
        f"{news.delivery.pk:x}",
    )
    attributes = dict(re.findall(r"(\w+)=[^;]*(.*)", "\n".join(got.all("set-cookie"))))
    assert all("HttpOnly" in each and "SameSite=Lax" in each for each in attributes.values())
    assert "Max-Age" in attributes["uuid230"]
    assert "Max-Age" in attributes["nllastdelid"]
    assert "Max-Age" not in attributes["nlid"]
    # Who has a name keeps it; values that are personal go into the query as they were signed.
    again = running.ask(
        news.tag("personal", "Léa & Söhne/../?x=1\r\nSet-Cookie: a", "C1", form="t"),
        Cookie=f"uuid230={cookies['uuid230']}; other=1",
    )
    assert again.header("location") == (
        "https://shop.example/a.php?name=L%C3%A9a%20%26%20S%C3%B6hne%2F..%2F%3Fx%3D1%0D%0ASet-Cookie%3A%20a"
        "&of=C1#top"
    )
    assert "uuid230" not in again.cookies
    opened = running.ask(news.tag("open"))
    assert (opened.status, opened.header("content-type"), opened.cookies) == (200, "image/gif", {})
    assert opened.body.startswith(PIXEL)
    left = running.ask(news.tag("leave")).header("location")
    assert left.startswith(f"{PAGES}/r/u/?id=h617791,")
    assert tags.tags(boot.current().home, PAGES).read(left.removeprefix(PAGES)).path == tags.UNSUBSCRIBE
    assert running.ask(news.tag("mirror")).header("location").startswith(f"{PAGES}/r/m/?id=h617791,")
    own = news.tag("leave", path=tags.UNSUBSCRIBE)
    assert running.ask(own).header("location") == f"{PAGES}{own}"

    hits = running.hits(6)
    assert [(hit.kind, hit.url_id) for hit in hits] == [
        (HitKind.TAG, number)
        for number in (
            news.links["click"],
            news.links["personal"],
            tags.OPEN,
            news.links["leave"],
            news.links["mirror"],
            news.links["leave"],
        )
    ]
    assert {(hit.broad_log_id, hit.delivery_id, hit.address) for hit in hits} == {
        (0x617791, news.delivery.pk, "127.0.0.1")
    }
    first, second, third, *_ = hits
    assert (first.html, second.html) == (True, False)
    assert str(first.source_id) == str(second.source_id) == cookies["uuid230"]
    assert third.source_id is None
    assert first.user_agent == "Mozilla 5\\0 Ã©"
    assert second.params.startswith("p1=L%C3%A9a")
    assert second.params.endswith("&p2=C1")
    assert abs((product_clock.now() - first.received_at).total_seconds()) < 60
    assert len({hit.tracking_inbox_id for hit in hits}) == 6
    assert min(hit.tracking_inbox_id for hit in hits) > 2**59
    segments = TrackingSegment.objects.all()
    assert sum(each.lines for each in segments) == 6
    assert {hit.segment for hit in hits} <= {each.name for each in segments}
    wait_until(lambda: not any((running.home / "tracking").glob("*.ready")), 5)


def test_what_is_not_ours_is_404_and_leaves_no_line(news, running, committed_db):
    other = mailing(committed_db.home, "other")
    mac = news.tag()[-16:]
    foreign = tags.Tags(READERS, b"another instance's key, 32 bytes")
    ids = ("617791", f"{news.delivery.pk:x}", f"{news.links['click']:x}")
    wrong = {
        "forged": news.tag()[:-1] + ("A" if news.tag()[-1] != "A" else "B"),
        "truncated": news.tag()[:-3],
        "half": news.tag()[:20],
        "another message's": news.tag().replace("h617791", "h617792"),
        "another form": news.tag().replace("=h", "=t"),
        "a signature put on another tag": news.tag("personal", "x")[:-16] + mac,
        "more after it": news.tag() + "&p1=x",
        "twice": news.tag() + "&s=1" + mac,
        "another key": foreign.make("h", *ids).removeprefix(READERS),
        "another version": news.tag().replace("&s=1", "&s=2"),
        "an address": "/r/?id=https://evil.example/&s=1" + mac,
        "a link of another delivery": news.made.make(
            "h", "617791", ids[1], f"{other.links['click']:x}"
        ).removeprefix(READERS),
        "a link that is not there": news.made.make("h", "617791", ids[1], "fffffff").removeprefix(READERS),
        "a delivery that is not there": news.made.make("h", "617791", "fffffff", "1").removeprefix(READERS),
        "a link's tag to leave": news.tag("leave").replace("/r/?", "/r/u/?"),
        "a tag to leave as a link": news.tag("leave", path=tags.UNSUBSCRIBE).replace("/r/u/?", "/r/?"),
        "an unknown page": news.tag("leave", path="/r/x/"),
        "no page": "/r/123?jobid=1",
        "somewhere": "/admin",
        "NUL": "/r/?id=%00&s=%00",
        "letters": "/r/?id=h\xe9,1,1&s=1" + mac,
    }
    for what, target in wrong.items():
        got = running.ask("", raw=f"GET {target} HTTP/1.1\r\nHost: t\r\n\r\n".encode("latin-1"))
        assert (got.status, got.header("location"), got.cookies) == (404, "", {}), what
    link_as_post = news.tag("leave").replace("/r/?", "/r/u/?")
    assert running.ask(link_as_post, method="POST", body=b"List-Unsubscribe=One-Click").status == 404
    running.ask(other.tag())
    (hit,) = running.hits(1)
    assert hit.delivery_id == other.delivery.pk


def test_one_click_unsubscribes(news, running):
    from envoi.packages.delivery.testing import make_recipients

    (person,) = make_recipients(1, black_list=0, black_list_email=0)
    log = _message_to(news.delivery, person)
    target = news.tag("leave", log=log, path=tags.UNSUBSCRIBE)
    got = running.ask(
        target,
        method="POST",
        body=b"List-Unsubscribe=One-Click",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert got.status == 200
    wait_until(lambda: OptOut.objects.filter(recipient_id=person).count() == 1, 15, running.said)
    (hit,) = TrackingInbox.objects.all()
    assert (hit.kind, hit.broad_log_id) == (HitKind.UNSUBSCRIBE, log)


def _message_to(delivery, person):
    from django.db import connection

    from envoi.packages.delivery.models import DeliveryRun
    from envoi.packages.delivery.services import log_tables

    run = DeliveryRun.objects.create(delivery=delivery, storage="rcp", started_at=product_clock.now())
    log_tables.partition("broad_log", "rcp", run.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_broad_log_rcp
                 (id, target_id, run_id, delivery_id, address, status, flags, modified_at)
               VALUES (500, %s, %s, %s, 'a@example.org', 1, 0, %s)""",
            [person, run.pk, delivery.pk, product_clock.now()],
        )
    return 500


@pytest.mark.case("D39")
def test_a_web_tag_of_who_has_refused_is_not_written(news, running):
    target = "/r/4567?tagid=command&amount=100&article=2"
    refused = running.ask(target, Cookie="acoptout=1; uuid230=0b6f3c1e-1111-4222-a333-0123456789ab")
    assert (refused.status, refused.header("content-type"), refused.cookies) == (200, "image/gif", {})
    allowed = running.ask(target, Cookie="acoptout=0")
    assert "uuid230" in allowed.cookies
    # Who has refused gets no cookie for a click either, and the click is counted as nobody's.
    click = running.ask(news.tag(), Cookie="acoptout=1")
    assert (click.status, click.cookies) == (302, {})
    hits = running.hits(2)
    assert [hit.kind for hit in hits] == [HitKind.WEB, HitKind.TAG]
    assert str(hits[0].source_id) == allowed.cookies["uuid230"]
    assert len(hits) == 2


@pytest.mark.case("D40")
def test_web_tags_say_page_type_folder_and_who(news, running):
    click = running.ask(news.tag())
    cookie = "; ".join(f"{name}={value}" for name, value in click.cookies.items())
    got = running.ask("/r/9862?tagid=home%7Ct%7CMyFolder&amount=100&article=2", Cookie=cookie)
    assert got.body.startswith(PIXEL)
    script = running.ask("/r/1.js?tagid=page&jobid=E6&rcpid=saccount%3D10&amount=x&article=-1")
    assert (script.header("content-type"), script.body) == ("text/javascript; charset=utf-8", b"")
    long = running.ask("/r/2?tagid=" + "n" * 100 + "&rcpid=noequals&jobid=xyz&tagid=second%00")
    assert long.status == 200
    _, home, page, cut = running.hits(4)
    assert (home.kind, home.delivery_id, home.broad_log_id) == (HitKind.WEB, 0, 0)
    assert json.loads(home.extra) == {
        "tag": "home",
        "type": "t",
        "folder": "MyFolder",
        "amount": 100.0,
        "article": 2,
        "session": f"617791,{news.delivery.pk:x}",
        "last": f"{news.delivery.pk:x}",
    }
    assert str(home.source_id) == click.cookies["uuid230"]
    assert (json.loads(page.extra), page.delivery_id) == (
        {"tag": "page", "job": "e6", "rcpid": "saccount=10"},
        0xE6,
    )
    assert json.loads(cut.extra) == {"tag": "n" * 64}


def test_methods_lengths_and_small_pages(news, running):
    head = running.ask(news.tag(), method="HEAD")
    assert (head.status, head.header("location"), head.body) == (302, "https://shop.example/a?b=1", b"")
    assert running.ask(news.tag("open"), method="HEAD").body == b""
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        got = running.ask(news.tag(), method=method)
        assert (got.status, got.header("allow")) == (405, "GET, HEAD")
    assert running.ask("/r/?id=" + "a" * 9000).status == 414
    test = running.ask("/r/test").body.decode()
    assert re.fullmatch(
        r"<redir status='OK' date='[^']+' build='[^']+' host='t\.example' localHost='[^']+'/>\n", test
    )
    assert running.ask("/healthz").body == b"ok\n"
    running.ask(news.tag())
    assert len(running.hits(1)) == 1, "a look at an address is no visit"


def test_a_new_delivery_works_at_once_and_a_changed_link_within_seconds(news, running, committed_db):
    running.ask(news.tag())
    fresh = mailing(committed_db.home, "fresh")
    assert running.ask(fresh.tag()).status == 302
    news.add("added", "https://shop.example/added")
    assert running.ask(news.tag("added")).header("location") == "https://shop.example/added"
    TrackingUrl.objects.filter(pk=news.links["click"]).update(url="https://shop.example/é moved")
    wait_until(
        lambda: running.ask(news.tag()).header("location") == "https://shop.example/%C3%A9%20moved", 10
    )


def test_links_that_are_over_lead_elsewhere_and_are_not_counted(news, committed_db, tmp_path):
    past = product_clock.now().replace(year=2020)
    Delivery.objects.filter(pk=news.delivery.pk).update(web_validity=past)
    instead = mailing(committed_db.home, "instead")
    Delivery.objects.filter(pk=instead.delivery.pk).update(
        web_validity=past, sending={"expired": "https://shop.example/over"}
    )
    with track(committed_db.home, tmp_path) as running:
        assert running.ask(news.tag()).status == 410
        assert running.ask(news.tag("open")).body.startswith(PIXEL)
        assert running.ask(instead.tag()).header("location") == "https://shop.example/over"
        assert running.ask(news.tag("leave")).status == 302, "who wants to leave may, always"
        (hit,) = running.hits(1)
        assert hit.url_id == news.links["leave"]


def test_proxies_that_are_trusted_say_who_asks(news, committed_db, tmp_path):
    with track(
        committed_db.home,
        tmp_path,
        ENVOI_TRACKING_TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8",
        ENVOI_TRACKING_URL="https://t.example",
        ENVOI_TRACKING_COOKIES_ELSEWHERE="1",
    ) as running:
        got = running.ask(news.tag(), X_Forwarded_For="6.6.6.6, 203.0.113.9, 10.1.2.3")
        assert all("SameSite=None; Secure" in each for each in got.all("set-cookie"))
        running.ask(news.tag(), X_Forwarded_For="no address, \t<script>")
        hits = running.hits(2)
        assert [hit.address for hit in hits] == ["203.0.113.9", "127.0.0.1"]


def test_a_killed_process_loses_nothing_that_was_answered(news, committed_db, tmp_path):
    with track(committed_db.home, tmp_path) as running:
        for log in range(1, 21):
            assert running.ask(news.tag(log=log)).status == 302
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
        with track(committed_db.home, tmp_path):
            assert {hit.broad_log_id for hit in running.hits(20)} == set(range(1, 21))
    assert TrackingInbox.objects.count() == 20


def test_without_a_database_what_is_known_answers(news, committed_db, tmp_path):
    found = boot.current().lease.connection()
    way = committed_db.home / "way"
    way.symlink_to(found["host"])
    through = make_conninfo(**{**found, "host": str(way)})
    with track(committed_db.home, tmp_path, DATABASE_URL=through) as running:
        assert running.ask(news.tag()).status == 302
        unknown = mailing(committed_db.home, "unknown")
        with _away(committed_db, way):
            wait_until(lambda: running.ask(unknown.tag()).status == 503, 10)
            got = running.ask(unknown.tag())
            assert (got.status, got.header("retry-after")) == (503, "5")
            assert running.ask(news.tag(log=2)).status == 302
            assert running.ask(news.tag("leave", log=3, path=tags.UNSUBSCRIBE)).status == 302
            post = running.ask(unknown.tag("leave", log=4, path=tags.UNSUBSCRIBE), method="POST", body=b"x=1")
            assert post.status == 200
        wait_until(lambda: running.ask(unknown.tag(log=5)).status == 302, 15)
        hits = running.hits(5, 30)
        assert sorted(hit.broad_log_id for hit in hits) == [2, 3, 4, 5, 0x617791]
    way.unlink()


@contextmanager
def _away(database, way):
    """The database takes no connections by `way`, and has none."""
    from django.db import connection

    goal = way.readlink()
    way.unlink()
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = %s AND pid <> pg_backend_pid()""",
            [database.name],
        )
    yield
    way.symlink_to(goal)


def test_links_of_other_types_are_no_redirects(news, running):
    news.add("web", "https://shop.example/page", UrlType.WEB)
    news.add("mail", "javascript:alert(1)")
    for name in ("web", "mail"):
        assert running.ask(news.tag(name)).status == 404
