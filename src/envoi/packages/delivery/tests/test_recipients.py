import pytest

from envoi.kernel import folders, query, writing
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Folder
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.hookspecs import recipient_merged
from envoi.packages.delivery.models import (
    Channel,
    Consent,
    ConsentAction,
    Country,
    DeliveryMapping,
    Recipient,
    SubHisto,
    Subscription,
    Visitor,
)
from envoi.packages.delivery.services import (
    chosen,
    consents,
    lists,
    mappings,
    recipients,
    shipping,
    subscriptions,
)
from envoi.packages.delivery.testing import make_recipients, make_service

pytestmark = pytest.mark.django_db


def test_two_profiles_become_one_with_all_that_both_had() -> None:
    actor = admin_actor()
    (kept,) = make_recipients(1, email="ann@example.org", city="", phone="", first_name="Ann", black_list=0)
    (gone,) = make_recipients(1, email="a@example.org", city="Lyon", first_name="A", black_list=1, start=50)
    daily, weekly = make_service("daily"), make_service("weekly", validity_length=5, validity_unit="d")
    subscriptions.subscribe(daily, chosen.ids([gone]), actor=actor)
    subscriptions.subscribe(weekly, chosen.ids([kept, gone]), actor=actor)
    Subscription.objects.filter(recipient_id=gone, service=weekly).update(expiration_date=None)
    group = lists.create("L", actor=actor, folder=Folder.objects.get(name="lists"))
    lists.add(group, chosen.ids([kept, gone]), actor=actor)
    consents.record(
        chosen.ids([gone]), "marketing", Channel.EMAIL, ConsentAction.GIVEN, actor=actor,
        proof=consents.Proof("form", "Yes."),
    )  # fmt: skip
    told: list[tuple[int, int]] = []
    with recipient_merged.temporarily(lambda one, other: told.append((one, other))):
        merged = recipients.merge(kept, gone, actor=actor)
    assert told == [(kept, gone)]
    assert (merged.email, merged.first_name, merged.city, merged.black_list) == (
        "ann@example.org",
        "Ann",
        "Lyon",
        1,
    )
    assert not Recipient.objects.filter(pk=gone).exists()
    ends = dict(
        Subscription.objects.filter(recipient_id=kept).values_list("service__name", "expiration_date")
    )
    assert ends == {"daily": None, "weekly": None}
    assert lists.count(group, actor=actor) == 1
    assert Consent.objects.get().recipient_id == kept
    assert set(SubHisto.objects.values_list("recipient_id", flat=True)) == {kept}
    assert AuditEntry.objects.get(action="Merged").detail["gone"] == gone


def test_merging_takes_its_right_and_both_folders() -> None:
    operator = make_operator("ann", rights=[Right.MERGE])
    mine = make_folder("mine", "profilesAndTargets", model="nms:recipient")
    allow(mine, operator, write=True)
    closed = make_folder("closed", "profilesAndTargets", model="nms:recipient")
    allow(closed, make_operator("other"))
    ann = actor_of(operator)
    one, other = make_recipients(2, folder=mine)
    (hidden,) = make_recipients(1, folder=closed)
    with pytest.raises(NotAllowed):
        recipients.merge(one, other, actor=ann)  # nothing may be deleted in this folder
    with pytest.raises(NotFound):
        recipients.merge(one, hidden, actor=ann)
    allow_delete = ann
    with pytest.raises(Invalid):
        recipients.merge(one, one, actor=allow_delete)
    with pytest.raises(NotAllowed):
        recipients.merge(one, other, actor=actor_of(make_operator("bob")))
    assert Recipient.objects.count() == 3


def test_deleting_a_profile_frees_the_visitor_that_it_was() -> None:
    (one,) = make_recipients(1)
    recipient = Recipient.objects.get(pk=one)
    visitor = Visitor.objects.create(
        recipient_id=one, folder=Folder.objects.get(name="visitors"),
        created_at=recipient.created_at, modified_at=recipient.created_at,
    )  # fmt: skip
    writing.remove("nms:recipient", one, actor=admin_actor())
    visitor.refresh_from_db()
    assert visitor.recipient_id == 0


def test_a_folder_with_profiles_is_not_deleted() -> None:
    folder = make_folder("mine", "profilesAndTargets", model="nms:recipient")
    make_recipients(3, folder=folder)
    with pytest.raises(Conflict, match="3 recipients"):
        folders.delete(folder, actor=admin_actor())


def test_what_is_worked_out_of_a_profile() -> None:
    (one,) = make_recipients(
        1, salutation="Ms", first_name="Ann", last_name="Lee", address1="1 Main St", zip_code="69001",
        city="Lyon", country_code="FR", email="ann@example.org",
    )  # fmt: skip
    (other,) = make_recipients(1, first_name="", last_name="Lee", zip_code="", city="Lyon")
    lines = tuple(Field(f"[postalAddress/@line{n}]") for n in range(1, 7))
    asked = QueryDef(
        "nms:recipient",
        select=(
            *lines, Field("[postalAddress/@addrDefined]"), Field("@fullName"), Field("@domain"),
            Field("[country/@label]"), Field("[folder/@name]"),
        ),
        where=(Condition(f"@id = {one}"),),
    )  # fmt: skip
    (row,) = query.run(asked, actor=admin_actor()).rows
    assert row == (
        "Ms Ann Lee", "1 Main St", "", "", "", "69001 Lyon", True, "Ann Lee", "example.org", "France",
        "recipients",
    )  # fmt: skip
    whole = QueryDef(
        "nms:recipient", select=(Field("@id"),), where=(Condition("[postalAddress/@addrDefined]"),)
    )
    found = {key for (key,) in query.run(whole, actor=admin_actor()).rows}
    assert one in found
    assert other not in found


def test_countries_and_mappings_are_shipped_once_and_an_operators_change_stays() -> None:
    assert Country.objects.count() == 250
    assert Country.objects.get(pk="SE").labels["fr"] == "Suède"
    names = set(DeliveryMapping.objects.values_list("name", flat=True))
    assert names >= {
        "mapRecipient",
        "mapVisitor",
        "mapSubscribe",
        "mapOperator",
        "mapService",
        "mapExternalFile",
    }
    logs = list(DeliveryMapping.objects.values_list("broad_log_schema", flat=True))
    assert len(set(logs)) == len(logs)  # one log schema serves one dimension
    Country.objects.filter(pk="SE").update(label="Sverige")
    DeliveryMapping.objects.filter(name="mapVisitor").update(label="Guests")
    assert shipping.plant() == []
    assert Country.objects.get(pk="SE").label == "Sverige"
    assert mappings.find("mapVisitor").label == "Guests"
