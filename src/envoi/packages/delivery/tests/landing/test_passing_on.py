"""A message is passed on to friends: a mail and a visitor each, a subscriber who confirms (§11, viral)."""

import re
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from envoi.kernel import clock as product_clock
from envoi.kernel.models import OutboxItem
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.console.reports import catalogue
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.models import (
    ReaderRequest,
    Recipient,
    ServiceMode,
    Subscription,
    TrackingUrl,
    UrlType,
    Visitor,
    VisitorOrigin,
)
from envoi.packages.delivery.services.landing import requests
from envoi.packages.delivery.services.redirection import tags
from envoi.packages.delivery.services.reports import scope
from envoi.packages.delivery.testing import make_recipients, make_service
from envoi.packages.delivery.tests.landing.stage import send, text

pytestmark = pytest.mark.django_db


def mails() -> list[Any]:
    return [each.payload for each in OutboxItem.objects.filter(kind="mail").order_by("outbox_id")]


def test_a_friend_gets_the_page_and_subscribes(mailed: Any, ann: Recipient, reader: Client) -> None:
    make_service("news", public=True)
    friends = make_service("friends", public=True, mode=ServiceMode.VIRAL)
    mail = mailed()
    assert "Pass it on" in text(reader.get(mail.forward))
    assert "on its way" in text(send(reader, mail.forward, email="Bob@example.org"))
    (sent,) = mails()
    assert sent["to"] == ["bob@example.org"]
    assert sent["subject"].startswith("Ann Lee recommends")
    visitor = Visitor.objects.get()
    assert (visitor.email, visitor.origin, visitor.referrer, visitor.recipient_id) == (
        "bob@example.org", VisitorOrigin.REFERRAL, "ann@example.org", 0,
    )  # fmt: skip
    shared = re.search(r"https://t\.example(/r/\?id=\S+)", sent["text"])
    assert shared
    tag = tags.tags(_home(), "").read(shared[1])
    assert tag is not None
    assert tag.params == ("share",)
    page = tags.tags(_home(), "").make(
        "h", f"{tag.broad_log_id:x}", f"{tag.delivery_id:x}", f"{tag.link:x}", tag.params, path="/r/m/"
    )
    html = reader.get(page).content.decode()
    assert "sale" in html
    assert "Ann" not in html
    found = re.search(r"(/r/c/\S+)", sent["text"])
    assert found
    mail.delivery.refresh_from_db()
    assert (mail.delivery.passed_on, mail.delivery.new_contacts) == (1, 0)
    send(reader, found[1])
    requests.confirm(ReaderRequest.objects.get(), now=product_clock.now())
    mail.delivery.refresh_from_db()
    assert (mail.delivery.passed_on, mail.delivery.new_contacts) == (1, 1)
    bob = Recipient.objects.get(email="bob@example.org")
    visitor.refresh_from_db()
    assert visitor.recipient_id == bob.pk
    assert Subscription.objects.get() == Subscription.objects.get(recipient_id=bob.pk, service=friends)
    # The report keeps what is known when the requests themselves are gone.
    ReaderRequest.objects.all().delete()
    report = catalogue.find("forwardActivities")
    assert report is not None
    (block,) = report.build(Asked(scope.of(mail.delivery), admin_actor(), QueryDict()))
    assert {each.definition: each.value for each in block.figures} == {
        "passedOn": 1, "mirrorPage": 0, "forward": 0, "newContacts": 1,
    }  # fmt: skip


def _home() -> Any:
    from django.conf import settings

    return settings.ENVOI.config.home


