"""Reports on deliveries in a browser: accessible, nothing scrolls sideways, numbers say what they mean."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from playwright.sync_api import expect

from envoi.kernel import clock
from envoi.kernel.config import TrackingConfig
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery, TrackingUrl, UrlType
from envoi.packages.delivery.services import chosen, subscriptions
from envoi.packages.delivery.services.tracking import indicators
from envoi.packages.delivery.testing import make_recipients, make_sent, make_service
from envoi.packages.delivery.tests.reports import readers

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")
HTML = """<html><body style="margin:0;background:#eef1f5;font-family:Arial,sans-serif"><table width="560"
align="center" cellpadding="24" style="background:#fff"><tr><td><h1>Black Friday opens early</h1>
<p>Dear {{ recipient.firstName }}, 30% off everything, for you first.</p>
<p><a href="https://shop.example/sale" title="To the sale" style="display:block;background:#173d63;color:#fff;
padding:14px;text-align:center">Shop the sale</a></p>
<p><a href="https://shop.example/coats" title="Coats"><span style="display:block;width:240px;height:150px;
background:#c9d8e8">Coats</span></a> or <a href="https://shop.example/new">what is new</a>, and
<a href="https://facebook.example/share">tell your friends</a>.</p>
<p><a href="{{ message.mirrorUrl }}">Read it on the web</a> <a href="{{ message.unsubscribeUrl }}">Leave</a>
</p></td></tr></table></body></html>"""


@pytest.fixture
def sent(site, monkeypatch):
    """A delivery of two days ago whose readers have reacted, and one that has errors."""
    config = replace(settings.ENVOI.config, tracking=TrackingConfig("https://t.example/"))
    monkeypatch.setattr(settings, "ENVOI", replace(settings.ENVOI, config=config))
    make_recipients(400, black_list=0, black_list_email=0)
    made = readers.sent(label="Black Friday", html_source=HTML)
    begin = clock.now().replace(hour=8, minute=0) - timedelta(days=3)
    TrackingUrl.objects.filter(delivery=made.delivery, url__contains="facebook").update(category="facebook")
    bought = TrackingUrl.objects.create(
        delivery=made.delivery, type=UrlType.TRANSACTION, url="thanks", digest="t", created_at=clock.now()
    )
    made.links["thanks"] = bought.pk
    shift = clock.now() - begin
    readers.write(made, [replace(each, at=each.at - shift) for each in readers.read(made, 3, hours=40)])
    Delivery.objects.filter(pk=made.delivery.pk).update(broad_start=begin)
    indicators.recompute(Delivery.objects.get(pk=made.delivery.pk), actor=admin_actor(), now=clock.now())
    make_sent(make_recipients(300, start=5000), excluded=20, label="Early access", sent=0.9, failed=0.1)
    return made.delivery


@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "fr")])
def test_reports_are_read(visit, sent, width, dark, language):
    page = visit(f"/deliveries/{sent.pk}", width=width, dark=dark, language=language)
    found: list[str] = []

    def look(name: str) -> None:
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"reports-{name}-{width}.png", full_page=True)
        found.extend(f"{name}: {each['id']}" for each in Axe().run(page).response["violations"])
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, name

    expect(page.locator("#reactions .rp-funnel li")).to_have_count(3)
    look("dashboard")
    page.goto(f"/deliveries/{sent.pk}/reports")
    look("deliveryFeedback")
    # What a number means is one click away, and the keyboard comes back to where it was.
    page.locator("#b-reception .def").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#dialog h2")).to_be_visible()
    look("meaning")
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).not_to_be_visible()
    for name in (
        "topUrlDelivery",
        "recipientActivity",
        "trackingStatistics",
        "browserStatistics",
        "machines",
    ):
        page.goto(f"/deliveries/{sent.pk}/reports/{name}")
        look(name)
    page.goto(f"/deliveries/{sent.pk}/reports/recipientActivity")
    page.locator("details.more summary").click()
    expect(page.locator("details.more table")).to_be_visible()
    page.goto("/reports/deliveries")
    look("several")
    assert found == []


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_hot_clicks_lie_over_the_message(visit, sent, width, dark):
    page = visit(f"/deliveries/{sent.pk}/tracking", width=width, dark=dark)
    found = [each["id"] for each in Axe().run(page).response["violations"]]
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"reports-hot-{width}.png", full_page=True)
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    if width == 390:
        expect(page.locator("iframe")).not_to_be_visible()
        expect(page.locator(".rp tbody tr")).to_have_count(6)
    else:
        frame = page.frame_locator("iframe[name=hot]")
        expect(frame.locator(".envoi-hot")).to_have_count(4)
        button = frame.get_by_text("Shop the sale")
        badge = frame.locator(".envoi-hot").first
        top, left = button.bounding_box(), badge.bounding_box()
        # It lies at the link's corner, and moves nothing.
        assert abs(left["x"] - top["x"]) < 12
        assert abs(left["y"] + left["height"] - top["y"]) < 16
        page.locator("a.rp-jump").first.click()
        expect(page.locator("iframe[name=hot]")).to_be_visible()
    assert found == []


def test_subscriptions_and_definitions_are_read(visit):
    people, service = list(make_recipients(60)), make_service("news")
    subscriptions.subscribe(service, chosen.ids(people), actor=admin_actor(), confirm=False)
    subscriptions.unsubscribe(service, chosen.ids(people[:9]), actor=admin_actor(), confirm=False)
    page = visit(f"/reports/subscriptions/{service.pk}")
    found: list[str] = []
    for name, address in (
        ("service", f"/reports/subscriptions/{service.pk}"),
        ("services", "/reports/subscriptions"),
        ("meanings", "/reports/indicators"),
        ("one", "/reports/indicators/loyalty"),
    ):
        page.goto(address)
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"reports-{name}.png", full_page=True)
        found.extend(f"{name}: {each['id']}" for each in Axe().run(page).response["violations"])
    assert found == []
