"""Lists and forms in a browser: list, filter, edit in place, bulk change, export, history."""

import json
import os
from pathlib import Path
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel import enumerations
from envoi.kernel.models import Enum, Folder
from envoi.kernel.testing import admin_actor, make_folder
from envoi.packages.delivery.models import Recipient
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")
FILTER = urlencode({"filter": json.dumps({"condition": [{"expr": "@name LIKE 'tList%'"}]})})


@pytest.fixture
def filled(site):
    admin = admin_actor()
    make_recipients(3)
    for number in range(60):
        enumerations.create(f"tList{number:02}", actor=admin, label=f"Colors of season {number:02}")
    enumerations.add_value("tList00", "red", actor=admin)
    top = make_folder("tTop", model="xtk:folder", label="Folders by region")
    for name in ("North", "South"):
        make_folder(f"t{name}", top, label=name, model="xtk:folder")


def pages() -> list[str]:
    number = Enum.objects.get(name="tList00").pk
    return [
        f"/data/xtk/enum/?{FILTER}",
        "/data/xtk/enum/?q=nothing",
        f"/data/xtk/enum/{number}",
        f"/data/xtk/enum/{number}/history",
        f"/data/xtk/enum/{number}/delete",
        "/data/xtk/enum/new",
        "/explorer/tTop/",
        f"/data/xtk/enum/bulk?all=1&{FILTER}&do=change&attribute=type",
        f"/data/xtk/enum/view?{FILTER}",
        "/data/nms/recipient/",
        f"/data/nms/recipient/{Recipient.objects.values_list('pk', flat=True).first()}",
        f"/folders/{Folder.objects.get(name='tTop').pk}",
    ]


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit, filled, width, dark, language):
    page = visit("/", width=width, dark=dark, language=language)
    found: list[str] = []
    for number, address in enumerate(pages()):
        page.goto(address)
        for summary in page.locator("main .rec-tools > details.more > summary").all():
            summary.click()
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{width}-{language}-{number}.png", full_page=True)
        answer = Axe().run(page)
        found += [
            f"{address}: {violation['id']}: {violation['nodes'][0]['html'][:160]}"
            for violation in answer.response["violations"]
            if violation["impact"] in ("serious", "critical", "moderate")
        ]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address}: scrolls sideways at {width}")
    assert found == []


def test_a_list_is_filtered_edited_changed_exported_and_its_history_told(visit, site):
    make_recipients(60)
    page = visit("/data/nms/recipient/?c=@lastName&c=@firstName&c=[location/@city]&c=@company&sort=@lastName")
    expect(page.locator("#total")).to_have_text("60 rows")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("tbody tr")).to_have_count(50)

    # Edit in place, by mouse, then by keys alone.
    row = page.locator("tbody tr").first
    number = row.get_attribute("data-key")
    row.locator('[data-name="company"]').dblclick()
    row.get_by_label("Company").fill("Alpage")
    row.get_by_label("Company").press("Enter")
    expect(row.locator('[data-name="company"]')).to_have_text("Alpage")
    expect(row.locator('[data-name="company"]')).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(row.get_by_label("City")).to_be_focused()
    page.keyboard.type("Grenoble")
    page.keyboard.press("Escape")
    expect(row.locator('[data-name="location/city"]')).not_to_have_text("Grenoble")
    page.keyboard.press("Enter")
    expect(row.get_by_label("City")).to_be_focused()
    page.keyboard.type("x" * 20)
    page.keyboard.press("Enter")
    expect(row.locator('[data-name="location/city"]')).to_have_text("x" * 20)

    # A refusal stands in the cell, with what was typed.
    row.locator('[data-name="company"]').dblclick()
    row.get_by_label("Company").evaluate("field => field.removeAttribute('maxlength')")
    row.get_by_label("Company").fill("y" * 3000)
    row.get_by_label("Company").press("Enter")
    expect(row.get_by_role("alert")).to_contain_text("too many")
    page.keyboard.press("Escape")

    # Search, then change all that is found.
    page.get_by_label("Search in this list").fill("alpage")
    page.get_by_role("button", name="Search").click()
    page.goto("/data/nms/recipient/?c=@lastName&c=@company&sort=@lastName")
    page.locator("tbody input[type=checkbox]").nth(0).check()
    page.locator("tbody input[type=checkbox]").nth(1).check()
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Change 2 rows")
    page.get_by_label("Field").select_option(label="Company")
    page.get_by_role("button", name="Choose the field").click()
    page.get_by_label("New value of Company").fill("Bergeron")
    page.get_by_role("button", name="Change 2 rows").click()
    expect(page.get_by_role("status").first).to_contain_text("2 rows are changed.")
    expect(page.locator("tbody tr").nth(1)).to_contain_text("Bergeron")

    page.locator("summary", has_text="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    assert len(Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()) == 61

    page.goto(f"/data/nms/recipient/{number}/history")
    cells = page.locator("tbody")
    expect(cells).to_contain_text("Alpage")
    expect(cells).to_contain_text("Bergeron")


def test_a_count_is_asked_for_and_a_view_is_kept(visit, filled):
    page = visit(f"/data/xtk/enum/?{FILTER}&c=@name&c=@type")
    page.locator("summary", has_text="Columns").click()
    page.get_by_role("link", name="Keep as a view").last.click()
    page.get_by_label("Name").fill("My lists")
    page.get_by_label("My list opens with it").check()
    page.get_by_role("button", name="Keep the view").click()
    expect(page.get_by_role("link", name="My lists")).to_have_attribute("aria-current", "true")
    page.goto("/data/xtk/enum/")
    expect(page.locator("#total")).to_have_text("60 rows")
    page.get_by_role("link", name="All", exact=True).click()
    expect(page.get_by_role("columnheader", name="Mode")).to_be_visible()
