"""Data schemas in a browser: accessible, nothing scrolls sideways, a field is added by hand."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel import extensions, registry
from envoi.kernel.extensions import NewField, NewLink, NewTable
from envoi.kernel.testing import admin_actor

pytestmark = pytest.mark.browser
PAGES = (
    "/explorer/administration/configuration/dataSchemas/",
    "/schemas/nms:extAccount",
    "/schemas/cus:store",
    "/schemas/nms:extAccount/document",
    "/schemas/nms:extAccount/new-field",
    "/schemas/nms:extAccount/new-field?type=link",
    "/schemas/nms:extAccount/change/shop",
    "/schemas/cus:store/remove",
    "/new-table",
    "/import-schema",
)
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


@pytest.fixture
def filled(site):
    registry.reset()
    admin = admin_actor()
    extensions.add_table(NewTable("cus:store", "Stores", "Store", (NewField("name"),)), actor=admin)
    extensions.add_field("nms:extAccount", NewLink("shop", "cus:store", "Nearest store"), actor=admin)
    yield
    registry.reset()


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, ""), (390, True, "fr")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit, filled, width, dark, language):
    page = visit("/", width=width, dark=dark, language=language or "en")
    found: list[str] = []
    for address in PAGES:
        page.goto(address)
        if SHOTS:
            name = address.strip("/").replace("/", "_").replace("?", "_").replace(":", "-")
            page.screenshot(path=Path(SHOTS) / f"{width}-{language or 'en'}-{name}.png", full_page=True)
        answer = Axe().run(page)
        found += [
            f"{address}: {violation['id']}: {violation['nodes'][0]['html'][:160]}"
            for violation in answer.response["violations"]
            if violation["impact"] in ("serious", "critical", "moderate")
        ]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address}: scrolls sideways at {width}")
    assert found == []


def test_a_field_is_added_and_taken_away_by_hand(visit, filled):
    page = visit("/schemas/nms:extAccount")
    page.get_by_role("link", name="Add a field").click()
    page.get_by_label("Name", exact=False).first.fill("region")
    page.get_by_label("Label", exact=True).fill("Sales region")
    page.get_by_label("Type").select_option(label="Link to another schema")
    expect(page.get_by_label("Leads to")).to_be_visible()
    page.get_by_label("Type").select_option(label="Text")
    expect(page.get_by_label("Longest text")).to_have_value("255")
    expect(page.get_by_label("Label", exact=True)).to_have_value("Sales region")
    page.get_by_role("button", name="Add the field").click()
    expect(page.get_by_role("status").first).to_contain_text("region is there now.")
    page.get_by_role("link", name="Take Sales region away").click()
    expect(page.get_by_text("Nothing uses it.")).to_be_visible()
    page.get_by_role("button", name="Take it away").click()
    expect(page.get_by_role("status").first).to_contain_text("region is taken away.")
    expect(page.locator("th", has_text="Sales region")).to_have_count(0)
