"""The web tag and its privacy banner on a page of another origin: who refuses is not told of."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.packages.delivery.services.redirection import web_tags

pytestmark = pytest.mark.browser


class Shop:
    """A site that is not ours: `/` is its page, and what its visitors ask of `/r/` is kept."""

    def __init__(self, script: str) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path)
                if path.path.startswith("/r/"):
                    asked.append(path.query)
                lang = "fr" if path.query == "fr" else "en"
                said = 'data-tracking="/" data-page="order|t" data-amount="45"'
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
    banner = page.get_by_role("region", name="Privacy")
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
    banner = page.get_by_role("region", name="Vie privée")
    expect(banner.get_by_role("button", name="Autoriser")).to_be_visible()
    page.evaluate("envoiPrivacy.closeOptOutBanner()")
    expect(banner).to_have_count(0)
    assert page.evaluate("envoiPrivacy.hasUserPrefs()") is False
    assert not shop.asked
