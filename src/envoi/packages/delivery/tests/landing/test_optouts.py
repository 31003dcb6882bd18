"""Readers leave by one click in their mail program, segment by segment (delivery.md §1.2; RFC 8058)."""

from typing import Any

import pytest
from django.db import connection

from envoi.kernel import clock as product_clock
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    Address,
    AddressStatus,
    Channel,
    Consent,
    ConsentAction,
    Delivery,
    DeliveryMapping,
    HitKind,
    OptOut,
    OptOutWay,
    Recipient,
    SubHisto,
    SubOrigin,
    Subscription,
    TrackingInbox,
)
from envoi.packages.delivery.services import chosen, consents, log_tables, subscriptions
from envoi.packages.delivery.services.landing import optouts
from envoi.packages.delivery.testing import make_recipients, make_sent, make_service

pytestmark = pytest.mark.django_db


def logged(delivery: Delivery, storage: str = "rcp") -> dict[int, int]:
    """Return the message of each target of a delivery."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT target_id, id FROM {log_tables.table('broad_log', storage)} WHERE delivery_id = %s",
            [delivery.pk],
        )
        return dict(cursor.fetchall())


def hit(message: int, delivery: Delivery, *, segment: str = "one", kind: int = HitKind.UNSUBSCRIBE) -> None:
    TrackingInbox.objects.create(
        tracking_inbox_id=TrackingInbox.objects.count() + 1,
        kind=kind,
        received_at=product_clock.now(),
        broad_log_id=message,
        delivery_id=delivery.pk,
        address="192.0.2.7",
        segment=segment,
    )


def moved(delivery: Delivery, storage: str, targets: dict[int, int]) -> dict[int, int]:
    """Make the messages of a delivery to recipients ones to the rows of another mapping."""
    for run in delivery.runs.all():
        log_tables.partition("broad_log", storage, run.pk)
    with connection.cursor() as cursor:
        for recipient, target in targets.items():
            cursor.execute(
                f"""INSERT INTO {log_tables.table("broad_log", storage)} (id, target_id, run_id, delivery_id,
                      address, status, flags, modified_at)
                    SELECT id, %s, run_id, delivery_id, address, status, flags, modified_at
                    FROM nms_broad_log_rcp WHERE delivery_id = %s AND target_id = %s""",
                [target, delivery.pk, recipient],
            )
    delivery.runs.update(storage=storage)
    return logged(delivery, storage)


def apply(segment: str = "one") -> int:
    return optouts.apply(segment, now=product_clock.now())


def refused() -> set[int]:
    return set(Recipient.objects.filter(black_list_email=1).values_list("recipient_id", flat=True))


def test_one_click_refuses_all_mail_once_with_its_proof(clock: Any) -> None:
    people = make_recipients(4, black_list_email=0)
    ann, bob, eve, _joe = people
    delivery = make_sent(people, sent=1, failed=0)
    messages = logged(delivery)
    for purpose, action in (("marketing", ConsentAction.GIVEN), ("partners", ConsentAction.WITHDRAWN)):
        proof = consents.Proof("form", "I agree.")
        consents.record(chosen.ids([ann]), purpose, Channel.EMAIL, action, actor=admin_actor(), proof=proof)
    clock.step(hours=1)
    hit(messages[ann], delivery)
    hit(messages[ann], delivery)  # a mail program that asks twice
    hit(messages[bob], delivery, kind=HitKind.TAG)  # who only looks at the page has not left
    hit(messages[eve], delivery, segment="another")
    hit(999, delivery)
    assert apply() == 1
    assert refused() == {ann}
    assert apply() == 0
    proof = OptOut.objects.get()
    assert (proof.recipient_id, proof.way, proof.broad_log_id) == (ann, OptOutWay.ONE_CLICK, messages[ann])
    assert (proof.date, proof.source_address) == (product_clock.now(), "192.0.2.7")
    assert proof.address == Recipient.objects.get(pk=ann).email or proof.address.startswith("c")
    line = Consent.objects.filter(recipient_id=ann).latest("date")
    assert (line.purpose, line.action, line.source) == ("marketing", ConsentAction.WITHDRAWN, "unsubscribe")
    assert Consent.objects.filter(recipient_id=ann).count() == 3


def test_a_message_to_subscribers_ends_the_subscription_only(clock: Any) -> None:
    news, tips = make_service("news"), make_service("tips")
    people = make_recipients(2, black_list_email=0)
    ann, bob = people
    for service in (news, tips):
        subscriptions.subscribe(service, chosen.ids(people), actor=admin_actor())
    delivery = make_sent(people, sent=1, failed=0)
    of_news = dict(Subscription.objects.filter(service=news).values_list("recipient_id", "subscription_id"))
    messages = moved(delivery, "sub", of_news)
    hit(messages[of_news[ann]], delivery)
    assert apply() == 1
    assert refused() == set()
    kept = set(Subscription.objects.values_list("recipient_id", "service__name"))
    assert kept == {(ann, "tips"), (bob, "news"), (bob, "tips")}
    line = SubHisto.objects.get(action=0)
    assert (line.recipient_id, line.service_id, line.origin) == (ann, news.pk, SubOrigin.FORM)
    assert OptOut.objects.get().service_id == news.pk
    assert apply() == 0


def test_seeds_and_proofs_change_nothing(clock: Any) -> None:
    people = make_recipients(2, black_list_email=0)
    ann, bob = people
    seeded, proof = make_sent(people, sent=1, failed=0), make_sent(people, sent=1, failed=0, fcp=True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nms_broad_log_rcp SET flags = 1 WHERE delivery_id = %s", [seeded.pk])
    hit(logged(seeded)[ann], seeded)
    hit(logged(proof)[bob], proof)
    assert apply() == 0
    assert refused() == set()
    assert not OptOut.objects.exists()


@pytest.mark.parametrize("storage", ["visitor", "operator"])
def test_whoever_has_no_profile_leaves_with_the_address(clock: Any, storage: str) -> None:
    people = make_recipients(1, black_list_email=0, email="eve@example.org")
    delivery = make_sent(people, sent=1, failed=0)
    (message,) = moved(delivery, storage, {next(iter(people)): 7}).values()
    assert DeliveryMapping.objects.filter(storage=storage).exists()
    hit(message, delivery)
    assert apply() == 1
    found = Address.objects.get(address="eve@example.org")
    assert AddressStatus(found.status) is AddressStatus.DENYLISTED
    assert (refused(), apply()) == (set(), 0)
