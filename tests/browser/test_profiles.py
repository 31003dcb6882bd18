"""Pages of profiles in a browser: accessible, nothing scrolls sideways, done by keyboard alone."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection
from playwright.sync_api import expect

from envoi.kernel import clock
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Channel, ConsentAction, Recipient, TrackingUrl, UrlType
from envoi.packages.delivery.services import chosen, consents, lists, subscriptions, suppression
from envoi.packages.delivery.services.tracking import running
from envoi.packages.delivery.testing import make_hits, make_recipients, make_sent, make_service

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("ENVOI_TEST_SHOTS")
UNSEEN = ("form", "recipients")
"""Pages of the console itself, tried elsewhere; here they are for looking at."""
DARK = ("profile", "consent", "service", "merge")


@pytest.fixture
def person(site):
    """One person with something of everything, among others."""
    actor = admin_actor()
    one, other, *more = make_recipients(40, folder="recipients")
    Recipient.objects.filter(pk=one).update(
        first_name="Élodie", last_name="Marchetti", email="elodie.marchetti@gmail.example", city="Lyon",
        zip_code="69002", mobile_phone="+33612345678", black_list=0, black_list_postal_mail=1,
        country_code="FR", address1="12 rue Mercière", company="Alpage", language="fr",
    )  # fmt: skip
    news = make_service("news", label="Weekly letter")
    trial = make_service("trial", label="Trial month", validity_length=1, validity_unit="m")
    make_service("daily", label="Daily letter")
    subscriptions.subscribe(news, chosen.ids([one, other, *more]), actor=actor)
    subscriptions.subscribe(trial, chosen.ids([one]), actor=actor)
    subscriptions.unsubscribe(news, chosen.ids(more[:7]), actor=actor)
    group = lists.create("Loyal customers of Lyon", actor=actor, folder=Folder.objects.get(name="lists"))
    lists.add(group, chosen.ids([one, other, *more]), actor=actor)
    proof = consents.Proof("Web form “Club”", "I want to hear of offers by e-mail.", "192.0.2.7")
    consents.record(
        chosen.ids([one]), "marketing", Channel.EMAIL, ConsentAction.GIVEN, actor=actor, proof=proof
    )
    call = consents.Proof("phone call")
    consents.record(
        chosen.ids([one]), "marketing", Channel.SMS, ConsentAction.WITHDRAWN, actor=actor, proof=call
    )
    reacts(one)
    suppression.add(["spam.example", "ann@example.org"], actor=actor, reason="complaint")
    return {
        "profile": f"/recipients/{one}",
        "subscriptions": f"/recipients/{one}?tab=subscriptions",
        "lists": f"/recipients/{one}?tab=lists",
        "consent": f"/recipients/{one}?tab=privacy",
        "merge": f"/recipients/{one}/merge?with={other}",
        "form": f"/data/nms/recipient/{one}",
        "list": f"/lists/{group.pk}",
        "service": f"/services/{news.pk}",
        "suppression": "/explorer/administration/campaignAdministration/suppressionList/",
        "recipients": "/explorer/profilesAndTargets/recipients/",
    }


def reacts(number: int) -> None:
    """Let a person open a message, click, and be hit by a scanner."""
    sent = make_sent([number], label="Early access", sent=1, failed=0, state=95)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM nms_broad_log_rcp WHERE run_id = %s", [sent.run_id])
        (message,) = cursor.fetchone()
    link = TrackingUrl.objects.create(
        delivery=sent, type=UrlType.CLICK, url="https://shop.example/coats?of=spring", digest="coats",
        label="Coats of spring", created_at=clock.now(),
    )  # fmt: skip
    hit = {"broad_log_id": message, "delivery_id": sent.pk}
    later = clock.now() + timedelta(minutes=5)
    make_hits(
        hit | {"url_id": 1},
        hit | {"url_id": link.pk, "received_at": later},
        hit | {"url_id": link.pk, "received_at": later, "user_agent": "Barracuda Sentinel"},
    )
    running.at_once(now=clock.now())


@pytest.mark.parametrize(
    ("width", "dark", "language"), [(1280, False, ""), (1280, True, "fr"), (390, False, "fr")]
)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(visit, person, width, dark, language):
    page = visit("/", width=width, dark=dark, language=language or "en")
    found: list[str] = []
    for name, address in person.items():
        if not SHOTS and (name in UNSEEN or (dark and name not in DARK)):
            continue
        page.goto(address)
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{language or 'en'}.png", full_page=True)
        if name in UNSEEN:
            continue
        answer = Axe().run(page)
        found += [
            f"{address}: {violation['id']}: {violation['nodes'][0]['html'][:160]}"
            for violation in answer.response["violations"]
            if violation["impact"] in ("serious", "critical", "moderate")
        ]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{address} scrolls {wide} px sideways at {width}")
    assert found == []


def test_a_person_subscribes_by_keyboard_alone_and_without_script(visit, person):
    page = visit(person["subscriptions"], script=False)
    page.get_by_label("Service", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Daily letter")).to_be_visible()
    page.get_by_role("button", name="Unsubscribe from Weekly letter").press("Enter")
    expect(page.get_by_role("link", name="Weekly letter")).to_have_count(0)
    page.get_by_role("link", name="History").click()
    expect(page.get_by_text("Left Weekly letter")).to_be_visible()
