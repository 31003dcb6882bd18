"""Preferences: what a reader gets and how, and another address."""

import re
from typing import Any

import pytest
from django.test import Client

from envoi.kernel.models import OutboxItem
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Consent, OptOut, OptOutWay, Recipient, SubHisto, Subscription
from envoi.packages.delivery.services import chosen, subscriptions
from envoi.packages.delivery.services.landing import signed
from envoi.packages.delivery.testing import make_service
from envoi.packages.delivery.tests.landing.stage import send, text

pytestmark = pytest.mark.django_db
PLAIN = {"language": "en", "format": "0"}


def own(person: Recipient) -> str:
    return signed.make(signed.PREFERENCES, person.pk)


def ticked(page: Any) -> set[str]:
    return set(re.findall(r'value="(\w+)" checked', page.content.decode()))


@pytest.fixture
def services() -> None:
    for name, public in (("news", True), ("tips", True), ("inside", False), ("secret", False)):
        make_service(name, public=public)


@pytest.fixture
def page(clock: Any, services: None, ann: Recipient) -> str:
    service = subscriptions.find("inside", actor=admin_actor())
    subscriptions.subscribe(service, chosen.ids([ann.pk]), actor=admin_actor())
    return own(ann)


def has(person: Recipient) -> set[str]:
    found = Subscription.objects.filter(recipient_id=person.pk, delete_status=0)
    return set(found.values_list("service__name", flat=True))


def test_a_reader_chooses(page: str, ann: Recipient, reader: Client) -> None:
    shown = reader.get(page)
    assert "For a…@example.org" in text(shown)
    assert "Secret" not in text(shown)
    assert ticked(shown) == {"inside"}
    done = send(reader, page, service=["news"], purpose=["marketing"], language="fr", format="1")
    assert "fr" in done.headers["Content-Language"]
    assert ticked(done) == {"news", "marketing"}
    ann.refresh_from_db()
    assert (ann.language, ann.email_format, has(ann)) == ("fr", 1, {"news"})
    assert {(each.service.name, each.action) for each in SubHisto.objects.all()} == {
        ("inside", 1), ("inside", 0), ("news", 1),
    }  # fmt: skip
    proof = OptOut.objects.get()
    assert (proof.way, proof.service and proof.service.name) == (OptOutWay.PREFERENCES, "inside")
    consent = Consent.objects.get()
    assert (consent.purpose, consent.action, consent.source) == ("marketing", 1, "preferences page")
    assert consent.proof
    # What is given again says nothing new.
    send(reader, page, service=["news"], purpose=["marketing"], language="fr", format="1")
    assert (Consent.objects.count(), OptOut.objects.count(), SubHisto.objects.count()) == (1, 1, 3)


def test_a_service_that_is_not_open_cannot_be_had(page: str, ann: Recipient, reader: Client) -> None:
    send(reader, page, service=["inside", "secret", "nothing"], **PLAIN)
    assert has(ann) == {"inside"}


def test_nothing_at_all_and_back(page: str, ann: Recipient, reader: Client) -> None:
    send(reader, page, service=["inside"], purpose=["marketing"], **PLAIN)
    done = send(reader, page, service=["inside"], none="on", **PLAIN)
    ann.refresh_from_db()
    assert (ann.black_list_email, has(ann)) == (1, {"inside"})
    assert 'name="none" checked' in done.content.decode()
    assert [each.action for each in Consent.objects.order_by("consent_id")] == [1, 0]
    send(reader, page, service=["inside"], **PLAIN)
    ann.refresh_from_db()
    assert ann.black_list_email == 0


def test_a_language_that_was_not_changed_stays_as_it_was(page: str, ann: Recipient, reader: Client) -> None:
    Recipient.objects.filter(pk=ann.pk).update(language="en_GB")
    send(reader, page, service=["inside"], **PLAIN)
    ann.refresh_from_db()
    assert ann.language == "en_GB"


@pytest.mark.parametrize("wrong", [{"language": "xx", "format": "0"}, {"language": "en", "format": "9"}])
def test_what_is_not_offered_is_refused(
    page: str, ann: Recipient, reader: Client, wrong: dict[str, str]
) -> None:
    assert "There is no such" in text(send(reader, page, **wrong), 400) or "There is no language" in text(
        send(reader, page, **wrong), 400
    )
    assert has(ann) == {"inside"}


def test_another_address_confirms_itself(page: str, ann: Recipient, reader: Client) -> None:
    answer = send(reader, page, do="address", email="Ann@New.example")
    assert "sent a message to the new address" in text(answer)
    mail = OutboxItem.objects.get(kind="mail").payload
    assert mail["to"] == ["ann@new.example"]
    ann.refresh_from_db()
    assert ann.email == "ann@example.org"
    found = re.search(r"(/r/c/\S+)", mail["text"])
    assert found
    assert "confirmed" in text(send(reader, found[1]))
    ann.refresh_from_db()
    assert ann.email == "ann@new.example"
    told = OutboxItem.objects.filter(kind="mail").latest("outbox_id").payload
    assert told["to"] == ["ann@example.org"]
    assert "a…@new.example" in told["text"]
    assert "is no e-mail address" in text(send(reader, page, do="address", email="x"), 400)


def test_a_link_of_a_message_leads_there(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    assert "For a…@example.org" in text(reader.get(mail.preferences))
    for wrong in (mail.preferences[:-1] + "!", mail.unsubscribe.replace("/r/u/", "/r/p/"), "/r/p/"):
        assert reader.get(wrong).status_code == 404
    ann.delete()
    assert reader.get(mail.preferences).status_code == 404
