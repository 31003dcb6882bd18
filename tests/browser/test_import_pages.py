"""Imports in a browser: handed over and started by hand, accessible, nothing scrolls sideways."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.packages.delivery.models import Import
from envoi.packages.delivery.services import imports

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")
FILE = (
    "Courriel;Prénom;Nom;Né le;Ville;Pays;Portable\n"
    "anna.berg@example.org;Anna;Berg;31/12/1990;Paris;France;06 12 34 56 78\n"
    "bo.ek@example.org;Bo;Ek;;Lyon;FR;06 22 34 56 78\n"
    "nobody;Cy;Dahl;soon;Lille;Atlantis;123\n"
)


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_a_file_is_prepared_and_imported(visit, tmp_path: Path, width, dark, language):
    path = tmp_path / "clients.csv"
    path.write_text(FILE, encoding="utf-8")
    page = visit("/imports", width=width, dark=dark, language=language)
    found: list[str] = []

    def look(name: str) -> None:
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"import-{name}-{width}.png", full_page=True)
        result = Axe().run(page)
        found.extend(f"{name}: {each['id']}" for each in result.response["violations"])
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, name

    look("list")
    page.locator("#file").set_input_files(path)
    page.locator("form.card button").click()
    expect(page.locator("select[name=to-0]")).to_have_value("email")
    page.locator("#da").select_option("dmy")
    page.locator("button[value=look]").click()
    expect(page.locator("main")).to_contain_text("1990-12-31")
    look("prepare")
    page.locator("button[value=start]").click()
    expect(page.locator("#live-region .st")).to_be_visible()
    imports.work(Import.objects.latest("pk").pk)
    # The region asks by itself.
    expect(page.locator("#live-region .st.ok")).to_be_visible(timeout=15_000)
    look("result")
    page.goto("/imports")
    look("after")
    assert found == []
