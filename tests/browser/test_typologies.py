"""Typologies and rules in a browser: accessible, wide and narrow, nothing scrolls sideways."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import TypologyRule
from envoi.packages.delivery.services import typologies

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_rules_are_made_and_read(visit, width, dark, language):
    typologies.create_rule(
        "rivals", actor=admin_actor(), type=0, label="No rivals",
        definition={"where": {"condition": [{"expr": "@company = 'Acme'"}]}},
    )  # fmt: skip
    page = visit("/typologies", width=width, dark=dark, language=language)
    found: list[str] = []

    def look(name: str) -> None:
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"typologies-{name}-{width}.png", full_page=True)
        result = Axe().run(page)
        found.extend(
            f"{name}: {each['id']} {each['nodes'][0]['html'][:90]}" for each in result.response["violations"]
        )
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, name

    look("list")
    page.locator("a[href$='?type=1']").click()
    page.locator("#la").fill("Three a fortnight")
    page.locator("#na").fill("fortnight")
    page.locator("#th").fill("3")
    page.locator("#da").fill("14")
    page.locator("#gr").select_option("month")
    page.locator("input[name=default]").check()
    look("pressure")
    page.locator("form .btn.pri").last.click()
    expect(page.locator("h1")).to_have_text("Three a fortnight")
    rule = TypologyRule.objects.get(name="fortnight")
    assert rule.definition["days"] == 14
    base = f"{page.url.partition('/typologies')[0]}/typologies"
    for kind, made in (("control", "optOut"), ("filtering", "rivals")):
        page.goto(f"{base}/rules/{TypologyRule.objects.get(name=made).pk}")
        look(kind)
    page.goto(f"{base}/{rule.typologies.get().typology_id}")
    look("typology")
    assert found == []
