"""Forms of services: nobody is subscribed but by the mailbox itself, and nobody learns who is."""

import re
from typing import Any

import pytest
from django.test import Client

from envoi.kernel import clock as product_clock
from envoi.kernel.models import OutboxItem
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    Consent,
    ReaderRequest,
    ReaderText,
    Recipient,
    SubHisto,
    SubOrigin,
    Subscription,
)
from envoi.packages.delivery.services import suppression
from envoi.packages.delivery.services.landing import requests, signed, wording
from envoi.packages.delivery.testing import make_service
from envoi.packages.delivery.tests.landing.stage import send, text

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
FORM = "/r/s/news"


def mails() -> list[Any]:
    return [each.payload for each in OutboxItem.objects.filter(kind="mail").order_by("outbox_id")]


def link(mail: Any) -> str:
    found = re.search(r"https?://\S+?(/r/c/\S+)", mail["text"])
    assert found
    return found[1]


@pytest.fixture
def news() -> Any:
    return make_service("news", label="The News", public=True)


def asks(client: Client, email: str, **further: Any) -> Any:
    return send(client, FORM, email=email, consent="on", **further)


def test_a_subscription_takes_the_mailbox(news: Any, reader: Client) -> None:
    page = reader.get(FORM)
    assert "Subscribe to The News" in text(page)
    assert 'name="consent" required>' in page.content.decode()  # not ticked before
    answer = asks(reader, " Bob@Example.org", first_name="Bob", last_name="Roux")
    assert "We have sent a message to B…@Example.org" in text(answer)
    assert not Recipient.objects.filter(email="bob@example.org").exists()
    (mail,) = mails()
    assert (mail["to"], mail["subject"]) == (["bob@example.org"], "Confirm your subscription to The News")
    address = link(mail)
    assert "b…@example.org gets “The News” from now on" in text(reader.get(address))
    assert not Subscription.objects.exists()  # a program that follows links confirms nothing
    done = send(reader, address)
    assert "It is confirmed for b…@example.org" in text(done)
    bob = Recipient.objects.get(email="bob@example.org")
    assert (bob.first_name, bob.last_name, bob.language, bob.folder.name) == (
        "Bob", "Roux", "en", "recipients",
    )  # fmt: skip
    assert Subscription.objects.get().recipient_id == bob.pk
    assert SubHisto.objects.get().origin == SubOrigin.FORM
    consent = Consent.objects.get()
    assert (consent.purpose, consent.action, consent.source) == ("marketing", 1, "subscription form")
    assert "“The News” by e-mail" in consent.proof
    assert consent.source_address == "127.0.0.1"
    assert "/r/p/?q=" in done.content.decode()
    assert "confirmed" in text(reader.get(address))  # once more: nothing new
    assert (Recipient.objects.filter(email="bob@example.org").count(), Consent.objects.count()) == (1, 1)


def test_the_answer_is_the_same_whoever_is_known(news: Any, reader: Client, ann: Recipient) -> None:
    suppression.add(["eve@example.org"], actor=admin_actor())
    answers = {
        text(asks(reader, email)).replace(email[0] + "…", "x…")
        for email in ("ann@example.org", "new@example.org", "eve@example.org")
    }
    assert len(answers) == 1
    assert [each["to"] for each in mails()] == [["ann@example.org"], ["new@example.org"]]


def test_programs_and_floods_are_stopped(news: Any, reader: Client, clock: Any) -> None:
    assert "Look into your mailbox" in text(asks(reader, "a@example.org", website="x"))
    assert not ReaderRequest.objects.exists()
    for _ in range(5):
        assert "Look into your mailbox" in text(asks(reader, "bob@example.org"))
    assert len(mails()) == requests.PER_ADDRESS
    for number in range(requests.PER_SOURCE - 5):
        asks(reader, f"p{number}@example.org")
    assert "too many requests" in text(asks(reader, "more@example.org"), 429)
    clock.step(hours=1, seconds=1)
    assert "Look into your mailbox" in text(asks(reader, "more@example.org"))
    clock.step(days=1)
    asks(reader, "bob@example.org")
    assert mails()[-1]["to"] == ["bob@example.org"]


