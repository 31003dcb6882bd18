"""Coupons: a value for each message, never twice, none burnt by seeds, proofs and vain analyses."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.kernel import clock as product_clock
from envoi.kernel.errors import Conflict, Invalid, NotAllowed
from envoi.kernel.models import Folder
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, make_operator
from envoi.packages.delivery.models import (
    Coupon,
    CouponType,
    CouponValue,
    Delivery,
    DeliveryPart,
    DeliveryRun,
    JobLevel,
    JobLog,
    SeedMember,
)
from envoi.packages.delivery.services import analysis, content, coupons, deliveries
from envoi.packages.delivery.services.content import preview
from envoi.packages.delivery.testing import make_delivery, make_recipients

pytestmark = pytest.mark.django_db
TEXT = "Your code: {{ coupon.value }}"


def coupon(type: CouponType = CouponType.INDIVIDUAL, **said: Any) -> Coupon:
    folder = Folder.objects.get(name="deliveries")
    return coupons.create("spring", actor=admin_actor(), folder=folder, type=type, **said)


def people(count: int) -> None:
    make_recipients(count, black_list=0, black_list_email=0, email_format=0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE nms_recipient SET email = 'p' || recipient_id || '@example.org'")


def showing(found: Coupon, **values: Any) -> Delivery:
    return make_delivery(text_source=TEXT, content={"coupon": found.pk}, **values)


def analysed(delivery: Delivery) -> DeliveryRun:
    run = analysis.work(analysis.start(delivery, actor=admin_actor(), queue=False).pk, actor=admin_actor())
    delivery.refresh_from_db()
    return run


def errors(run: DeliveryRun) -> list[str]:
    return [deliveries.text(each) for each in JobLog.objects.filter(run=run, level=JobLevel.ERROR)]


def texts(run: DeliveryRun) -> dict[int, str]:
    loaded = content.load(run)
    parts = DeliveryPart.objects.filter(run=run).order_by("first_id")
    rows = [row for each in parts for row in loaded.rows(run.storage, each.first_id, each.last_id)]
    return {row.id: loaded.render(row).text.removeprefix("Your code: ") for row in rows}


def test_each_message_has_a_value_of_its_own() -> None:
    people(5)
    found = coupon()
    assert coupons.add(found, ["A1", " A2 ", "A2", "", "A3", "A4", "A5", "A6"], actor=admin_actor()) == (6, 1)
    assert coupons.add(found, ["A6"], actor=admin_actor()) == (0, 1)
    delivery = showing(found)
    run = analysed(delivery)
    assert errors(run) == []
    made = texts(run)
    kept = CouponValue.objects.filter(coupon_id=found.pk, run_id=run.pk)
    assert made == dict(kept.values_list("broad_log_id", "value"))
    assert len(set(made.values())) == 5
    assert coupons.counts(found) == coupons.Counts(6, 1)
    # Another delivery takes what is left, and there is too little of it.
    other = showing(found)
    (said,) = errors(analysed(other))
    assert "has 1 free values for 5 messages: add 4 more" in said
    assert coupons.counts(found).free == 1
    # An analysis anew begins with the same values; what was sent keeps them.
    again = analysed(delivery)
    assert sorted(texts(again).values()) == sorted(made.values())
    deliveries.confirm(delivery, actor=admin_actor())
    coupons.release(again)
    assert coupons.counts(found) == coupons.Counts(6, 1)


def test_seeds_proofs_and_previews_burn_no_value() -> None:
    people(1)
    found = coupon()
    coupons.add(found, ["REAL"], actor=admin_actor())
    seed = SeedMember.objects.create(
        email="seed@example.org", label="Seed", folder=Folder.objects.get(name="seedAddresses"),
        created_at=product_clock.now(), modified_at=product_clock.now(),
    )  # fmt: skip
    delivery = showing(found, targeting={"filter": "@id > 0", "seeds": {"ids": [seed.pk]}})
    assert coupons.SAMPLE in preview.preview(delivery, actor=admin_actor()).parts["text"]
    proof = deliveries.prove(delivery, "target", actor=admin_actor(), target={"filter": "@id > 0"})
    assert set(texts(analysis.work(proof.run_id or 0, actor=admin_actor())).values()) == {coupons.SAMPLE}
    assert coupons.counts(found).free == 1
    assert sorted(texts(analysed(delivery)).values()) == ["REAL", coupons.SAMPLE]


def test_a_value_for_everybody_has_its_time(clock: Any) -> None:
    people(2)
    found = coupon(CouponType.ANONYMOUS, value="MAY", end=product_clock.now() + timedelta(days=1))
    delivery = showing(found)
    assert set(texts(analysed(delivery)).values()) == {"MAY"}
    clock.step(days=2)
    (said,) = errors(analysed(delivery))
    assert "has ended" in said
    with pytest.raises(Conflict):
        coupons.delete(found, actor=admin_actor())
    Delivery.objects.filter(pk=delivery.pk).update(delete_status=1)
    assert coupons.purge(actor=admin_actor(), ended_before=product_clock.now()) == 1


def test_what_is_no_coupon_is_refused() -> None:
    people(1)
    (said,) = errors(analysed(make_delivery(text_source=TEXT)))
    assert "none is chosen" in said
    found = coupon()
    for wrong in ({"name": "a b"}, {"name": "x", "type": CouponType.ANONYMOUS}):
        with pytest.raises(Invalid):
            coupons.create(**{"actor": admin_actor(), "folder": found.folder, **wrong})  # type: ignore[arg-type]
    with pytest.raises(Invalid):
        coupons.add(found, ["x" * 129], actor=admin_actor())
    with pytest.raises(NotAllowed):
        coupons.add(found, ["x"], actor=actor_of(make_operator("olga")))
    assert coupons.generate(found, 50, actor=admin_actor(), prefix="S-") == 50
    assert coupons.counts(found) == coupons.Counts(50, 50)
    coupons.delete(found, actor=admin_actor())
    assert not CouponValue.objects.exists()
