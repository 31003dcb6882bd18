"""The file of a direct mail in a browser: set, made, looked at, accessible, nothing scrolls sideways."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.engine import background
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery, DeliveryState
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_a_letter_gets_its_file(visit, width, dark, language):
    make_recipients(500, black_list=0)
    actor = admin_actor()
    delivery = deliveries.create(
        deliveries.find("paper", actor=actor), actor=actor, label="Lettre de bienvenue",
        targeting={"filter": "@id > 0"},
    )  # fmt: skip
    page = visit(f"/deliveries/{delivery.pk}/file", width=width, dark=dark, language=language)
    found: list[str] = []

    def look(name: str) -> None:
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"extraction-{name}-{width}.png", full_page=True)
        result = Axe().run(page)
        found.extend(f"{name}: {each['id']}" for each in result.response["violations"])
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, name

    page.locator("#xc").fill(
        "@firstName | First name\n@lastName | Name\n[location/@zipCode]\n[location/@city]"
    )
    page.locator("#xo").fill("[location/@zipCode]")
    page.locator("#xs").select_option("random")
    page.locator("button[value=settings]").click()
    expect(page.locator("#xs")).to_have_value("random")
    look("settings")
    page.locator("button[value=analyse]").click()
    analysis.work(Delivery.objects.get(pk=delivery.pk).run_id)
    page.goto(f"{page.url.partition('/deliveries')[0]}/deliveries/{delivery.pk}/file")
    for answer in background.lost.ask():
        for name, number in answer:
            background.carry_out(name, number)
    assert Delivery.objects.get(pk=delivery.pk).state == DeliveryState.READY
    # The page asks by itself until the file is there.
    expect(page.locator("table.dense tbody tr")).to_have_count(20, timeout=15_000)
    look("made")
    assert found == []
