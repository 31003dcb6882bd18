"""Unsubscribing by the page, by one click at the web process, and taking it back."""

import re
from typing import Any

import pytest
from django.test import Client

from envoi.kernel import clock as product_clock
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    Channel,
    Consent,
    ConsentAction,
    OptOut,
    OptOutWay,
    Recipient,
    SubHisto,
    Subscription,
)
from envoi.packages.delivery.services import chosen, consents, subscriptions
from envoi.packages.delivery.services.landing import signed
from envoi.packages.delivery.testing import make_service
from envoi.packages.delivery.tests.landing.stage import send, text

pytestmark = pytest.mark.django_db


def refuses(person: Recipient) -> bool:
    person.refresh_from_db()
    return bool(person.black_list_email)


def test_a_page_asks_first_and_leaving_can_be_taken_back(mailed: Any, ann: Recipient, reader: Client) -> None:
    proof = consents.Proof("form", "I agree.")
    consents.record(
        chosen.ids([ann.pk]),
        "marketing",
        Channel.EMAIL,
        ConsentAction.GIVEN,
        actor=admin_actor(),
        proof=proof,
    )
    mail = mailed()
    page = reader.get(mail.unsubscribe)
    assert "a…@example.org will get no more e-mail" in text(page)
    assert "ann@example.org" not in page.content.decode()
    assert not refuses(ann)  # whoever follows links changes nothing
    reader.head(mail.unsubscribe)
    assert not refuses(ann)
    done = send(reader, mail.unsubscribe, scope="all", reason="tooMany", remark="Enough.")
    assert "You are unsubscribed" in text(done)
    assert refuses(ann)
    kept = OptOut.objects.get()
    assert (kept.way, kept.reason, kept.remark, kept.address, kept.broad_log_id, kept.source_address) == (
        OptOutWay.PAGE, "tooMany", "Enough.", "ann@example.org", mail.id, "127.0.0.1",
    )  # fmt: skip
    assert Consent.objects.latest("consent_id").action == ConsentAction.WITHDRAWN
    assert "a…@example.org gets no e-mail" in text(reader.get(mail.unsubscribe))
    back = re.search(r'action="(/r/b/[^"]+)"', done.content.decode())
    assert back
    address = back[1].replace("&amp;", "&")
    assert refuses(ann)
    assert "You get your messages again" in text(reader.get(address))
    assert refuses(ann)
    assert "as before" in text(send(reader, address))
    assert not refuses(ann)
    assert Consent.objects.latest("consent_id").action == ConsentAction.GIVEN
    assert "nothing to take back" in text(send(reader, address))


