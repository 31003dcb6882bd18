"""Enumerations and external accounts in a browser: accessible, nothing scrolls sideways, no script needed."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel import accounts, enumerations
from envoi.kernel.testing import admin_actor

pytestmark = pytest.mark.browser
PAGES = (
    "/explorer/administration/platform/enumerations/",
    "/enumerations/domain",
    "/enumerations/company",
    "/enumerations/emoticon",
    "/enumerations/eventType",
    "/new-enumeration",
    "/explorer/administration/platform/externalAccounts/",
    "/new-external-account",
    "/new-external-account?type=routing",
    "/external-accounts/relay",
)
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


@pytest.fixture
def filled(site):
    admin = admin_actor()
    enumerations.create("company", actor=admin, label="Companies", mode="alias")
    enumerations.add_value("company", "NIELSEN Ltd", actor=admin)
    enumerations.add_value("company", "Acme", actor=admin)
    enumerations.set_alias("company", "NEILSEN", "NIELSEN Ltd", actor=admin)
    enumerations.set_alias("company", "ACMEE", None, actor=admin)
    values = {"server": "mail.example.com", "account": "sofia", "password": "s3cret"}
    accounts.create("relay", actor=admin, type="smtp", label="Our relay", values=values)


@pytest.mark.parametrize(
    ("width", "dark", "language"),
    [(1280, False, ""), (1280, True, "fr"), (390, False, "fr"), (320, True, "")],
)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit, filled, width, dark, language):
    page = visit("/", width=width, dark=dark, language=language or "en")
    found: list[str] = []
    for address in PAGES:
        page.goto(address)
        for summary in page.locator("main details.more > summary").all()[:2]:
            summary.click()
        if SHOTS:
            shot = f"{width}-{language or 'en'}-{address.strip('/').replace('/', '_').replace('?', '_')}.png"
            page.screenshot(path=Path(SHOTS) / shot, full_page=True)
        answer = Axe().run(page)
        found += [
            f"{address}: {violation['id']}: {violation['nodes'][0]['html'][:160]}"
            for violation in answer.response["violations"]
            if violation["impact"] in ("serious", "critical", "moderate")
        ]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address}: scrolls sideways at {width}")
    assert found == []


def test_a_list_and_an_account_are_kept_by_hand(visit, filled):
    page = visit("/enumerations/company")
    page.get_by_label("New value").fill("Beta")
    page.get_by_role("button", name="Add the value").click()
    expect(page.get_by_role("status").first).to_contain_text("Beta is in the list.")
    page.get_by_label("Value that ACMEE stands for").select_option("Acme")
    page.locator("tr", has_text="ACMEE").get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("status").first).to_contain_text("ACMEE stands for Acme.")
    page.goto("/external-accounts/relay")
    expect(page.get_by_label("Password", exact=False).first).to_have_value("")
    page.get_by_label("Port").fill("587")
    page.get_by_role("button", name="Keep the changes").click()
    expect(page.get_by_label("Port")).to_have_value("587")