def test_limits(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    send(reader, mail.forward, email="f0@example.org")
    send(reader, mail.forward, email="f0@example.org")  # told once only
    for number in range(1, requests.PER_MESSAGE):
        assert "on its way" in text(send(reader, mail.forward, email=f"f{number}@example.org"))
    assert len(mails()) == requests.PER_MESSAGE
    answer = send(reader, mail.forward, email="more@example.org")
    assert "passed this message on to 5 friends" in text(answer, 400)
    assert (len(mails()), Visitor.objects.count()) == (5, 5)


def test_whoever_wants_no_mail_gets_none_from_friends(mailed: Any, ann: Recipient, reader: Client) -> None:
    make_recipients(1, email="quiet@example.org", black_list_email=1)
    mail = mailed()
    assert "on its way" in text(send(reader, mail.forward, email="quiet@example.org"))
    assert mails() == []
    assert not Visitor.objects.exists()


def test_a_name_that_is_no_name_is_not_sent_on(mailed: Any, ann: Recipient, reader: Client) -> None:
    Recipient.objects.filter(pk=ann.pk).update(first_name="Buy at", last_name="pills.example")
    mail = mailed()
    send(reader, mail.forward, email="bob@example.org")
    assert "pills" not in str(mails())
    assert mails()[0]["subject"].startswith("A friend recommends")


def test_a_friend_who_does_not_answer_is_forgotten(
    mailed: Any, ann: Recipient, reader: Client, clock: Any
) -> None:
    mail = mailed()
    send(reader, mail.forward, email="bob@example.org")
    clock.step(days=7)
    assert requests.purge(now=product_clock.now()) == 1
    assert not ReaderRequest.objects.exists()
    assert not Visitor.objects.exists()


def test_whoever_subscribes_by_a_readers_link_is_brought_by_that_reader(
    mailed: Any, ann: Recipient, reader: Client
) -> None:
    make_service("news", label="News", public=True)
    mail = mailed()
    listed = reader.get(mail.registration).content.decode()
    assert "News" in text(reader.get(mail.registration))
    form = re.search(r'href="(/r/s/news\?id=[^"]+)"', listed)
    assert form
    for email in ("bob@example.org", "ann@example.org"):
        send(reader, form[1].replace("&amp;", "&"), email=email, consent="on")
    visitor = Visitor.objects.get()
    assert (visitor.email, visitor.referrer) == ("bob@example.org", "ann@example.org")
    plain = reader.get("/r/s/").content.decode()
    assert 'href="/r/s/news"' in plain
    for wrong in (mail.registration[:-1] + "!", "/r/s/?id=x"):
        assert 'href="/r/s/news"' in reader.get(wrong).content.decode()  # a form, but nobody's


def test_every_block_of_ours_leads_to_a_page(mailed: Any, ann: Recipient, reader: Client) -> None:
    make_service("news", public=True)
    names = (
        "unsubscriptionLink", "mirrorPageLink", "preferencesLink", "forwardLink", "socialSharingLinks",
        "registrationLink", "registrationConfirmation", "footer",
    )  # fmt: skip
    html = "".join(f'{{% include "{each}" %}}' for each in names)
    mail = mailed(html_source=f"<html><body>{html}</body></html>", variables={"serviceLabel": "News"})
    assert "You get News from now on" in mail.made.html
    found = set(re.findall(r'href="https://t\.example([^"]+)"', mail.made.html))
    ours = tags.tags(_home(), "")
    kinds: set[str] = set()
    for address in found:
        tag = ours.read(address.replace("&amp;", "&"))
        assert tag is not None
        if tag.path == "/r/":
            link = TrackingUrl.objects.get(pk=tag.link)
            path = {UrlType.OPT_OUT: "/r/u/", UrlType.MIRROR: "/r/m/"}.get(UrlType(link.type), "")
            if not path:
                kinds.add(link.url.partition("?")[0])
                (shared,) = tag.params
                assert ours.read(shared.removeprefix("https://t.example")) is not None
                continue
            ids = (f"{tag.broad_log_id:x}", f"{tag.delivery_id:x}", f"{tag.link:x}")
            address = ours.make("h", *ids, tag.params, path=path)
        kinds.add(address[:5])
        assert reader.get(address.replace("&amp;", "&")).status_code == 200
    assert kinds == {
        "/r/u/", "/r/m/", "/r/p/", "/r/f/", "/r/s/", "https://www.facebook.com/sharer/sharer.php",
        "https://x.com/intent/post", "https://www.linkedin.com/sharing/share-offsite/",
    }  # fmt: skip


def test_a_message_without_a_page_is_not_passed_on(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed(content={"mirror": "id"})
    assert (mail.forward, mail.shared) == ("", "")
