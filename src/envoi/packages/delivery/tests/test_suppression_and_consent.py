from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.kernel import clock as product_clock
from envoi.kernel.errors import Invalid, NotAllowed
from envoi.kernel.rights import Right
from envoi.kernel.testing import admin_actor, make_actor
from envoi.packages.delivery.models import Channel, Consent, ConsentAction, Suppression
from envoi.packages.delivery.services import chosen, consents, suppression
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.django_db
GIVEN, WITHDRAWN = ConsentAction.GIVEN, ConsentAction.WITHDRAWN


def test_an_address_is_suppressed_whoever_has_it_and_only_its_digest_is_kept() -> None:
    done = suppression.add(
        ["Ann@Example.ORG", "@Spam.Example", "bad.example", "no address@", " "],
        actor=admin_actor(),
        reason="asked",
    )
    assert (done.added, done.present, [text for text, _ in done.refused]) == (3, 0, ["no address@"])
    assert suppression.add(["ann@example.org"], actor=admin_actor()).present == 1
    texts = {(each.hint, each.reason) for each in Suppression.objects.all()}
    assert texts == {("a…@example.org", "asked"), ("@spam.example", "asked"), ("@bad.example", "asked")}
    assert not Suppression.objects.filter(key__contains="ann").exists()
    asked = ["ann@example.org", "bob@example.org", "x@spam.example", "y@good.spam.example"]
    assert suppression.suppressed(asked) == {"ann@example.org", "x@spam.example"}
    assert len(suppression.find("Joe@bad.example", actor=admin_actor())) == 1


def test_a_population_is_checked_by_one_condition() -> None:
    ids = make_recipients(200)
    suppression.add(["gmail.com", "p7@hotmail.com"], actor=admin_actor())
    sql, params = suppression.condition("r.email", Channel.EMAIL)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE r.domain = 'gmail.com') FROM nms_recipient r"
            f" WHERE {sql}",
            params,
        )
        both, domain = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM nms_recipient WHERE domain = 'gmail.com'")
        assert cursor.fetchone()[0] == domain > 20
        cursor.execute("SELECT count(*) FROM nms_recipient WHERE email = 'p7@hotmail.com'")
        assert both == domain + cursor.fetchone()[0]
    assert len(ids) == 200


def test_a_phone_number_is_suppressed_in_any_spelling() -> None:
    suppression.add(["06 12 34 56 78"], actor=admin_actor(), channel=Channel.SMS)
    assert suppression.suppressed(["+33612345678"], channel=Channel.SMS) == {"+33612345678"}
    assert suppression.suppressed(["+33612345678"], channel=Channel.PHONE) == set()


def test_adding_takes_one_right_and_removing_another() -> None:
    sender = make_actor("sender", rights=[Right.PREPARE_DELIVERIES])
    with pytest.raises(NotAllowed):
        suppression.add(["a@example.org"], actor=make_actor("reader"))
    suppression.add(["a@example.org"], actor=sender)
    entry = Suppression.objects.get()
    with pytest.raises(NotAllowed):
        suppression.remove(entry.suppression_id, actor=sender)
    suppression.remove(entry.suppression_id, actor=admin_actor())
    assert suppression.suppressed(["a@example.org"]) == set()


def test_the_latest_declaration_holds_and_all_are_kept(clock: Any) -> None:
    actor = admin_actor()
    ann, bob = make_recipients(2)
    proof = consents.Proof("form", "I want the newsletter.", "192.0.2.7")
    done = consents.record(
        chosen.ids([ann, bob]), "marketing", Channel.EMAIL, GIVEN, actor=actor, proof=proof
    )
    assert done == 2
    clock.step(days=1)
    consents.record(
        chosen.ids([ann]), "marketing", Channel.EMAIL, WITHDRAWN, actor=actor, proof=consents.Proof("call")
    )
    clock.step(days=1)
    # A paper that was signed before that comes in later: what was said last still holds.
    late = product_clock.now() - timedelta(days=5)
    consents.record(chosen.ids([ann]), "marketing", Channel.EMAIL, GIVEN, actor=actor, proof=proof, at=late)
    with connection.cursor() as cursor:
        holding = consents.holding("marketing", Channel.EMAIL)
        cursor.execute(holding.sql, holding.params)
        assert cursor.fetchall() == [(bob,)]
    told = consents.of_recipient(ann)
    assert [each.action for each in told] == [WITHDRAWN, GIVEN, GIVEN]
    (held,) = consents.current(told)
    assert (held.action, held.source) == (WITHDRAWN, "call")
    assert Consent.objects.get(recipient_id=bob).source_address == "192.0.2.7"


def test_consent_needs_a_known_purpose_a_proof_and_a_past() -> None:
    actor, who = admin_actor(), chosen.ids(make_recipients(1))
    proof = consents.Proof("form", "Yes.")
    with pytest.raises(Invalid, match="purpose"):
        consents.record(who, "anything", Channel.EMAIL, GIVEN, actor=actor, proof=proof)
    with pytest.raises(Invalid, match="proof"):
        consents.record(who, "marketing", Channel.EMAIL, GIVEN, actor=actor, proof=consents.Proof("form"))
    at = product_clock.now() + timedelta(hours=1)
    with pytest.raises(Invalid, match="future"):
        consents.record(who, "marketing", Channel.EMAIL, GIVEN, actor=actor, proof=proof, at=at)
    assert not Consent.objects.exists()
