"""The editor of conditions in a browser: built by mouse and by keyboard, read back, counted, previewed."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from envoi.console.conditions import sentence
from envoi.console.conditions.text import read

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")
ADDRESS = "/data/query?schema=xtk%3Aoperator"


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def said(page: Page) -> str:
    return sentence(read(page.locator("#c-where-text").input_value()), "xtk:operator")


def test_conditions_are_built_with_the_mouse(visit):
    page = visit(ADDRESS)
    expect(page.locator("#c-where-count")).to_contain_text("estimated")
    page.click("#c-where-all-a")
    shot(page, "picker")
    page.get_by_role("searchbox", name="Search the fields").fill("mail")
    page.locator(".pop .tree button", has_text="Email").first.click()
    page.locator("#c-where-0-o").select_option(label="contains")
    page.locator("#c-where-0-v0").fill("sofia")
    page.click("#c-where-all-g")
    page.click("#c-where-1-a")
    page.locator("#c-where-1 .pop .tree button", has_text="Label").first.click()
    page.locator("#c-where-1-0-v0").fill("Sofia")
    page.click("#c-where-1-a")
    page.locator("#c-where-1 .conds-add .pop .tree button", has_text="Created").first.click()
    page.locator("#c-where-1-1-o").select_option(label="is in the last")
    shot(page, "built")
    assert said(page) == "Email contains “sofia” and (Label equals “Sofia” or Created is in the last 30 days)"
