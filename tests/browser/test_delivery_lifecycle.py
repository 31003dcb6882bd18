"""Sending, approvals and proofs of a delivery in a browser: accessible, nothing scrolls sideways."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel import clock
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import SeedMember
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_how_a_delivery_is_sent_approved_and_proved(visit, width, dark, language):
    actor = admin_actor()
    make_recipients(400, black_list=0, black_list_email=0)
    make_operator("ann", email="ann@example.org")
    spring = deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, label="Spring collection", subject="It is spring",
        from_name="Shop", from_address="shop@example.org", html_source="<p>Hello</p>", text_source="Hello",
        targeting={"filter": "@id > 0"}, contact_date=clock.now() + timedelta(days=2),
        sending={"validity": {"duration": "10d"}, "local_time": True},
    )  # fmt: skip
    SeedMember.objects.create(
        folder=spring.folder, label="Ann", email="ann@seed.example", delivery_id=spring.pk,
        created_at=clock.now(), modified_at=clock.now(),
    )  # fmt: skip
    found: list[str] = []
    page = visit(f"/deliveries/{spring.pk}/sending", width=width, dark=dark, language=language)

    def look(name: str) -> None:
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"delivery-{name}-{width}.png", full_page=True)
        found.extend(f"{name}: {each['id']}" for each in Axe().run(page).response["violations"])
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, name

    page.locator("input[name=waves][value=equal]").check()
    page.locator("#ws").fill("30%")
    page.locator("#we").fill("2d")
    page.locator("button[value=sending]").click()
    expect(page.locator("table.dense tbody tr")).to_have_count(4 + 6)
    look("sending")
    page.goto(page.url.replace("/sending", "/approval"))
    page.locator("input[name=target-on]").check()
    page.locator("input[name=content-on]").check()
    page.locator("#o-content").evaluate("element => element.closest('details').open = true")
    page.locator("#o-content").select_option("ann")
    page.locator("button[value=settings]").click()
    expect(page.locator("button[value=submit]")).to_have_count(2)
    analysis.work(analysis.start(spring, actor=actor, queue=False).pk)
    page.reload()
    look("approval")
    page.locator("button[value=approve]").first.click()
    expect(page.locator("button[value=approve]")).to_have_count(1)
    page.goto(page.url.replace("/approval", "/proofs"))
    page.locator("#pa").fill("boss@example.org")
    page.locator("input[value=substitution]").check()
    page.locator("button[value=prove]").click()
    expect(page.locator("table.fold tbody tr")).to_have_count(1)
    look("proofs")
    assert found == []