def test_a_household_with_many_addresses_is_one(news: Any, reader: Client, clock: Any) -> None:
    for number in range(requests.PER_SOURCE):
        source = f"2001:db8:0:1::{number:x}"
        requests.subscribe(
            news,
            requests.Asked(f"p{number}@example.org", "en", consent="Yes.", source_address=source),
            now=product_clock.now(),
        )
    asked = requests.Asked("more@example.org", "en", consent="Yes.", source_address="2001:db8:0:1:9::1")
    with pytest.raises(requests.TooMany):
        requests.subscribe(news, asked, now=product_clock.now())
    other = requests.Asked("more@example.org", "en", consent="Yes.", source_address="2001:db8:0:2::1")
    requests.subscribe(news, other, now=product_clock.now())


def test_what_is_wrong_is_said_and_what_was_typed_stays(news: Any, reader: Client) -> None:
    answer = send(reader, FORM, email="no address", first_name="Bob", consent="on")
    assert "is no e-mail address" in text(answer, 400)
    assert 'value="Bob"' in answer.content.decode()
    assert "Please agree first" in text(send(reader, FORM, email="bob@example.org"), 400)
    assert not ReaderRequest.objects.exists()


def test_only_services_that_are_open_have_a_form(reader: Client) -> None:
    make_service("inside")
    make_service("texts", type=1, public=True)
    for name in ("inside", "texts", "nothing"):
        assert reader.get(f"/r/s/{name}").status_code == 404


def test_a_form_on_another_site_fills_ours_in(news: Any, reader: Client) -> None:
    answer = reader.post(FORM, {"email": "bob@example.org"}, headers={"origin": "https://other.example"})
    assert 'value="bob@example.org"' in answer.content.decode()
    assert not ReaderRequest.objects.exists()
    wrong = reader.post(FORM, {"email": "bob@example.org", "consent": "on", "csrfmiddlewaretoken": "x" * 64})
    assert wrong.status_code == 403
    assert not ReaderRequest.objects.exists()


def test_a_link_has_its_time_and_its_signature(news: Any, reader: Client, clock: Any) -> None:
    asks(reader, "bob@example.org")
    address = link(mails()[0])
    number = ReaderRequest.objects.get().pk
    for wrong in (address[:-1] + "_", address.replace(f"q={number:x}&", f"q={number + 1:x}&"), "/r/c/?q=1"):
        assert reader.get(wrong).status_code == 404
    forged = signed.make(signed.UNDO, number).replace(signed.UNDO, signed.CONFIRM)
    assert reader.get(forged).status_code == 404
    clock.step(days=7)
    assert "too old" in text(reader.get(address), 404)
    assert requests.purge(now=product_clock.now()) == 1
    assert not ReaderRequest.objects.exists()


def test_who_had_left_comes_back(news: Any, reader: Client, ann: Recipient) -> None:
    Recipient.objects.filter(pk=ann.pk).update(black_list_email=1)
    asks(reader, "ann@example.org")
    send(reader, link(mails()[0]))
    ann.refresh_from_db()
    assert ann.black_list_email == 0
    assert Subscription.objects.get().recipient_id == ann.pk


def test_an_instance_has_its_own_words_and_keeps_them_as_the_proof(news: Any, reader: Client) -> None:
    words = wording.Wording("Join <us>", "", "Yes to {service} of {sender}.")
    wording.change(wording.SUBSCRIBE, "en", words, actor=admin_actor())
    page = reader.get(FORM)
    assert "Join &lt;us&gt;" in page.content.decode()
    assert "Confirm there, and you are in" in text(page)
    asks(reader, "bob@example.org")
    assert ReaderRequest.objects.get().consent == "Yes to The News of envoi."
    wording.change(wording.SUBSCRIBE, "en", wording.Wording(" "), actor=admin_actor())
    assert not ReaderText.objects.exists()
