"""Proofs on the wire: who gets them, and whose data fill them (delivery.md §2.11)."""

from typing import Any

from envoi.kernel import clock
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import Delivery, DeliveryState, Recipient, SeedMember
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.tests.mta.stage import CONTENT, Sink, people, send


def test_proofs_reach_other_addresses_and_seeds_with_the_data_of_profiles(
    committed_db: Any, sink: Sink
) -> None:
    people(3)
    Recipient.objects.update(first_name="Camille")
    actor, now = admin_actor(), clock.now()
    spring = deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, label="Spring",
        targeting={"filter": "@id > 0"}, **CONTENT,
    )  # fmt: skip
    SeedMember.objects.create(
        folder=spring.folder, label="Seed", email="seed@one.example", delivery_id=spring.pk, created_at=now,
        modified_at=now,
    )  # fmt: skip
    analysis.work(analysis.start(spring, actor=actor, queue=False).pk)

    def prove(mode: Any, **more: Any) -> Delivery:
        proof = deliveries.prove(spring, mode, actor=actor, **more)
        analysis.work(proof.run_id or 0)
        return proof

    prove("substitution", addresses=["boss@one.example", "ann@one.example"])
    prove("seeds")
    proofs = Delivery.objects.filter(parent=spring)
    send(sink, lambda: proofs.filter(state=DeliveryState.FINISHED).count() == 2)
    assert sink.count() == {"boss@one.example": 1, "ann@one.example": 1, "seed@one.example": 1}
    subjects = {each.recipient: each.mail["subject"] for each in sink.got}
    assert subjects == {
        "boss@one.example": "Proof #1 – Hello Camille",
        "ann@one.example": "Proof #1 – Hello Camille",
        "seed@one.example": "Proof #2 – Hello Camille",
    }
    assert {each.mail["to"].addresses[0].addr_spec for each in sink.got} == set(subjects)
    spring.refresh_from_db()
    assert (spring.status, spring.processed) == (DeliveryState.READY, 0)
