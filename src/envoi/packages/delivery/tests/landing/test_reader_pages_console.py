"""What operators see of the pages of readers."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from envoi.kernel.models import AuditEntry, Operator
from envoi.kernel.testing import allow, make_folder, make_operator
from envoi.packages.delivery.models import Delivery, ReaderText, Recipient, Service
from envoi.packages.delivery.testing import make_delivery, make_service
from envoi.packages.delivery.tests.landing.stage import send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
BACKEND = "django.contrib.auth.backends.ModelBackend"


def signed_in(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in("mary", "ADMINISTRATION")


def test_words_are_changed_and_previewed(admin: Client) -> None:
    address = "/reader-pages?page=subscribe&language=fr"
    assert "Reader pages" in admin.get(address).content.decode()
    given = {"title": "Bienvenue <chez nous>", "intro": "Un\r\ndeux", "legal": "Oui à {service}."}
    assert admin.post(address, given).status_code == 302
    kept = ReaderText.objects.get()
    assert (kept.page, kept.language, kept.intro) == ("subscribe", "fr", "Un\ndeux")
    preview = admin.get("/reader-pages/preview?page=subscribe&language=fr")
    html = preview.content.decode()
    assert "Bienvenue &lt;chez nous&gt;" in html
    assert "Oui à Newsletter." in html
    assert "sandbox" in preview.headers["Content-Security-Policy"]
    assert preview.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert admin.post(address, {"title": "x" * 129}).status_code == 400


@pytest.mark.parametrize("page", ["subscribe", "preferences", "unsubscribe", "forward", "nothing"])
@pytest.mark.parametrize("language", ["en", "sv"])
def test_every_page_has_a_preview(admin: Client, page: str, language: str) -> None:
    answer = admin.get(f"/reader-pages/preview?page={page}&language={language}")
    assert answer.status_code == 200
    assert f'lang="{language}"' in answer.content.decode()


def test_it_takes_a_right() -> None:
    client = signed_in("joe")
    assert client.get("/reader-pages").status_code == 403
    assert client.get("/reader-pages/preview").status_code == 403
    assert client.post("/reader-pages?page=subscribe&language=en", {"title": "x"}).status_code == 403
    assert not ReaderText.objects.exists()


def test_why_readers_left_is_counted(admin: Client, mailed: Any, ann: Recipient) -> None:
    send(Client(enforce_csrf_checks=True), mailed().unsubscribe, scope="all", reason="tooMany")
    html = admin.get("/reader-pages").content.decode()
    assert "Too many messages" in html
    listed = re.search(r'href="([^"]*optOut[^"]*)"', html)
    assert listed
    assert "ann@example.org" in admin.get(listed[1]).content.decode()


def test_a_service_is_opened_to_readers(admin: Client) -> None:
    service = make_service("news", label="News")
    page = f"/services/{service.pk}"
    assert "Open it to readers" in admin.get(page).content.decode()
    assert admin.post(page, {"do": "open"}).status_code == 302
    assert Service.objects.get(pk=service.pk).public
    html = admin.get(page).content.decode()
    assert f"{settings.ENVOI.config.web.address}/r/s/news" in html
    assert "&lt;form action=" in html
    assert AuditEntry.objects.filter(entity="nms:service").latest("pk").detail == {
        "values": {"public": [False, True]}
    }
    assert Client().get("/r/s/news").status_code == 200
    admin.post(page, {"do": "close"})
    assert Client().get("/r/s/news").status_code == 404
    texts = make_service("texts", type=1)
    assert admin.post(f"/services/{texts.pk}", {"do": "open"}).status_code == 400
    assert not Service.objects.get(pk=texts.pk).public


def test_opening_takes_the_folder(admin: Client) -> None:
    folder = make_folder("away", model="nms:service")
    service = make_service("news", folder=folder)
    joe = signed_in("joe")
    allow(folder, Operator.objects.get(name="joe"))
    assert joe.get(f"/services/{service.pk}").status_code == 200
    assert joe.post(f"/services/{service.pk}", {"do": "open"}).status_code == 403
    assert not Service.objects.get(pk=service.pk).public


def test_whether_there_is_a_mirror_page_is_said_with_the_content(
    admin: Client, mailed: Any, ann: Recipient
) -> None:
    delivery = make_delivery(html_source="<p>Hello</p>")
    page = f"/deliveries/{delivery.pk}/content"
    assert '<option value="link" selected>' in admin.get(page).content.decode()
    assert admin.post(page, {"settings": "1", "mirror": "never"}).status_code == 302
    delivery.refresh_from_db()
    assert delivery.content["mirror"] == "never"
    assert '<option value="never" selected>' in admin.get(page).content.decode()
    assert admin.post(page, {"settings": "1", "mirror": "perhaps"}).status_code == 400


def test_the_message_of_a_line_is_shown_to_who_sees_the_line(
    admin: Client, mailed: Any, ann: Recipient
) -> None:
    mail = mailed()
    log = admin.get(f"/deliveries/{mail.delivery.pk}/logs").content.decode()
    address = f"/deliveries/{mail.delivery.pk}/logs/{mail.id}"
    assert f'href="{address}"' in log
    shown = admin.get(address)
    html = shown.content.decode()
    assert "Dear Ann" in html
    assert "/r/?id=" not in html
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert admin.get(f"/deliveries/{mail.delivery.pk}/logs/999999").status_code == 404
    other = Delivery.objects.exclude(pk=mail.delivery.pk).filter(is_model=True).first()
    assert other is not None
    assert admin.get(f"/deliveries/{other.pk}/logs/{mail.id}").status_code == 404
    joe = signed_in("joe", "PREPARE DELIVERIES")
    closed = make_folder("closed", model="nms:recipient")
    allow(closed, make_operator("keeper"))
    Recipient.objects.filter(pk=ann.pk).update(folder=closed)
    assert joe.get(address).status_code == 404
