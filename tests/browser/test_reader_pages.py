"""Pages of readers in a browser: on a phone first, in English and French, without a script, accessible."""

import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from envoi.kernel.models import OutboxItem
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Recipient, Subscription
from envoi.packages.delivery.services import chosen, subscriptions
from envoi.packages.delivery.services.landing import wording
from envoi.packages.delivery.testing import make_service
from envoi.packages.delivery.tests.landing import stage

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")


@pytest.fixture
def person(site, monkeypatch):
    """A reader of a letter to subscribers, and the addresses in it."""
    ann = stage.person()
    letter = make_service("letter", label="Weekly letter", public=True, description="Each Friday at noon.")
    make_service("tips", label="Tips", public=True)
    subscriptions.subscribe(letter, chosen.ids([ann.pk]), actor=admin_actor())
    return stage.mailed(stage.track(monkeypatch), mapping="mapSubscribe")


def confirmation() -> str:
    """Return the link of the latest mail."""
    text = OutboxItem.objects.filter(kind="mail").latest("outbox_id").payload["text"]
    found = re.search(r"https?://[^/\s]+(/r/c/\S+)", text)
    assert found, text
    return found[1]


def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit, person):
    found: list[str] = []
    pages = {
        "unsubscribe": person.unsubscribe,
        "preferences": person.preferences,
        "forward": person.forward,
        "registration": "/r/s/",
        "subscribe": "/r/s/letter",
        "lost": "/r/c/?q=1",
    }
    for width, dark, language in ((390, False, "fr"), (1280, True, "en")):
        Recipient.objects.update(language=language)
        page = visit("/r/s/", width=width, dark=dark, language=language, signed_in=False)
        for name, address in pages.items():
            page.goto(address)
            assert page.locator("html").get_attribute("lang") == language
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"reader-{name}-{width}-{language}.png", full_page=True)
            answer = Axe().run(page)
            found += [
                f"{address}: {violation['id']}: {violation['nodes'][0]['html'][:160]}"
                for violation in answer.response["violations"]
                if violation["impact"] in ("serious", "critical", "moderate")
            ]
            wide = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if wide > 0:
                found.append(f"{address} scrolls {wide} px sideways at {width}")
    visit.complaints[:] = [each for each in visit.complaints if "404" not in each]
    assert found == []


def test_leaving_and_coming_back_in_english(visit, person):
    page = visit(person.unsubscribe, width=390, signed_in=False, script=False)
    page.get_by_text("All e-mail of").click()
    page.get_by_text("Weekly letter").click()
    page.get_by_text("Tell us why").click()
    page.get_by_label("Reason").select_option(label="Too many messages")
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
    assert not Subscription.objects.exists()
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_role("heading", name="You are subscribed as before")).to_be_visible()
    assert Subscription.objects.get().service.name == "letter"
    page.get_by_role("link", name="Choose what you get").click()
    expect(page.get_by_role("heading", name="Your preferences")).to_be_visible()


def test_choosing_in_french(visit, person):
    Recipient.objects.update(language="fr")
    page = visit(person.preferences, width=390, language="fr", signed_in=False, script=False)
    expect(page.get_by_role("heading", name="Vos préférences")).to_be_visible()
    page.get_by_label("Tips").check()
    page.get_by_label("Weekly letter").uncheck()
    page.get_by_label("Langue").select_option("en")
    page.get_by_role("button", name="Enregistrer").press("Enter")
    expect(page.get_by_role("status")).to_have_text("Your preferences are kept.")
    expect(page.get_by_label("Tips")).to_be_checked()
    assert [each.service.name for each in Subscription.objects.all()] == ["tips"]


def test_subscribing_in_french_from_the_form_to_the_mailbox(visit, person):
    page = visit("/r/s/letter", width=390, language="fr", signed_in=False, script=False)
    expect(page.get_by_role("heading", name="S’inscrire à Weekly letter")).to_be_visible()
    page.get_by_label("Adresse e-mail").fill("chloe@example.org")
    page.get_by_label(re.compile("J’accepte")).check()
    page.get_by_role("button", name="S’inscrire").click()
    expect(page.get_by_role("heading", name="Consultez votre boîte de réception")).to_be_visible()
    page.goto(confirmation())
    assert not Recipient.objects.filter(email="chloe@example.org").exists()
    page.get_by_role("button", name="Confirmer").click()
    expect(page.get_by_role("heading", name="Merci")).to_be_visible()
    chloe = Recipient.objects.get(email="chloe@example.org")
    assert (chloe.language, Subscription.objects.filter(recipient_id=chloe.pk).count()) == ("fr", 1)


def test_an_operator_writes_the_words(visit, person):
    page = visit("/reader-pages?page=subscribe&language=en")
    page.get_by_label("Title").fill("Join us")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("The words are kept")).to_be_visible()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Join us")).to_be_visible()
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / "reader-pages-1280.png", full_page=True)
        page.set_viewport_size({"width": 390, "height": 900})
        page.screenshot(path=Path(SHOTS) / "reader-pages-390.png", full_page=True)
        page.goto(f"/services/{Subscription.objects.get().service_id}")
        page.screenshot(path=Path(SHOTS) / "reader-service-390.png", full_page=True)
    assert wording.own("subscribe", "en").title == "Join us"
    answer = Axe().run(page)
    assert [
        each["id"] for each in answer.response["violations"] if each["impact"] in ("serious", "critical")
    ] == []