def test_repeating_it_changes_nothing(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    first = reader.get(mail.unsubscribe)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', first.content.decode())
    assert token
    for _ in range(2):
        again = reader.post(mail.unsubscribe, {"csrfmiddlewaretoken": token[1], "scope": "all"})
        assert "You are unsubscribed" in text(again)
    assert OptOut.objects.count() == 1


def test_one_click_asks_nothing(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    wrong = mail.unsubscribe[:-1] + ("A" if mail.unsubscribe[-1] != "A" else "B")
    for address in (wrong, mail.mirror.replace("/r/m/", "/r/u/"), "/r/u/", "/r/u/?id=h1,2,3"):
        assert reader.post(address, {"List-Unsubscribe": "One-Click"}).status_code == 404
    assert not refuses(ann)
    done = reader.post(mail.unsubscribe, {"List-Unsubscribe": "One-Click"})
    assert (done.status_code, done.headers.get("Location")) == (200, None)
    assert refuses(ann)
    assert OptOut.objects.get().way == OptOutWay.ONE_CLICK


def test_other_forms_are_checked(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    answer = reader.post(mail.unsubscribe, {"scope": "all"})
    assert "This could not be done" in text(answer, 403)
    assert not refuses(ann)


def test_a_message_of_a_service_leaves_the_service_or_all(
    mailed: Any, ann: Recipient, reader: Client
) -> None:
    service = make_service("news", label="News <b>")
    subscriptions.subscribe(service, chosen.ids([ann.pk]), actor=admin_actor())
    mail = mailed(mapping="mapSubscribe", html_source='<a class="u" href="{{ message.unsubscribeUrl }}"></a>')
    assert "News <b> " in text(reader.get(mail.unsubscribe))
    assert "does not get “News <b>”" in text(send(reader, mail.unsubscribe, scope="service"))
    assert not refuses(ann)
    assert not Subscription.objects.exists()
    assert OptOut.objects.get().service == service
    # The link goes on to work: now for all that is left.
    page = text(reader.get(mail.unsubscribe))
    assert "does not get “News <b>” any more" in page
    assert "will get no more e-mail" in page
    undone = OptOut.objects.get()
    path = signed.make(signed.UNDO, undone.batch_id)
    send(reader, path)
    assert [each.action for each in SubHisto.objects.order_by("date", "sub_histo_id")] == [1, 0, 1]


def test_a_subscription_that_has_ended_leaves_the_links_of_its_messages_at_work(
    mailed: Any, ann: Recipient, reader: Client
) -> None:
    service = make_service("news", public=True)
    subscriptions.subscribe(service, chosen.ids([ann.pk]), actor=admin_actor())
    mail = mailed(
        mapping="mapSubscribe",
        html_source='<a class="u" href="{{ message.unsubscribeUrl }}"></a>'
        '<a class="p" href="{{ message.preferencesUrl }}"></a>',
    )
    for _ in range(2):
        done = send(reader, mail.preferences, language="en", format="0")
        assert "Your preferences are kept" in text(done)
    assert not Subscription.objects.exists()
    reader.post(mail.unsubscribe, {"List-Unsubscribe": "One-Click"})
    assert not refuses(ann)  # it was the service that one click leaves, and that is so
    assert "will get no more e-mail" in text(reader.get(mail.unsubscribe))
    send(reader, mail.unsubscribe, scope="all")
    assert refuses(ann)
    ann.delete()
    assert "a…@example.org will get no more e-mail" in text(reader.get(mail.unsubscribe))
    send(reader, mail.unsubscribe, scope="all")
    assert Address.objects.get(address="ann@example.org").status == AddressStatus.DENYLISTED


def test_all_mail_can_be_left_by_a_message_of_a_service(mailed: Any, ann: Recipient, reader: Client) -> None:
    service = make_service("news")
    subscriptions.subscribe(service, chosen.ids([ann.pk]), actor=admin_actor())
    mail = mailed(mapping="mapSubscribe", html_source='<a class="u" href="{{ message.unsubscribeUrl }}"></a>')
    send(reader, mail.unsubscribe, scope="all")
    assert refuses(ann)
    assert Subscription.objects.count() == 1  # all is quiet, what was chosen is kept


def test_who_reads_a_proof_is_not_its_person(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    type(mail.delivery).objects.filter(pk=mail.delivery.pk).update(fcp=True)
    assert "test message" in text(reader.get(mail.unsubscribe))
    assert "test message" in text(send(reader, mail.unsubscribe, scope="all"))
    assert not refuses(ann)
    assert "test message" in text(reader.get(mail.preferences))


@pytest.mark.parametrize(
    ("profile", "browser", "said", "language"),
    [
        ("fr", "en", "Se désinscrire", "fr"),
        ("fr_CA", "", "Se désinscrire", "fr"),
        ("", "fr-FR,en;q=0.5", "Se désinscrire", "fr"),
        ("", "de", "Unsubscribe", "en"),
        ("sv", "fr", "Avsluta prenumerationen", "sv"),
        ("ko", "", "수신 거부", "ko"),
        ("zh_TW", "", "取消訂閱", "zh-hant"),
    ],
)
def test_pages_speak_the_readers_language(
    mailed: Any, ann: Recipient, reader: Client, profile: str, browser: str, said: str, language: str
) -> None:
    Recipient.objects.filter(pk=ann.pk).update(language=profile)
    mail = mailed()
    page = reader.get(mail.unsubscribe, headers={"accept-language": browser})
    assert said in text(page)
    assert page.headers["Content-Language"] == language
    assert f'<html lang="{language}"' in page.content.decode()


def test_answers_are_confined(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    for address in (mail.unsubscribe, mail.preferences, mail.forward, mail.mirror, "/r/u/?id=x"):
        headers = reader.get(address).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "no-store" in headers["Cache-Control"]
        assert "noindex" in headers["X-Robots-Tag"]
        assert headers["Referrer-Policy"] in ("no-referrer", "same-origin")
    assert reader.get(mail.mirror).headers["Referrer-Policy"] == "no-referrer"


def test_addresses_of_readers_stay_out_of_the_log(
    mailed: Any, ann: Recipient, reader: Client, caplog: Any
) -> None:
    mail = mailed(content={"mirror": "id"})
    preferences = mail.unsubscribe.replace("/r/u/", "/r/p/")
    assert reader.get(preferences).status_code == 404
    assert reader.post(mail.unsubscribe, {"scope": "all"}).status_code == 403
    said = " ".join(f"{each.getMessage()} {each.__dict__.get('request', '')}" for each in caplog.records)
    assert "&s=" not in said
    assert "ann@example.org" not in said


def test_an_undo_is_over_after_a_day(mailed: Any, ann: Recipient, reader: Client, clock: Any) -> None:
    mail = mailed()
    send(reader, mail.unsubscribe, scope="all")
    path = signed.make(signed.UNDO, OptOut.objects.get().batch_id)
    clock.step(days=1, seconds=1)
    assert product_clock.now() > OptOut.objects.get().date
    assert "nothing to take back" in text(send(reader, path))
    assert refuses(ann)
