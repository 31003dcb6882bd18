"""The content of a delivery in a browser: written, previewed as a reader, nothing of it runs."""

import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.packages.delivery.models import Delivery, Recipient
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


def test_a_content_is_written_and_seen_as_a_reader_sees_it(visit):
    (one,) = make_recipients(
        1, first_name="<b>Zoë</b>", last_name="Roux", email="zoe@example.org", city="Lyon"
    )
    delivery = make_delivery(
        label="Early access",
        text_source="Old text",
        html_source="<html><body><h1>News</h1><script>document.title='run'</script><p>Hello </p>"
        '<p><a href="https://shop.example/">To the shop</a></p></body></html>',
    )
    page = visit(f"/deliveries/{delivery.pk}/content", width=1280, dark=False, language="en")
    shown = page.frame_locator("iframe[name=preview]").frame_locator("iframe")
    expect(shown.locator("h1")).to_have_text("News")
    page.locator("#su").fill("For <%= recipient.firstName %>")
    # A field goes where the caret is.
    page.locator("#hs + .CodeMirror").evaluate(
        "({CodeMirror: it}) => { it.focus(); it.setCursor(it.posFromIndex(it.getValue().indexOf('</p>'))); }"
    )
    page.locator("#if").select_option("{{ recipient.firstName }}")
    expect(page.locator("[data-unsaved]")).to_be_visible()
    page.locator("#wh").fill("zoe@example.org")
    page.keyboard.press("Enter")
    expect(shown.locator("p").first).to_have_text("Hello <b>Zoë</b>")
    outer = page.frame_locator("iframe[name=preview]")
    expect(outer.locator("header")).to_contain_text("For <b>Zoë</b>")
    assert Delivery.objects.get(pk=delivery.pk).subject == "News"
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / "content-1280.png", full_page=True)
    result = Axe().run(page)
    assert [each["id"] for each in result.response["violations"]] == []
    page.locator("[data-source=text]").click()
    page.locator("button[name=do][value=text]").click()
    expect(page.locator("#ts")).to_have_value(
        "News\n\nHello {{ recipient.firstName }}\n\nTo the shop (https://shop.example/)"
    )
    page.locator("button[value=content]:visible").last.click()
    expect(page.locator("#ts")).not_to_have_value("Old text")
    delivery.refresh_from_db()
    assert delivery.subject == "For {{ recipient.firstName }}"
    assert delivery.html_source.count("Hello {{ recipient.firstName }}</p>") == 1
    page.locator("[data-views] button[value=text]").click()
    expect(outer.locator("pre")).to_contain_text("Hello <b>Zoë</b>")
    # The preview follows what is typed; a draft of it outlives the page, and is offered.
    page.locator("[data-source=html]").click()
    page.locator("#hs + .CodeMirror").evaluate(
        "({CodeMirror: it}) => { it.focus(); it.setCursor(it.posFromIndex(it.getValue().indexOf('</h1>'))); }"
    )
    page.keyboard.type(" of May")
    expect(shown.locator("h1")).to_have_text("News of May")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.locator("#hs")).not_to_have_value(re.compile("News of May"))
    page.locator("[data-draft-restore]").click()
    expect(page.locator("#hs")).to_have_value(re.compile("News of May"))
    expect(shown.locator("h1")).to_have_text("News of May")
    page.keyboard.press("Control+S")
    expect(page.locator("[data-unsaved]")).to_be_hidden()
    expect(page.locator("[data-draft]")).to_be_hidden()
    delivery.refresh_from_db()
    assert "News of May" in delivery.html_source
    Recipient.objects.filter(pk=one).delete()
    page.set_viewport_size({"width": 390, "height": 800})
    page.reload()
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / "content-390.png", full_page=True)
    # On a phone each link is set below its address.
    page.goto(f"/deliveries/{delivery.pk}/content/links")
    page.get_by_label("Label of https://shop.example/").fill("Shop")
    page.get_by_label("Track https://shop.example/").uncheck()
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / "links-390.png", full_page=True)
    # Nothing of a message runs in the console.
    assert visit.complaints
    assert all("Blocked script execution in 'about:srcdoc'" in each for each in visit.complaints)
    visit.complaints.clear()
