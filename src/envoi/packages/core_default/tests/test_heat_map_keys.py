"""The keys of the heat map, in a real browser that is given pages rendered beforehand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import Page, Route, sync_playwright

from envoi.app import peers
from envoi.kernel.testing import make_operator
from envoi.packages.core_default.tests.test_heat_map_page import PAGE, ran

pytestmark = [pytest.mark.django_db, pytest.mark.browser]
HOST = "http://envoi.example"


@pytest.fixture
def page(client: Client, clock) -> Iterator[Page]:
    """The map of 20 November with two cells that are not empty, and the days around it."""
    client.force_login(make_operator("ada", ["ADMINISTRATION"]), "django.contrib.auth.backends.ModelBackend")
    ran("first", 8, 0, 30)
    ran("second", 10, 30, 30)
    days = {
        f"2026-11-{day}": client.get(PAGE, {"day": f"2026-11-{day}", "zone": "UTC"}) for day in (19, 20, 21)
    }
    script = Path(finders.find("core_default/heat_map.js")).read_text(encoding="utf-8")

    def answer(route: Route) -> None:
        address = route.request.url
        day = next((each for each in days if f"day={each}" in address), None)
        if address.endswith("/heat_map.js"):
            route.fulfill(body=script, content_type="text/javascript")
        elif day:
            headers = {"Content-Security-Policy": days[day].headers.get("Content-Security-Policy", "")}
            route.fulfill(body=days[day].content.decode(), content_type="text/html", headers=headers)
        else:
            route.fulfill(status=404)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(peers.find("chromium")), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.route("**/*", answer)
        page.goto(f"{HOST}{PAGE}?day=2026-11-20&zone=UTC#keys")
        yield page
        browser.close()


def focused(page: Page) -> tuple[int, int, str]:
    """Return row, column and text of the cell that has the focus."""
    return tuple(
        page.evaluate(
            """() => {
                const cell = document.activeElement.closest("td");
                return [cell.parentElement.rowIndex - 1, cell.cellIndex - 1, cell.textContent];
            }"""
        )
    )


def test_arrows_move_and_shift_goes_on_to_the_next_filled_cell(page: Page):
    assert focused(page) == (8, 0, "1")
    page.keyboard.press("ArrowRight")
    assert focused(page) == (8, 1, "·")
    page.keyboard.press("ArrowDown")
    assert focused(page) == (9, 1, "·")
    page.keyboard.press("Shift+ArrowRight")
    assert focused(page) == (10, 6, "1")
    page.keyboard.press("Shift+ArrowRight")
    assert focused(page) == (10, 6, "1")
    page.keyboard.press("Shift+ArrowLeft")
    assert focused(page) == (8, 0, "1")
    page.keyboard.press("ArrowLeft")
    assert focused(page) == (7, 11, "·")


def test_one_cell_is_in_the_order_of_the_tab_key(page: Page):
    page.keyboard.press("ArrowRight")
    assert page.locator('table.heat td [tabindex="0"]').count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('table.heat') === null")


def test_control_changes_the_day(page: Page):
    page.keyboard.press("Control+ArrowLeft")
    page.wait_for_url("**day=2026-11-19*")
    page.keyboard.press("Control+ArrowRight")
    page.wait_for_url("**day=2026-11-20*")
    page.keyboard.press("Control+ArrowDown")
    page.wait_for_url("**day=2026-11-21*")
    assert page.locator("table.heat a").count() == 0
