"""A delivery in a browser: from its template to its analysis, accessible, nothing scrolls sideways."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel import clock
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import analysis, deliveries, lists
from envoi.packages.delivery.testing import make_recipients, make_sent

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
    made = Delivery.objects.get(is_model=False)
    content = {"subject": "Printemps", "text_source": "C’est ouvert.", "from_address": "shop@example.org"}
    Delivery.objects.filter(pk=made.pk).update(**content)
    page.locator("button[value=analyse]").click()
    expect(page.locator("#live-region[data-live]")).to_be_visible()
    analysis.work(Delivery.objects.get(pk=made.pk).run_id)
    # The region asks by itself.
    expect(page.locator("button[value=confirm]")).to_be_visible(timeout=15_000)
    look("analysed")
    page.locator("button[value=confirm]").click()
    expect(page.locator("button[value=confirm]")).to_have_count(0)
    assert found == []


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_a_delivery_is_followed(visit, width, dark, language):
    made = make_sent(make_recipients(800), excluded=80, label="Ouverture")
    page = visit(f"/deliveries/{made.pk}", width=width, dark=dark, language=language)
    found: list[str] = []

    def look(name: str) -> None:
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"follow-{name}-{width}.png", full_page=True)
        found.extend(f"{name}: {each['id']}" for each in Axe().run(page).response["violations"])
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, name

    expect(page.locator("#failures th a").first).to_be_visible()
    look("dashboard")
    # It follows by itself, and asks no more when nothing moves.
    Delivery.objects.filter(pk=made.pk).update(
        state=95, success=made.to_deliver, error=0, processed=made.to_deliver, modified_at=clock.now()
    )
    expect(page.locator(".st.ok").first).to_be_visible(timeout=15_000)
    expect(page.locator("#live-region")).not_to_have_attribute("data-live", "1")
    for tab in ("target", "logs", "exclusions", "audit"):
        page.goto(f"/deliveries/{made.pk}/{tab}")
        look(tab)
    assert found == []


def test_the_calendar_goes_by_keys_and_stop_asks_first(visit):
    made = make_sent(make_recipients(50), label="Ouverture")
    page = visit("/deliveries/calendar")
    found = [each["id"] for each in Axe().run(page).response["violations"]]
    today = page.locator(".cal .dn[aria-current=true]")
    day = page.evaluate("[...document.querySelectorAll('.cal .dn')].findIndex(e => e.ariaCurrent === 'true')")
    today.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    at = page.evaluate("[...document.querySelectorAll('.cal .dn')].indexOf(document.activeElement)")
    assert at == day - 8
    page.locator(".ev", has_text="Ouverture").click()
    page.locator("#c-stop").click()
    expect(page.locator("#dialog h2")).to_have_text("Stop “Ouverture”?")
    page.locator("#dialog .pri").click()
    expect(page.locator("#dialog h2")).to_have_text("Pause “Ouverture”?")
    page.locator("#dialog button[value=pause]").click()
    expect(page.locator("#toasts")).to_contain_text("Pause is asked.")
    made.refresh_from_db()
    assert made.state in (71, 75)
    page.goto("/reports/throughput")
    found += [each["id"] for each in Axe().run(page).response["violations"]]
    assert found == []
