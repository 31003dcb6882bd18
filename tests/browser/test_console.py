"""The console as people use it: in a browser, by mouse and by keys, with and without script."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django_otp.oath import TOTP
from playwright.sync_api import expect

from envoi.engine import commands
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.testing import chain, make_workflow, run_until_passive, start
from envoi.kernel.testing import PASSWORD, admin_actor

pytestmark = pytest.mark.browser
LIST = "/explorer/administration/production/nmsTechnicalWorkflow/"


def call(function: str, name: str, label: str) -> Activity:
    return Activity("call", name, label, parameters={"function": f"envoi.engine.testing:{function}"})


@pytest.fixture
def workflows(site):
    daily = {"schedule": {"frequency": "daily", "at": "10:00"}}
    start(
        make_workflow(
            chain(
                Activity("schedule", "schedule", "Each day", parameters=daily),
                call("nothing", "tidy", "Tidy up"),
                Activity("end", "end"),
            ),
            name="tidy",
            folder="nmsTechnicalWorkflow",
        )
    )
    start(
        make_workflow(
            chain(
                Activity("start", "start"), call("always_fails", "bad", "Break it"), Activity("end", "end")
            ),
            name="breaks",
            folder="nmsTechnicalWorkflow",
            production=1,
        )
    )


def test_sign_in_by_keys_with_a_wrong_try_between(visit):
    page = visit("/workflows/", signed_in=False)
    expect(page.locator("#u")).to_be_focused()
    page.keyboard.type("sofia")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("4 tries left before a pause of 15 minutes")
    expect(page.locator("#p")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Workflows")


def test_sign_in_pauses_after_five_wrong_tries(visit):
    page = visit("/sign-in", signed_in=False)
    for _n in range(5):
        page.fill("#u", "sofia")
        page.fill("#p", "wrong")
        page.click("button.pri")
    expect(page.get_by_role("alert")).to_contain_text("Sign-in is paused until")


def test_an_authenticator_is_enrolled_and_asked_for(visit):
    page = visit("/account")
    page.get_by_role("link", name="Set it up…").click()
    expect(page.get_by_role("img", name=re.compile("square code"))).to_be_visible()
    secret = page.locator("p.mono").inner_text().replace(" ", "")
    page.fill("#o", code_for(secret))
    page.get_by_role("button", name="Switch it on").click()
    expect(page.locator(".codes li")).to_have_count(10)
    codes = page.locator(".codes li").all_inner_texts()
    page.goto("/account")
    page.get_by_role("button", name="Sign out").first.click()
    page.fill("#u", "sofia")
    page.fill("#p", PASSWORD)
    page.fill("#o", codes[3])
    page.click("button.pri")
    expect(page.locator(".ava")).to_be_visible()


def code_for(secret: str) -> str:
    import base64

    key = base64.b32decode(secret)
    return f"{TOTP(key).token():06}"


def test_a_list_lives_and_keeps_focus(visit, workflows):
    page = visit(LIST)
    expect(page.locator("tr[id]", has_text="tidy")).to_contain_text("Waiting")
    page.fill("#q", "ti")
    expect(page.locator("tbody tr[id]")).to_have_count(1)
    assert "q=ti" in page.url
    link = page.locator("tbody tr[id] th a")
    link.focus()
    commands.post(admin_actor(), "tidy", Command.PAUSE)
    expect(page.locator("tbody tr[id]")).to_contain_text("Pausing…", timeout=8000)
    expect(link).to_be_focused()
    run_until_passive()
    expect(page.locator("tbody tr[id]")).to_contain_text("Paused", timeout=8000)
    expect(page.locator("#live")).to_have_text(re.compile(r"Live \d\d:\d\d:\d\d Europe/Paris"))


def test_rows_do_not_jump_under_the_pointer(visit, workflows):
    page = visit(LIST)
    page.locator("#live-region table").hover()
    commands.post(admin_actor(), "breaks", Command.STOP)
    run_until_passive()
    make_workflow((Activity("end", "end"),), name="another", folder="nmsTechnicalWorkflow")
    moved = page.locator("#moved")
    expect(moved).to_be_visible(timeout=8000)
    assert "another" not in page.locator("#live-region").inner_text()
    moved.click()
    expect(page.locator("#live-region")).to_contain_text("another")
    expect(moved).to_be_hidden()


def test_a_lost_connection_is_told_and_found_again(visit, workflows, site):
    page = visit(LIST)
    expect(page.locator("#live")).to_have_text(re.compile("Live"), timeout=8000)
    with site.away():
        expect(page.locator("#live")).to_have_text(re.compile("No connection since"), timeout=20000)
        expect(page.locator("#live-region")).to_have_class(re.compile("stale"))
    expect(page.locator("#live")).to_have_text(re.compile("Live"), timeout=8000)
    visit.complaints.clear()  # the browser's own, while there was no server


def test_a_command_is_asked_in_a_dialog_and_never_shown_as_done(visit, workflows):
    page = visit("/workflows/tidy")
    page.get_by_role("link", name="Stop…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Stop “tidy”?")
    expect(dialog.get_by_role("heading")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="Stop…")).to_be_focused()

    page.get_by_role("link", name="Stop…").click()
    dialog.get_by_role("link", name="Pause instead").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".toast")).to_contain_text("Pause is asked")
    expect(page.locator("h1 + .st")).to_have_text("Pausing…")
    run_until_passive()
    expect(page.locator("h1 + .st")).to_have_text("Paused", timeout=8000)


def test_the_diagram_is_one_stop_and_arrows_move_in_it(visit, workflows):
    page = visit("/workflows/tidy")
    acts = page.locator(".wf a.act")
    expect(acts).to_have_count(3)
    assert acts.evaluate_all("all => all.filter(act => act.tabIndex === 0).length") == 1
    acts.first.focus()
    page.keyboard.press("ArrowRight")
    expect(acts.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/workflows/tidy?activity=tidy")
    expect(page.get_by_role("heading", name="Tidy up")).to_be_visible()


def test_keys_lead_through_the_console(visit, workflows):
    page = visit("/")
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_url("**/workflows/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    focused = page.evaluate("document.activeElement.closest('tr').id")
    assert focused == page.locator("tbody tr[id]").nth(1).get_attribute("id")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next and previous row")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.wait_for_url("**/search")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("tidy g w")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=tidy+g+w")


def test_single_letters_can_be_switched_off(visit):
    page = visit("/account")
    page.get_by_label("Single letters act as keys, in this browser").uncheck()
    page.get_by_role("button", name="Keep these settings").click()
    page.keyboard.press("/")
    expect(page.get_by_role("status")).to_contain_text("Your settings are kept.")
    page.wait_for_url("**/account")


def test_everything_reads_filters_pages_and_submits_without_script(visit, workflows):
    page = visit(LIST, script=False)
    page.fill("#q", "tidy")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=tidy")
    page.get_by_role("link", name="tidy", exact=True).click()
    page.get_by_role("link", name="As a table").first.click()
    expect(page.locator("tbody tr[id]")).to_have_count(3)
    page.get_by_role("link", name="Pause…").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1 + .st")).to_have_text("Pausing…")


def test_the_menu_of_a_small_screen_opens_without_script(visit):
    page = visit("/", width=390, script=False)
    expect(page.get_by_role("link", name="Explorer")).to_be_hidden()
    page.get_by_role("link", name="Menu", exact=True).click()
    page.get_by_role("link", name="Explorer").click()
    page.wait_for_url("**/explorer/")


def test_french_is_french_from_sign_in_to_command(visit, workflows):
    page = visit("/workflows/tidy", language="fr")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.get_by_role("link", name="Explorateur")).to_be_visible()
    expect(page.locator("h1 + .st")).to_have_text("En attente")
    expect(page.locator(".log")).to_contain_text("Démarrage du workflow")
    page.get_by_role("link", name="Suspendre…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Suspendre «\u202ftidy\u202f»\u202f?")


PAGES = (
    "/",
    LIST,
    "/workflows/",
    "/workflows/breaks?activity=bad",
    "/workflows/tidy?tab=table",
    "/workflows/tidy?tab=properties",
    "/workflows/tidy/stop",
    "/monitoring/",
    "/monitoring/heat-map",
    "/decisions/",
    "/search?q=tidy",
    "/account",
    "/account/authenticator",
    "/explorer/",
    "/explorer/administration/platform/options/",
    "/options/XtkCleanup_NoStats",
    "/explorer/administration/accessManagement/operators/",
    "/operators/sofia",
    "/operators/new",
    "/explorer/administration/accessManagement/operatorGroups/",
    "/groups/Administrator",
    "/explorer/administration/audit/auditTrail/",
    "/nothing",
)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit, workflows, width, dark):
    page = visit("/", width=width, dark=dark)
    found: list[str] = []
    for address in PAGES:
        page.goto(address)
        found += faults(page, address)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address}: scrolls sideways at {width}")
    assert found == []


def test_axe_finds_nothing_on_sign_in_and_in_a_dialog(visit, workflows):
    page = visit("/sign-in", signed_in=False)
    assert faults(page, "sign-in") == []
    page = visit("/workflows/tidy")
    page.get_by_role("link", name="Stop…").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert faults(page, "dialog") == []


@pytest.mark.parametrize("width", [320, 768])
def test_pages_reflow_in_french_too(visit, workflows, width):
    page = visit("/", width=width, language="fr")
    wide = []
    for address in PAGES:
        page.goto(address)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(address)
    assert wide == []


def faults(page, address: str) -> list[str]:
    answer = Axe().run(page)
    return [
        f"{address}: {violation['id']}: {violation['nodes'][0]['html'][:160]}"
        for violation in answer.response["violations"]
        if violation["impact"] in ("serious", "critical", "moderate")
    ]


def test_ticks_outlive_a_change_and_lead_to_one_question(visit, workflows):
    page = visit(LIST)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_role("checkbox", name="Tick tidy").check()
    expect(page.locator(".ticked")).to_contain_text("2 ticked")
    commands.post(admin_actor(), "tidy", Command.PAUSE)
    expect(page.locator("tr[id]", has_text="tidy")).to_contain_text("Pausing…", timeout=8000)
    expect(page.locator(".ticked")).to_contain_text("2 ticked")
    page.get_by_role("button", name="Stop…").click()
    expect(page.get_by_role("heading", level=2)).to_have_text("Stop 2 workflows?")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_url(f"**{LIST}")
    expect(page.locator("tr[id]", has_text="tidy")).to_contain_text("Stopping…")
