"""Mirror pages: what was sent, as a page, for its reader or for anybody (delivery.md §2.10)."""

from typing import Any

import pytest
from django.test import Client

from envoi.packages.delivery.models import Delivery, DeliveryContent, DeliveryState, Recipient
from envoi.packages.delivery.services.landing import messages, mirror
from envoi.packages.delivery.tests.landing.stage import text

pytestmark = pytest.mark.django_db


def test_the_reader_sees_the_message_as_it_was_sent(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    Delivery.objects.filter(pk=mail.delivery.pk).update(html_source="<p>changed since</p>", state=95)
    page = reader.get(mail.mirror)
    html = page.content.decode()
    assert "Dear Ann" in html
    assert "https://t.example/r/?id=h" in html
    assert "shop.example" not in html  # its links are tracked too
    assert mail.made.html == html
    policy = page.headers["Content-Security-Policy"]
    assert "sandbox " in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy


def test_a_reader_who_wants_text_sees_the_page_all_the_same(
    mailed: Any, ann: Recipient, reader: Client
) -> None:
    mail = mailed()
    Recipient.objects.filter(pk=ann.pk).update(email_format=1)
    assert "Dear Ann" in reader.get(mail.mirror).content.decode()


def test_what_is_shared_has_nothing_personal(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    html = reader.get(mail.shared).content.decode()
    assert "Dear </p>" in html
    assert "Ann" not in html
    assert "p1=Lee" not in html


def test_a_friend_cannot_leave_for_the_reader(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    html = reader.get(mail.shared).content.decode()
    assert '<a class="u" href="">' in html
    assert '<a class="p" href="">' in html
    assert '<a class="m" href="">' in html


@pytest.mark.parametrize(
    ("mode", "by_link", "by_operator"),
    [("link", True, True), ("always", True, True), ("never", False, False), ("id", False, True)],
)
def test_modes(
    mailed: Any, ann: Recipient, reader: Client, mode: str, by_link: bool, by_operator: bool
) -> None:
    mail = mailed(content={"mirror": mode})
    assert bool(mail.mirror) == by_link
    if mail.mirror:
        assert "Dear Ann" in reader.get(mail.mirror).content.decode()
    found = messages.find(mail.id, mail.delivery.pk)
    assert found is not None
    if by_operator:
        html = mirror.for_operator(found)
        assert "Dear Ann" in html
        assert 'href="https://shop.example/sale?who=Lee"' in html  # nothing is counted that operators do
        assert "t.example" not in html
    else:
        with pytest.raises(Exception, match="no page"):
            mirror.for_operator(found)


def test_a_mode_that_changes_afterwards_changes_nothing(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    Delivery.objects.filter(pk=mail.delivery.pk).update(content={"mirror": "never"})
    assert reader.get(mail.mirror).status_code == 200


def test_a_page_has_its_time(mailed: Any, ann: Recipient, reader: Client, clock: Any) -> None:
    from envoi.kernel import clock as product_clock

    mail = mailed()
    Delivery.objects.filter(pk=mail.delivery.pk).update(web_validity=product_clock.now())
    assert "The time of this page is over" in text(reader.get(mail.mirror), 404)
    assert "The time of this page is over" in text(reader.get(mail.forward), 404)
    assert DeliveryContent.objects.count() == 1
    clock.step(seconds=1)
    assert mirror.purge(now=product_clock.now()) == 1
    assert not DeliveryContent.objects.exists()
    assert mirror.purge(now=product_clock.now()) == 0
    assert "has no page" in text(reader.get(mail.mirror), 404)


def test_contents_of_what_is_under_way_are_not_purged(mailed: Any, ann: Recipient, clock: Any) -> None:
    from envoi.kernel import clock as product_clock

    mail = mailed()
    Delivery.objects.filter(pk=mail.delivery.pk).update(
        web_validity=product_clock.now(), state=DeliveryState.IN_PROGRESS
    )
    assert mirror.purge(now=product_clock.now()) == 0


def test_a_page_without_its_reader_is_none(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    ann.delete()
    assert "can no longer be shown" in text(reader.get(mail.mirror), 404)


def test_of_a_delivery_that_is_deleted_only_leaving_remains(
    mailed: Any, ann: Recipient, reader: Client
) -> None:
    mail = mailed()
    Delivery.objects.filter(pk=mail.delivery.pk).update(delete_status=1)
    assert "has no page" in text(reader.get(mail.mirror), 404)
    assert "will get no more e-mail" in text(reader.get(mail.unsubscribe))


def test_a_text_has_no_page(mailed: Any, ann: Recipient, reader: Client) -> None:
    mail = mailed()
    DeliveryContent.objects.update(templates={"text": "x", "html": "", "subject": "y"})
    assert "has no page" in text(reader.get(mail.mirror), 404)
