"""Templates of a service confirm that somebody came or left: one delivery, a run for all who wait."""

from typing import Any

from envoi.kernel import outbox
from envoi.kernel.models import OutboxItem
from envoi.kernel.models.outbox import OutboxState
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import (
    Confirmation,
    Delivery,
    DeliveryPart,
    DeliveryState,
    JobLog,
    Kind,
    Recipient,
    SubHisto,
)
from envoi.packages.delivery.services import (
    analysis,
    chosen,
    confirmations,
    content,
    deliveries,
    subscriptions,
)
from envoi.packages.delivery.services.deliveries import starting
from envoi.packages.delivery.testing import make_recipients, make_service

CONTENT = {
    "subject": "Welcome to {{ variables.serviceLabel }}",
    "text_source": "Dear {{ recipient.firstName }}, welcome. {{ message.unsubscribeUrl }}",
    "from_address": "news@shop.example",
}


def template(name: str, mapping: str = "mapSubscribe") -> Delivery:
    actor = admin_actor()
    return deliveries.create(
        deliveries.find("mail", actor=actor),
        actor=actor,
        label=name,
        as_template=True,
        mapping=mapping,
        **CONTENT,
    )


def people() -> list[int]:
    made = list(make_recipients(3, black_list=0, black_list_email=0))
    for number in made:
        Recipient.objects.filter(pk=number).update(email=f"a{number}@example.org", first_name=f"N{number}")
    return made


def read(delivery: Delivery) -> list[str]:
    """Do what a worker does, and return whom the latest run writes to."""
    run = analysis.work(delivery.run_id or 0, actor=admin_actor())
    assert [deliveries.text(each) for each in JobLog.objects.filter(run=run, level=2)] == []
    loaded = content.load(run)
    parts = DeliveryPart.objects.filter(run=run)
    rows = [row for each in parts for row in loaded.rows(run.storage, each.first_id, each.last_id)]
    return sorted(f"{row.address}: {loaded.render(row).subject}" for row in rows)


def test_each_who_comes_or_leaves_is_told_once(committed_db: Any, clock: Any) -> None:
    actor = admin_actor()
    came, left = template("Welcome"), template("Goodbye")
    service = make_service(
        "news", subscription_template_id=came.pk, unsubscription_template_id=left.pk, label="News"
    )
    make_service("other")
    ann, bob, eve = people()
    subscriptions.subscribe(service, chosen.ids([ann]), actor=actor)
    subscriptions.subscribe(service, chosen.ids([bob]), actor=actor)
    assert outbox.deliver().done == 2
    assert set(SubHisto.objects.values_list("confirmation", flat=True)) == {Confirmation.SENT}
    (made,) = Delivery.objects.filter(parent=came)
    assert (Kind(made.kind), made.status) == (Kind.CONTINUOUS, DeliveryState.TARGET_PENDING)
    # Who comes while it is analysed waits for the next run.
    subscriptions.subscribe(service, chosen.ids([eve]), actor=actor)
    assert outbox.deliver().retried == 1
    assert read(made) == [f"a{each}@example.org: Welcome to News" for each in sorted((ann, bob))]
    made.refresh_from_db()
    assert made.status in (DeliveryState.START_PENDING, DeliveryState.READY)
    if made.status is DeliveryState.READY:
        starting.start(made, actor=actor)
    clock.step(minutes=2)
    assert outbox.deliver().done == 1
    made.refresh_from_db()
    assert read(made) == [f"a{eve}@example.org: Welcome to News"]
    subscriptions.unsubscribe(service, chosen.ids([bob]), actor=actor)
    assert outbox.deliver().done == 1
    (goodbye,) = Delivery.objects.filter(parent=left)
    assert goodbye.mapping.name == "mapRecipient"
    assert read(goodbye) == [f"a{bob}@example.org: Welcome to News"]


def test_a_template_that_is_gone_fails_visibly(committed_db: Any, clock: Any) -> None:
    service = make_service("news", subscription_template_id=999)
    subscriptions.subscribe(service, chosen.ids(people()[:1]), actor=admin_actor())
    assert outbox.deliver().failed == 1
    item = OutboxItem.objects.get(kind=confirmations.KIND)
    assert OutboxState(item.state) is OutboxState.FAILED
    assert "not there any more" in item.error
