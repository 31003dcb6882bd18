import pytest

from envoi.kernel import extensions, registry
from envoi.kernel.extensions import Additions, NewField, NewLink
from envoi.kernel.testing import admin_actor

pytestmark = pytest.mark.django_db


def test_seed_addresses_get_and_lose_the_fields_of_recipients() -> None:
    actor = admin_actor()
    added = extensions.add(
        Additions(
            members=(
                ("nms:recipient", NewField("shoeSize", length=3)),
                ("nms:recipient", NewLink("favourite", "nms:service", reverse="fans")),
                ("nms:visitor", NewField("shoeSize")),
            )
        ),
        actor=actor,
    )
    assert [(each.schema, each.name) for each in added.fields] == [
        ("nms:recipient", "shoeSize"), ("nms:recipient", "favourite"), ("nms:visitor", "shoeSize"),
        ("nms:seedMember", "shoeSize"), ("nms:seedMember", "favourite"),
    ]  # fmt: skip
    seeds = registry.fresh()["nms:seedMember"]
    assert seeds.attributes["shoeSize"].length == 3
    assert seeds.links["favourite"].target == "nms:service"
    assert registry.fresh()["nms:service"].links["fans"].target == "nms:recipient"
    extensions.change_field("nms:recipient", "shoeSize", actor=actor, length=9)
    assert registry.fresh()["nms:seedMember"].attributes["shoeSize"].length == 9
    extensions.remove_field("nms:recipient", "shoeSize", actor=actor)
    assert "shoeSize" not in registry.fresh()["nms:seedMember"].attributes
    # What only seeds have is their own.
    extensions.add_field("nms:seedMember", NewField("note"), actor=actor)
    extensions.add_field("nms:recipient", NewField("note"), actor=actor)
    assert "note" in registry.fresh()["nms:recipient"].attributes
