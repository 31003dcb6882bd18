"""The tabs Sending, Approval and Proofs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from envoi.kernel import clock as product_clock
from envoi.kernel.models import Folder
from envoi.kernel.rights import Right
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import Delivery, DeliveryState, SeedMember
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def client_of(name: str, *rights: Right) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights, email=f"{name}@example.org"), BACKEND)
    return client


@pytest.fixture
def spring() -> Delivery:
    actor = admin_actor()
    make_recipients(40, black_list=0, black_list_email=0)
    return deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, label="Spring", subject="Spring", from_name="Shop",
        from_address="shop@example.org", html_source="<p>Hello</p>", text_source="Hello",
        targeting={"filter": "@id > 0"},
    )  # fmt: skip


def text(client: Client, address: str, code: int = 200, **given: Any) -> str:
    answer = client.post(address, given, follow=True) if given else client.get(address)
    assert answer.status_code == code
    return re.sub(r"\s+", " ", answer.content.decode())


def test_how_it_is_sent_is_set_and_the_waves_are_shown(spring: Delivery) -> None:
    mary = client_of("mary", Right.ADMINISTRATION)
    page = f"/deliveries/{spring.pk}/sending"
    form = {
        "do": "sending", "priority": "5", "validation_mode": "1", "batch_quantity": "10", "waves": "equal",
        "size": "30%", "every": "2d", "validity_way": "duration", "validity_duration": "10d", "count": "0",
        "period": "30m", "doubt": "hold", "missed": "ask", "grace": "2h", "personalisation": "0",
        "contact_date": "2027-03-01T09:00",
    }  # fmt: skip
    shown = text(mary, page, **form)
    assert "The settings are kept." in shown
    spring.refresh_from_db()
    assert spring.sending == {
        "waves": {"size": "30%", "every": "2d"}, "retry": {"count": 0, "period": "30m"},
        "validity": {"duration": "10d"}, "doubt": "hold", "missed": {"policy": "ask", "grace": "2h"},
        "personalisation": 0.0,
    }  # fmt: skip
    assert (spring.priority, spring.validation_mode, spring.batch_quantity) == (5, 1, 10)
    assert "for a target of 10,000" in shown
    assert re.findall(r'<td class="num">([\d,]+)</td>', shown) == ["3,000", "3,000", "3,000", "1,000"]
    # A wrong value changes nothing, and what was typed stays in the form.
    wrong = text(mary, page, 400, **{**form, "every": "soon"})
    assert "waves/every" in wrong
    assert 'value="soon"' in wrong
    late = text(mary, page, **{**form, "validity_duration": "2d"})
    assert "The last wave would start" in late
    rows = {f"size{row}": size for row, size in enumerate(("25%", "25%", "10"))}
    text(mary, page, **{**form, "waves": "calendar", "after1": "6h", "after2": "6h", **rows})
    spring.refresh_from_db()
    assert spring.sending["waves"] == {
        "lines": [{"size": "25%"}, {"after": "6h", "size": "25%"}, {"after": "6h", "size": "10"}]
    }
    assert "The analysis starts" in text(
        mary, page, do="schedule", analyse_at="2027-02-01T08:00", execution="1"
    )
    spring.refresh_from_db()
    assert spring.status is DeliveryState.TARGET_PENDING
    text(mary, page, do="reset")
    spring.refresh_from_db()
    assert spring.status is DeliveryState.EDITING
    reader = client_of("bob")
    assert "<form class" not in text(reader, page)
    assert text(reader, page, 400, **form)


def test_a_reviewer_decides_on_the_page_and_the_delivery_starts(spring: Delivery) -> None:
    mary, ann = client_of("mary", Right.ADMINISTRATION), client_of("ann")
    page = f"/deliveries/{spring.pk}/approval"
    shown = text(
        mary, page,
        **{"do": "settings", "target-on": "1", "target-operators": ["ann"], "target-submission": "automatic",
           "target-reminders": "1d 2d"},
    )  # fmt: skip
    assert "The settings are kept." in shown
    spring.refresh_from_db()
    assert spring.approvals == {
        "target": {"operators": ["ann"], "submission": "automatic", "reminders": ["1d", "2d"]}
    }
    deliveries.change(spring, {"validation_mode": 2}, actor=admin_actor())
    analysis.work(analysis.start(spring, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    asked = text(ann, page)
    assert "1 decision waits for you" in asked
    waiting = text(ann, "/deliveries/approvals")
    assert "Spring" in waiting
    assert page in waiting
    (number,) = re.findall(r'name="approval" value="(\d+)"', asked)
    assert "Say why" in text(ann, page, 400, do="reject", approval=number)
    assert "the delivery has started" in text(ann, page, do="approve", approval=number)
    spring.refresh_from_db()
    assert spring.status is DeliveryState.START_PENDING
    assert "No decision waits for you" in text(ann, "/deliveries/approvals")


def test_a_proof_is_sent_in_a_few_clicks(spring: Delivery) -> None:
    mary = client_of("mary", Right.ADMINISTRATION)
    page = f"/deliveries/{spring.pk}/proofs"
    assert "mary@example.org" in text(mary, page)  # one's own address is proposed
    shown = text(mary, page, mode="substitution", addresses="boss@example.org")
    assert "Proof #1 – Spring is on its way." in shown
    assert "Say which addresses" in text(mary, page, 400, mode="substitution", addresses=" ")
    assert "no seed addresses" in text(mary, page, 400, mode="seeds")
    now = product_clock.now() - timedelta(days=1)
    kept = SeedMember.objects.create(
        folder=Folder.objects.get(name="seedAddresses"), label="Kept", email="kept@seed.example", city="Lyon",
        created_at=now, modified_at=now,
    )  # fmt: skip
    assert "gets this delivery too" in text(mary, page, do="seed", email="Ann@Seed.Example", firstName="Ann")
    assert "1 seed address is added" in text(mary, page, do="copy", template=str(kept.pk))
    mine, copied = SeedMember.objects.filter(delivery_id=spring.pk).order_by("pk")
    assert (mine.email, mine.first_name) == ("ann@seed.example", "Ann")
    assert (copied.email, copied.city) == ("kept@seed.example", "Lyon")
    text(mary, page, do="remove", seed=str(copied.pk))
    assert "1 seed address" in text(mary, page)
    assert "Check – Spring is on its way." in text(mary, page, mode="seeds", label="Check")
    assert Delivery.objects.filter(parent=spring, fcp=True).count() == 2
