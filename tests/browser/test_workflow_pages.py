"""Properties, commands with parameters, the diagram's size and the tree's memory, as a browser has them."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.engine.definition import Activity
from envoi.engine.models import QueuedCommand, Workflow
from envoi.engine.testing import chain, make_workflow
from envoi.kernel.testing import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def tidy(site) -> Workflow:
    daily = {"schedule": {"frequency": "daily", "at": "10:00"}}
    return make_workflow(
        chain(Activity("schedule", "schedule", "Each day", parameters=daily), Activity("end", "end")),
        name="tidy",
    )


def test_properties_are_changed_without_script(visit, tidy):
    page = visit("/workflows/tidy?tab=properties", script=False)
    page.get_by_role("link", name="Change the properties").click()
    page.get_by_label("Severity").select_option("Critical")
    page.get_by_label("History").fill("seven")
    page.get_by_role("button", name="Store the properties").click()
    expect(page.get_by_role("alert")).to_contain_text("1 field cannot be stored as it is.")
    expect(page.get_by_label("History")).to_have_value("seven")
    page.get_by_label("History").fill("7")
    page.get_by_role("button", name="Store the properties").click()
    expect(page.locator("dl.kv")).to_contain_text("7 days")
    tidy.refresh_from_db()
    assert (tidy.production, tidy.history) == (2, 7)


def test_parameters_are_given_in_the_dialog(visit, tidy):
    page = visit("/workflows/tidy")
    page.locator("#c-start").click()
    dialog = page.locator("#dialog")
    dialog.get_by_text("With parameters").click()
    dialog.get_by_label("Parameters").fill("country=FR")
    dialog.get_by_role("button", name="Start").click()
    expect(page.locator("#toasts")).to_contain_text("Start is asked.")
    assert QueuedCommand.objects.get().parameters == {"variables": {"country": "FR"}}


@pytest.mark.parametrize("width", [1280, 390])
def test_the_view_of_the_diagram_is_chosen_from_a_menu_that_is_seen_whole(visit, tidy, width):
    page = visit("/workflows/tidy", width=width)
    page.get_by_text("View", exact=True).click()
    for name in ("50 %", "Figures"):
        choice = page.get_by_role("link", name=name, exact=True)
        choice.scroll_into_view_if_needed()
        box = choice.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    page.get_by_role("link", name="Fit").click()
    expect(page.locator("svg.wf.fit")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_tree_opens_as_it_was_left(visit, site):
    page = visit("/explorer/")
    branch = page.locator(".tree > li > details:not([open])").first
    folder = branch.get_attribute("data-folder")

    def remembered():
        kept = "&".join(each["value"] for each in page.context.cookies())
        return re.search(rf"(^|\W){folder}\b", kept) is not None

    branch.locator("> summary").click()
    wait_until(remembered)
    page.goto("/")
    page.goto("/explorer/")
    expect(page.locator(f'.tree details[data-folder="{folder}"][open]')).to_be_attached()
    page.locator(f'.tree details[data-folder="{folder}"] > summary').first.click()
    # The browser tells of the change a moment after it.
    wait_until(lambda: not remembered())
    page.goto("/explorer/")
    expect(page.locator(f'.tree details[data-folder="{folder}"][open]')).not_to_be_attached()


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_the_new_pages_fit_and_are_accessible(visit, tidy, width, dark, language):
    page = visit("/", width=width, dark=dark, language=language)
    for address in (
        "/workflows/tidy/properties",
        "/workflows/tidy?tab=properties",
        "/workflows/tidy/start",
        "/workflows/tidy/copy?as=template",
        "/monitoring/indicators",
        "/monitoring/indicators/new",
        "/monitoring/mail",
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address
        found = Axe().run(page).response["violations"]
        assert [(each["id"], re.findall(r"<[^>]+>", str(each["nodes"]))[:2]) for each in found] == [], address
