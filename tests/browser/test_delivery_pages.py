"""A delivery in a browser: from its template to its analysis, accessible, nothing scrolls sideways."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import analysis, deliveries, lists
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_a_delivery_is_made_and_analysed(visit, width, dark, language):
    make_recipients(2000)
    lists.create("Newsletter", actor=admin_actor(), folder=Folder.objects.get(name="lists"), name="news")
    template = deliveries.find("mail", actor=admin_actor())
    page = visit(f"/deliveries/{template.pk}", width=width, dark=dark, language=language)
    found: list[str] = []

    def look(name: str) -> None:
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"delivery-{name}-{width}.png", full_page=True)
        result = Axe().run(page)
        found.extend(f"{name}: {each['id']}" for each in result.response["violations"])
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, name

    look("template")
    page.locator("#ul").fill("Ouverture anticipée du printemps")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Ouverture anticipée du printemps")
    page.locator("#uf").fill("[location/@countryCode] = 'FR'")
    page.locator("#up").fill("5")
    page.locator("button[value=target]").click()
    expect(page.locator("#up")).to_have_value("5")
    look("target")
    page.locator("button[value=analyse]").click()
    expect(page.locator("#live-region[data-live]")).to_be_visible()
    analysis.work(Delivery.objects.get(is_model=False).run_id)
    # The region asks by itself.
    expect(page.locator("button[value=confirm]")).to_be_visible(timeout=15_000)
    look("analysed")
    page.locator("button[value=confirm]").click()
    expect(page.locator("button[value=confirm]")).to_have_count(0)
    assert found == []
