"""The web tag and its privacy banner on a page of another origin: who refuses is not told of."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.packages.delivery.models import HitKind
from envoi.packages.delivery.services.redirection import web_tags
from envoi.packages.delivery.tests.redirection.stage import mailing, track

pytestmark = pytest.mark.browser


class Shop:
    """A site that is not ours: `/` is its page, and what its visitors ask of `/r/` is kept, unless they are
    told of at `track`.
    """

    def __init__(self, script: str, track: str = "/", more: str = "") -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path)
                if path.path.startswith("/r/"):
                    asked.append(path.query)
                lang = "fr" if path.query == "fr" else "en"
                said = f'data-tracking="{track}" data-page="order|t" data-amount="45" {more}'
                tag = f'<script src="{script}" defer {said}></script>'
                body = (
                    f'<!doctype html><html lang="{lang}"><title>Shop</title><main><h1>Shop</h1></main>{tag}'
                )
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.asked = asked
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def shop(site) -> Iterator[Shop]:
    made = Shop(f"{site.address}/static/delivery/web_tag.js")
    Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_visitor_is_told_of_only_when_he_allows_it(chromium, shop):
    page = chromium.new_page(locale="en-GB")
    page.goto(shop.address)
    banner = page.get_by_role("dialog", name="Privacy")
    expect(banner).to_be_visible()
    assert Axe().run(page).violations_count == 0
    banner.get_by_role("button", name="Refuse").click()
    expect(banner).to_have_count(0)
    assert page.evaluate("document.cookie") == "acoptout=1"
    page.reload()
    assert page.evaluate("envoiPrivacy.getUserPrefs()") == 1
    expect(banner).to_have_count(0)
    assert not shop.asked
    with page.expect_request("**/r/**"):
        page.evaluate("envoiPrivacy.allow()")
    assert page.evaluate("[document.cookie, envoiPrivacy.hasUserPrefs()]") == ["acoptout=0", True]
    with page.expect_response("**/r/**"):
        page.reload()
    tag = web_tags.read(shop.asked[-1])
    assert tag is not None
    assert tag.said == {"tag": "order", "type": "t", "amount": 45.0}


def test_the_banner_speaks_the_language_of_the_page(chromium, shop):
    page = chromium.new_page(locale="en-GB")
    page.goto(f"{shop.address}?fr")
    banner = page.get_by_role("dialog", name="Vie privée")
    expect(banner.get_by_role("button", name="Autoriser")).to_be_visible()
    page.evaluate("envoiPrivacy.closeOptOutBanner()")
    expect(banner).to_have_count(0)
    assert page.evaluate("envoiPrivacy.hasUserPrefs()") is False
    assert not shop.asked


def test_what_a_reader_does_on_a_site_comes_into_the_inbox_unless_he_refuses(
    chromium, site, committed_db, tmp_path
):
    sent = mailing(committed_db.home)
    with track(committed_db.home, tmp_path) as running:
        at = f"http://127.0.0.1:{running.port}"
        words = 'data-text="May we?" data-domain="shop.example"'
        made = Shop(f"{site.address}/static/delivery/web_tag.js", at, words)
        Thread(target=made.server.serve_forever, daemon=True).start()
        sent.add("shop", made.address)
        try:
            for answer, reader in (("Escape", 0xA1), ("Refuse", 0xA2), ("Allow", 0xA3)):
                page = chromium.new_page(locale="en-GB")
                page.goto(at + sent.tag("shop", log=reader))
                expect(page.get_by_role("dialog", name="Privacy")).to_contain_text("May we?")
                page.keyboard.press("Tab")
                if answer == "Escape":
                    page.keyboard.press("Escape")
                else:
                    page.get_by_role("button", name=answer).click()
                expect(page.get_by_role("dialog")).to_have_count(0)
                # A tag without a script would tell of everybody: the refusal reaches whoever counts, too.
                page.evaluate(
                    "at => new Promise(done => { const image = new Image(); image.onload = done;"
                    " image.onerror = done; image.src = at + '/r/1?tagid=bare'; })",
                    at,
                )
                page.context.close()
            found = running.hits(3 + 1 + 2)
        finally:
            made.server.shutdown()
            made.server.server_close()
    clicks = {hit.broad_log_id for hit in found if hit.kind == HitKind.TAG}
    assert clicks == {0xA1, 0xA2, 0xA3}
    visits = [json.loads(hit.extra) for hit in found if hit.kind == HitKind.WEB]
    session = f",{sent.delivery.pk:x}"
    assert sorted((each["session"].removesuffix(session), each["tag"]) for each in visits) == [
        ("a1", "bare"),
        ("a3", "bare"),
        ("a3", "order"),
    ]
