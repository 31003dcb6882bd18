"""The visual editor in a browser: messages from an empty page and from one that ships, in two languages."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


def _shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def test_a_text_block_is_kept_and_compiled_on_the_server(visit):
    make_recipients(1, first_name="Zoë", last_name="Roux", email="zoe@example.org", city="Lyon")
    delivery = make_delivery(label="Early access", html_source="", text_source="")
    page = visit(f"/deliveries/{delivery.pk}/content/visual", width=1280)
    _shot(page, "start")
    page.locator("button[name=starter][value=empty]").click()
    page.wait_for_selector("[data-visual][data-ready]")
    _shot(page, "empty")
    page.locator("[data-block=text]").click()
    page.locator("[data-block=button]").click()
    _shot(page, "blocks")
    page.locator("[data-part=keep]").click()
    expect(page.locator("[data-part=said]")).to_contain_text("kept")
    delivery.refresh_from_db()
    assert "Write your text here" in delivery.html_source
