import pytest

from envoi.kernel.errors import NotAllowed
from envoi.kernel.rights import Actor, Right, actor_named, actor_of, actor_with_id
from envoi.kernel.testing import make_group, make_operator


def test_administration_includes_every_right() -> None:
    boss = Actor(1, "boss", frozenset({Right.ADMINISTRATION}))
    assert all(boss.has(right) for right in Right)
    ann = Actor(2, "ann", frozenset({Right.WORKFLOW}))
    assert [right for right in Right if ann.has(right)] == [Right.WORKFLOW]


def test_a_refusal_names_who_what_and_the_right() -> None:
    with pytest.raises(NotAllowed, match=r"ann may not start a delivery: the right START DELIVERIES is"):
        Actor(2, "ann").require(Right.START_DELIVERIES, to="start a delivery")


def test_all_named_rights_of_the_product_are_known() -> None:
    product = (
        "ADMINISTRATION, APPROVAL ADMINISTRATION, CENTRAL, LOCAL, DELETE FOLDER, EDIT FOLDERS",
        "INSERT FOLDERS, EXPORT, IMPORT, RECIPIENT IMPORT, FILES ACCESS, MERGE, PREPARE DELIVERIES",
        "START DELIVERIES, PRIVACY DATA RIGHT, PROGRAM EXECUTION, SQL SCRIPT EXECUTION",
        "USE SQL DATA MANAGEMENT ACTIVITY, WORKFLOW, WEBAPP",
    )
    assert {right.value for right in Right} == set(", ".join(product).split(", "))


@pytest.mark.django_db
def test_rights_come_from_the_operator_and_from_its_groups_alone() -> None:
    make_group("others", rights=("EXPORT",))
    mine = make_group("mine", rights=("IMPORT", "MERGE"))
    ann = make_operator("ann", rights=("MERGE", "WORKFLOW"), groups=(mine,))
    actor = actor_of(ann)
    assert actor.rights == {Right.MERGE, Right.WORKFLOW, Right.IMPORT}
    assert actor.group_ids == {mine.group_id}
    assert (actor.label, actor.root_path) == ("Ann", "/")
    assert actor_with_id(ann.operator_id) == actor
    with pytest.raises(NotAllowed, match="no longer exists"):
        actor_with_id(-1)


@pytest.mark.django_db
def test_nobody_acts_in_the_name_of_one_who_is_not_there() -> None:
    with pytest.raises(NotAllowed, match="no active operator 'ghost'"):
        actor_named("ghost")
