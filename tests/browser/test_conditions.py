"""The editor of conditions in a browser: built by mouse and by keyboard, read back, counted, previewed."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from envoi.console.conditions import read, sentence
from envoi.kernel.testing import make_operator

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")
ADDRESS = "/data/query?schema=xtk%3Aoperator"
ASKED = "Email contains “example” and (Language equals “fr” or Created is in the last 30 days)"


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def said(page: Page) -> str:
    """The sentence of what would be sent."""
    return sentence(read(page.locator("#c-where-text").input_value()), "xtk:operator")


@pytest.fixture
def people(site):
    for name, language in (("ana", "fr"), ("ben", ""), ("cleo", "fr")):
        make_operator(name, email=f"{name}@example.com", language=language)


def test_conditions_are_built_with_the_mouse(visit, people):
    page = visit(ADDRESS)
    expect(page.locator("#c-where-count")).to_contain_text("counted")
    page.click("#c-where-all-a")
    page.get_by_role("searchbox", name="Search the fields").fill("mail")
    page.locator(".pop .tree button", has_text="Email").first.click()
    page.locator("#c-where-0-o").select_option(label="contains")
    page.locator("#c-where-0-v0").fill("example")
    page.click("#c-where-all-g")
    page.click("#c-where-1-a")
    page.locator("#c-where-1 .pop .tree button", has_text="Language").first.click()
    page.locator("#c-where-1-0-v0").fill("fr")
    page.click("#c-where-1-a")
    page.locator("#c-where-1 .conds-add .pop .tree button", has_text="Created").first.click()
    page.locator("#c-where-1-1-o").select_option(label="is in the last")
    expect(page.locator("#c-where-1-1-v1")).to_have_value("Days")
    assert said(page) == ASKED
    page.get_by_role("button", name="Count exactly").click()
    expect(page.locator("#c-where-count")).to_have_text("3 counted")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("cleo@example.com")
    shot(page, "built")
    # What was sent in the address is read back into the same rows.
    page.get_by_role("button", name="Show the rows").click()
    expect(page.locator("main")).to_contain_text("3 in all")
    assert said(page) == ASKED
    expect(page.locator("#c-where-1-1-v1")).to_have_value("Days")
    page.get_by_role("button", name="Remove the condition on Email").click()
    expect(page.locator("#c-where-0-j")).to_have_value("any")
    page.get_by_role("button", name="Show the SQL").click()
    expect(page.locator("main")).to_contain_text("SELECT t1.")


def test_conditions_are_built_with_the_keyboard_alone(visit, people):
    page = visit(ADDRESS)
    press, write = page.keyboard.press, page.keyboard.type

    def choose(field: str) -> None:
        """Open the list that has the focus, search, take the first field found."""
        press("Enter")
        expect(page.locator("[data-search]:focus")).to_be_visible()
        write(field)
        expect(page.locator(".pick[open] .tree button")).to_have_count(1)
        press("Tab")
        press("Enter")

    page.locator("#c-where-all-a").focus()
    choose("email")
    expect(page.locator("#c-where-0-v0")).to_be_focused()
    write("example")
    press("Shift+Tab")
    write("contains")
    for _ in range(3):
        press("Tab")
    expect(page.locator("#c-where-all-a")).to_be_focused()
    press("Tab")
    press("Enter")
    expect(page.locator("#c-where-1-a")).to_be_focused()
    choose("language")
    expect(page.locator("#c-where-1-0-v0")).to_be_focused()
    write("fr")
    press("Tab")
    press("Tab")
    choose("created")
    expect(page.locator("#c-where-1-1-v0")).to_be_focused()
    press("Shift+Tab")
    write("is in the l")
    expect(page.locator("#c-where-1-1-v1")).to_have_value("Days")
    assert said(page) == ASKED
    page.locator("#c-where-1-a").focus()
    press("Enter")
    expect(page.locator("[data-search]:focus")).to_be_visible()
    press("Escape")
    expect(page.locator("#c-where-1-a")).to_be_focused()
    expect(page.locator(".pick[open]")).to_have_count(0)


def test_an_expression_shows_the_place_of_its_mistake(visit):
    page = visit(ADDRESS)
    page.click("#c-where-all-e")
    area = page.locator("#c-where-0-e")
    expect(area).to_be_focused()
    area.fill("Lenght(@label) > 3")
    wrong = page.locator("#c-where-0-p")
    expect(wrong).to_contain_text("there is no function Lenght; did you mean Length?")
    expect(wrong.locator("pre")).to_have_text("Lenght(@label) > 3\n^")
    area.fill("Length(@label) > @nmae")
    expect(wrong).to_contain_text("did you mean @name?")
    expect(wrong.locator("pre")).to_have_text("Length(@label) > @nmae\n                 ^")
    shot(page, "mistake")
    wrong.get_by_role("button", name="Go to the place").click()
    assert area.evaluate("area => area.selectionStart") == 17
    expect(page.locator("#c-where-count")).to_contain_text("did you mean @name?")
    area.fill("Length(@label) > 3")
    expect(wrong).to_contain_text("The expression is right.")
    expect(page.locator("#c-where-count")).to_contain_text("counted")


@pytest.mark.parametrize(
    ("width", "dark", "language"),
    [(1280, False, "en"), (1280, True, "fr"), (390, False, "fr"), (390, True, "en")],
)
def test_the_editor_is_accessible_and_fits(visit, width, dark, language):
    where = (
        "@email LIKE '%25x%25' AND (@language IN ('fr','de') OR @createdAt >= DaysAgo(30)"
        " OR Length(@label) > ) AND @disabled = true AND [folder] IS NOT NULL"
    ).replace(" > )", " > 3)")
    page = visit("/", width=width, dark=dark, language=language)
    page.goto(f"{ADDRESS}&where={where}&do=rows")
    expect(page.locator("#c-where-count b")).to_be_visible()
    page.locator("#c-where-all-a").click()
    expect(page.locator("[data-search]:focus")).to_be_visible()
    shot(page, f"editor-{width}-{language}")
    answer = Axe().run(page)
    found = [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in answer.response["violations"]
        if each["impact"] in ("serious", "critical", "moderate")
    ]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_collections_lists_of_values_links_and_days_have_rows_of_their_own(visit):
    page = visit("/data/query?schema=nms%3Arecipient")

    def add(place: str, field: str) -> None:
        page.click(f"#c-where-{place}-a")
        page.locator(".pick[open] [data-search]").fill(field)
        first = page.locator(".pick[open] .tree button").first
        expect(first).to_contain_text(field)
        first.click()

    add("all", "Gender")
    page.select_option("#c-where-0-o", label="is one of")
    page.get_by_label("Female").check()
    page.click("#c-where-all-a")
    page.locator(".pick[open] .tree summary", has_text="Folder").click()
    page.locator(".pick[open] .tree button", has_text="the link itself").click()
    page.select_option("#c-where-1-o", label="is")
    page.select_option("#c-where-1-v0", label="Recipients")
    add("all", "Birth date")
    page.select_option("#c-where-2-o", label="is on or before")
    page.select_option("#c-where-2-v0", label="years ago")
    expect(page.locator("#c-where-2-v1")).to_have_value("30")
    page.locator("#c-where-2-v1").fill("18")
    page.click("#c-where-all-a")
    page.locator(".pick[open] .tree button", has_text="Members of lists").click()
    page.select_option("#c-where-3-n", label="has none")
    add("3", "Primary key")
    page.locator("#c-where-3-0-v0").fill("7")
    expect(page.locator("#c-where-count")).to_have_text("0 counted")
    shot(page, "collections")
    where = read(page.locator("#c-where-text").input_value())
    asked = sentence(where, "nms:recipient")
    assert asked.startswith("Gender is one of Female and Folder is number ")
    assert asked.endswith(
        " and Birth date is on or before 18 years ago and without Members of lists where Primary key equals 7"
    )
    assert where[3].set_operator == "NOT EXISTS"


def test_a_row_heeds_a_choice_made_the_moment_it_is_seen(visit):
    page = visit("/data/query?schema=nms%3Arecipient")
    page.evaluate(
        """() => new MutationObserver((_, observer) => {
            const operator = document.getElementById("c-where-0-o");
            if (!operator) return;
            observer.disconnect();
            operator.selectedIndex = [...operator.options].findIndex((each) => each.text === "is one of");
            operator.dispatchEvent(new Event("change", { bubbles: true }));
        }).observe(document.getElementById("c-where"), { childList: true, subtree: true })"""
    )
    page.click("#c-where-all-a")
    page.locator(".pick[open] [data-search]").fill("Gender")
    page.locator(".pick[open] .tree button", has_text="Gender").first.click()
    expect(page.get_by_label("Female")).to_be_visible()
