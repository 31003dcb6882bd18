"""The tab Content, the preview in its frame, and the personalization blocks."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from envoi.kernel import clock as product_clock
from envoi.kernel.errors import NotAllowed
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, make_operator
from envoi.kernel.writing import write
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryAttachment,
    DeliveryContent,
    DeliveryRun,
    DeliveryState,
    IncludeView,
)
from envoi.packages.delivery.services import content, deliveries
from envoi.packages.delivery.services.content import attachments
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")


def signed_in(name: str, *rights: str, language: str = "") -> Client:
    client = Client()
    operator = make_operator(name, rights, language=language)
    client.force_login(operator, "django.contrib.auth.backends.ModelBackend")
    return client


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def place(delivery: Delivery) -> str:
    return f"/deliveries/{delivery.pk}/content"


def test_a_content_is_kept_translated_and_what_is_not_understood_is_told() -> None:
    delivery = make_delivery()
    client = signed_in("sofia", "PREPARE DELIVERIES")
    form = {
        "do": "content",
        "subject": "For <%= recipient.firstName %>",
        "from_address": "news@shop.example",
        "html_source": "<p>\r\n<% while (1) { %></p>",
        "text_source": "x",
        "content_format": "1",
        "settings": "1",
        "tracking": "1",
        "language": "fr",
        "to_name": "",
    }
    answer = client.post(place(delivery), form, follow=True)
    assert "1 mark is not understood and must be written anew: <% while (1) { %>" in words(answer)
    delivery.refresh_from_db()
    assert (delivery.subject, delivery.html_source) == (
        "For {{ recipient.firstName }}",
        "<p>\n<% while (1) { %></p>",
    )
    assert (delivery.content_format, delivery.content) == (
        1,
        {"tracking": True, "opens": False, "language": "fr", "toName": ""},
    )
    shown = words(client.get(place(delivery)))
    assert (
        "It cannot be sent like this HTML content: the mark <% while (1) { %> cannot be carried out" in shown
    )
    assert "Nothing is tracked on this instance" in shown
    # What was refused stands in the form, and nothing is changed.
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.IN_PROGRESS)
    answer = client.post(place(delivery), {**form, "subject": "Later"})
    assert answer.status_code == 400
    assert "it cannot be changed" in words(answer)
    assert 'value="Later"' in answer.content.decode()
    assert Delivery.objects.get(pk=delivery.pk).subject != "Later"


def test_who_may_not_prepare_reads() -> None:
    delivery = make_delivery(html_source="<p>Hello</p>")
    client = signed_in("sofia")
    page = client.get(place(delivery)).content.decode()
    assert "Keep the content" not in page
    assert page.count("<fieldset class=") == page.count(" disabled>")
    assert client.post(place(delivery), {"do": "content", "subject": "x"}).status_code == 400
    assert Delivery.objects.get(pk=delivery.pk).subject == "News"


def test_a_preview_confines_what_it_shows() -> None:
    make_recipients(1, first_name="Zoë", email="zoe@example.org", language="fr")
    delivery = make_delivery(html_source='<p onclick="x()">{{ recipient.firstName }}</p>')
    client = signed_in("sofia", "PREPARE DELIVERIES", language="fr")
    answer = client.get(f"/deliveries/{delivery.pk}/preview")
    policy = answer["Content-Security-Policy"]
    assert "script-src" not in policy
    assert policy.startswith("default-src 'none'")
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert '<iframe class="pvmail" sandbox="" srcdoc="&lt;p onclick=' in answer.content.decode()
    assert "frame-src 'self'" in client.get(place(delivery))["Content-Security-Policy"]
    draft = {"subject": "{{ recipient.nam }}", "who": "zoe@example.org", "view": "phone"}
    answer = client.post(f"/deliveries/{delivery.pk}/preview", draft)
    assert answer.status_code == 400
    assert "Le message ne peut pas être affiché. recipient.nam n’est pas un champ de" in words(answer)
    answer = client.post(f"/deliveries/{delivery.pk}/preview", {"who": "nobody@example.org"})
    assert "Aucune personne visible pour vous n’a l’adresse nobody@example.org." in words(answer)


def test_files_are_attached_and_detached() -> None:
    delivery = make_delivery()
    client = signed_in("sofia", "PREPARE DELIVERIES")
    file = SimpleUploadedFile("terms.pdf", b"%PDF-1.7")
    answer = client.post(place(delivery), {"do": "attach", "file": file}, follow=True)
    assert "terms.pdf goes with every message." in words(answer)
    delivery.refresh_from_db()
    (made,) = attachments.of(delivery)
    assert (made.name, made.content_type, made.size) == ("terms.pdf", "application/pdf", 8)
    answer = client.post(place(delivery), {"do": "detach", "number": made.pk}, follow=True)
    assert "The file is not attached any more." in words(answer)
    assert client.post(place(delivery), {"do": "detach", "number": made.pk}).status_code == 400
    assert client.post(place(delivery), {"do": "attach"}).status_code == 400


def test_files_that_nothing_names_are_deleted_after_a_day(clock: Any) -> None:
    actor = admin_actor()
    delivery = make_delivery()
    kept, frozen, gone = (attachments.add(delivery, f"{n}.pdf", b"%PDF", actor=actor) for n in range(3))
    copied = deliveries.create(delivery, actor=actor)
    for each in (kept, frozen, gone):
        attachments.remove(delivery, each.pk, actor=actor)
    for each in (frozen, gone):
        attachments.remove(copied, each.pk, actor=actor)
    run = DeliveryRun.objects.create(delivery=copied, storage="rcp", started_at=product_clock.now())
    DeliveryContent.objects.create(
        run=run,
        delivery=copied,
        frozen_at=product_clock.now(),
        settings={"said": {"attachments": [frozen.pk]}},
    )
    assert content.purge_attachments(actor=actor) == 0
    clock.move_to(product_clock.now() + timedelta(days=2))
    assert content.purge_attachments(actor=actor) == 1
    assert set(DeliveryAttachment.objects.values_list("pk", flat=True)) == {kept.pk, frozen.pk}
    deliveries.delete(copied, actor=actor)
    assert (content.purge_attachments(actor=actor), content.purge_attachments(actor=actor)) == (2, 0)
    with pytest.raises(NotAllowed):
        content.purge_attachments(actor=actor_of(make_operator("ann", ("PREPARE DELIVERIES",))))


def test_blocks_are_records_that_operators_may_write() -> None:
    client = signed_in("sofia", "PREPARE DELIVERIES")
    block = IncludeView.objects.get(name="greetings")
    page = client.get(reverse("console:record-page", args=["nms", "includeView", block.pk]))
    assert "Hello{% if recipient.firstName %}" in unescape(page.content.decode())
    written = write(
        "nms:includeView",
        {"name": "club", "label": "Club", "source/html": "<b>Join {{ delivery.label }}</b>"},
        actor=actor_of(make_operator("otto", ("PREPARE DELIVERIES",))),
    )
    assert written.created
    delivery = make_delivery(label="us", html_source='<%@ include view="Club" %>')
    Delivery.objects.filter(pk=delivery.pk).update(text_source='{% include "club" %}')
    answer = client.get(f"/deliveries/{delivery.pk}/preview")
    assert "<b>Join us</b>" in unescape(unescape(answer.content.decode()))
    answer = client.get(f"/deliveries/{delivery.pk}/preview?view=text")
    assert "Join us" in words(answer)
