from typing import Any

import pytest

from envoi.kernel.rights import Actor
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import BroadLogRcp, Delivery, DeliveryRun, Recipient
from envoi.packages.delivery.services import analysis, content, deliveries
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.django_db
CLEAN = {"black_list": 0, "black_list_email": 0}
PLAIN = {
    "subject": "Hello {{ recipient.firstName }}",
    "html_source": "<p>Dear {{ recipient.firstName }} of {{ recipient.location.city }}</p>",
    "text_source": "Dear {{ recipient.firstName }}\n",
    "from_name": "Shop",
    "from_address": "news@shop.example",
}


def make(targeting: dict[str, Any] | None = None, **values: Any) -> Delivery:
    actor = admin_actor()
    made = deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, targeting=targeting or {"filter": "@id > 0"}
    )
    Delivery.objects.filter(pk=made.pk).update(**{**PLAIN, **values})
    made.refresh_from_db()
    return made


def analysed(delivery: Delivery, actor: Actor | None = None) -> DeliveryRun:
    who = actor or admin_actor()
    run = analysis.work(analysis.start(delivery, actor=who, queue=False).pk, actor=who)
    delivery.refresh_from_db()
    content.freeze(run, delivery, actor=who)
    return run


def people(count: int, **columns: Any) -> list[int]:
    made = list(make_recipients(count, **{**CLEAN, **columns}))
    for number, each in enumerate(made):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@example.org")
    return made


def rows(run: DeliveryRun) -> list[content.Row]:
    ids = BroadLogRcp.objects.filter(run_id=run.pk).values_list("broad_log_id", flat=True)
    return content.load(run).rows(run.storage, min(ids), max(ids))


def test_messages_are_made_of_their_readers() -> None:
    (one,) = people(1, email_format=0, first_name="Zoë", city="Århus")
    run = analysed(make())
    (row,) = rows(run)
    assert (row.target_id, row.address, row.flags) == (one, "a0@example.org", 0)
    made = content.load(run).render(row)
    assert made.subject == "Hello Zoë"
    assert made.html == "<p>Dear Zoë of Århus</p>"
    assert made.text == "Dear Zoë\n"
    assert (made.from_name, made.from_address) == ("Shop", "news@shop.example")
    assert made.to_name.startswith("Zoë ")
