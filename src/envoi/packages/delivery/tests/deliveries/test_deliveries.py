from datetime import datetime
from typing import Any

import pytest

from envoi.kernel import writing
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Folder
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryMapping,
    DeliveryMode,
    DeliveryState,
    JobLog,
)
from envoi.packages.delivery.services import deliveries, log_tables
from envoi.packages.delivery.services.deliveries import states

pytestmark = pytest.mark.django_db


def mail() -> Delivery:
    return deliveries.find("mail", actor=admin_actor())


def make(**more: Any) -> Delivery:
    return deliveries.create(mail(), actor=admin_actor(), **more)


def test_each_channel_has_a_template_that_stays() -> None:
    shipped = Delivery.objects.filter(is_model=True, built_in=True)
    assert set(shipped.values_list("internal_name", "message_type", "delivery_mode")) == {
        ("mail", Channel.EMAIL, DeliveryMode.BULK),
        ("sms", Channel.SMS, DeliveryMode.BULK),
        ("phone", Channel.PHONE, DeliveryMode.EXTERNAL),
        ("paper", Channel.DIRECT_MAIL, DeliveryMode.EXTERNAL),
        ("fax", Channel.FAX, DeliveryMode.EXTERNAL),
    }
    with pytest.raises(Conflict, match="belongs to the product"):
        deliveries.delete(mail(), actor=admin_actor())
    shipped.filter(internal_name="sms").update(label="Ours")
    deliveries.plant()
    assert deliveries.find("sms", actor=admin_actor()).label == "Ours"
    assert Delivery.objects.filter(is_model=True).count() == 5


def test_every_shipped_mapping_has_its_log_tables() -> None:
    for mapping in DeliveryMapping.objects.filter(built_in=True):
        assert log_tables.partition("broad_log", mapping.storage, 1)
        assert log_tables.partition("excl_log", mapping.storage, 1)


def test_a_delivery_is_a_copy_of_its_template_and_goes_where_that_says() -> None:
    actor = admin_actor()
    place = make_folder("spring", "deliveries", model="nms:delivery")
    template = deliveries.create(
        mail(), actor=actor, label="Newsletter", name="newsletter", as_template=True, batch_quantity=50,
        targeting={"filter": "@id > 0"}, code="NL",
    )  # fmt: skip
    assert (template.is_model, template.built_in, template.folder.name) == (True, False, "deliveryTemplates")
    Delivery.objects.filter(pk=template.pk).update(folder_process=place, to_deliver=9)
    template.refresh_from_db()
    made = deliveries.create(template, actor=actor)
    assert made.internal_name == f"DM{made.pk}"
    assert (made.folder, made.label, made.code, made.is_model) == (place, "Newsletter", "NL", False)
    assert made.targeting == {"filter": "@id > 0"}
    assert (made.batch_quantity, made.to_deliver, made.status) == (0, 0, DeliveryState.EDITING)
    assert [deliveries.text(line) for line in JobLog.objects.filter(delivery=made)] == [
        "Made from the template Newsletter."
    ]
    assert AuditEntry.objects.filter(entity="nms:delivery", entity_id=made.pk, action="Created").exists()
    again = deliveries.create(made, actor=actor, label="Summer")
    assert (again.targeting, again.label) == (made.targeting, "Summer")
    with pytest.raises(Conflict):
        deliveries.create(made, actor=actor, name="newsletter")


def test_wrong_properties_are_refused() -> None:
    for wrong in (
        {"label": "x" * 129}, {"priority": 9}, {"validation_mode": 7}, {"batch_quantity": -1},
        {"contact_date": datetime(2026, 1, 1)}, {"state": 95}, {"name": "a b"},  # noqa: DTZ001 that is the case
    ):  # fmt: skip
        with pytest.raises(Invalid):
            make(**wrong)
    with pytest.raises(Invalid):
        deliveries.change(make(), {"label": " "}, actor=admin_actor())


def test_rights_on_folders_and_named_rights_are_asked_for() -> None:
    closed = make_folder("closed", "deliveries", model="nms:delivery")
    allow(closed, make_operator("keeper"))
    hidden = make(folder=closed, name="hidden")
    ann = actor_of(make_operator("ann", rights=(Right.PREPARE_DELIVERIES,)))
    with pytest.raises(NotFound):
        deliveries.find("hidden", actor=ann)
    with pytest.raises(NotFound):
        deliveries.create(mail(), actor=ann, folder=closed)
    with pytest.raises(NotFound):
        deliveries.change(hidden, {"label": "Mine"}, actor=ann)
    with pytest.raises(NotAllowed):
        deliveries.create(mail(), actor=actor_of(make_operator("bob")))
    mine = deliveries.create(mail(), actor=ann)
    assert mine.created_by_id == ann.operator_id
    with pytest.raises(NotAllowed, match="START DELIVERIES"):
        deliveries.confirm(mine, actor=ann)
    deliveries.delete(mine, actor=ann)
    with pytest.raises(NotFound):
        deliveries.find(mine.internal_name, actor=ann)


def test_only_moves_of_the_table_are_possible_and_one_of_two_is_refused() -> None:
    delivery = make()
    with pytest.raises(Conflict, match="cannot become"):
        deliveries.move(delivery, DeliveryState.IN_PROGRESS)
    other = Delivery.objects.get(pk=delivery.pk)
    deliveries.move(delivery, DeliveryState.TARGET_PENDING)
    with pytest.raises(Conflict, match="another state"):
        deliveries.move(other, DeliveryState.TARGET_PENDING)
    assert set(states.MOVES) == set(DeliveryState)
    reached, found = {DeliveryState.EDITING}, {DeliveryState.EDITING}
    while found:
        found = {after for before in found for after in states.MOVES[before]} - reached
        reached |= found
    assert reached == set(DeliveryState) - {DeliveryState.DELETED}


def test_a_delivery_is_changed_and_deleted_as_any_row() -> None:
    actor, delivery = admin_actor(), make()
    writing.write("nms:delivery", {"label": "June", "batchQuantity": 20}, actor=actor, key=delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.label, delivery.batch_quantity) == ("June", 20)
    with pytest.raises(NotAllowed):
        writing.write("nms:delivery", {"state": 95}, actor=actor, key=delivery.pk)
    writing.remove("nms:delivery", delivery.pk, actor=actor)
    delivery.refresh_from_db()
    assert delivery.delete_status == 1
    assert Folder.objects.filter(name="deliveries").exists()
