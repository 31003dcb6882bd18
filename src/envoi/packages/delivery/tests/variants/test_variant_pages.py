"""Languages of a content in the console: tabs, the same form for each, the preview of a reader."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Delivery, Recipient
from envoi.packages.delivery.services import deliveries, variants
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), "django.contrib.auth.backends.ModelBackend")
    return client


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_a_language_is_added_written_shown_and_removed() -> None:
    delivery = make_delivery(subject="Hello", text_source="Good day")
    (reader,) = make_recipients(1, black_list=0)
    Recipient.objects.filter(pk=reader).update(email="r@example.org", language="fr-CA")
    client = signed_in("sofia", "PREPARE DELIVERIES")
    page, change = f"/deliveries/{delivery.pk}/content", f"/deliveries/{delivery.pk}/variants"
    answer = client.post(change, {"do": "add", "language": "fr", "copied": "1"}, follow=True)
    assert answer.redirect_chain[-1][0] == f"{page}?variant=fr"
    assert "Default French" in words(answer)
    answer = client.post(
        f"{page}?variant=fr",
        {"do": "content", "subject": "Bonjour <%= recipient.firstName %>", "from_address": "a@shop.example"},
    )
    assert answer.headers["Location"] == f"{page}?variant=fr"
    delivery = Delivery.objects.get(pk=delivery.pk)
    assert (delivery.subject, delivery.text_source) == ("Hello", "Good day")
    assert variants.read(delivery.variants).of["fr"]["subject"] == "Bonjour {{ recipient.firstName }}"
    # Under each tab its own content is shown; the reader's, when that is asked for.
    shown = f"/deliveries/{delivery.pk}/preview"
    for variant, subject in (("", "Hello"), ("fr", "Bonjour"), ("*", "Bonjour")):
        assert subject in words(client.get(shown, {"variant": variant, "who": "r@example.org"}))
    assert client.get(page, {"variant": "it"}).status_code == 404
    client.post(change, {"do": "by", "by": "{{ recipient.language }}", "default": "en"})
    client.post(change, {"do": "remove", "language": "fr"})
    delivery.refresh_from_db()
    assert delivery.variants == {"by": "{{ recipient.language }}", "language": "en", "of": {}}


def test_a_proof_is_marked_in_every_language() -> None:
    make_recipients(1, black_list=0)
    delivery = make_delivery(subject="Hello", variants={"of": {"fr": {"subject": "Bonjour"}}})
    proof = deliveries.prove(delivery, "target", actor=admin_actor(), target={"filter": "@id > 0"})
    assert proof.subject.endswith("– Hello")
    assert variants.read(proof.variants).of["fr"]["subject"] == proof.subject.replace("Hello", "Bonjour")


def test_who_may_not_prepare_sees_the_languages_and_changes_none() -> None:
    delivery = make_delivery(variants={"of": {"fr": {"subject": "Bonjour"}}})
    client = signed_in("otto")
    answer = client.get(f"/deliveries/{delivery.pk}/content", {"variant": "fr"})
    assert "Bonjour" in answer.content.decode()
    assert "Add the language" not in words(answer)
    client.post(f"/deliveries/{delivery.pk}/variants", {"do": "remove", "language": "fr"})
    delivery.refresh_from_db()
    assert "fr" in delivery.variants["of"]
