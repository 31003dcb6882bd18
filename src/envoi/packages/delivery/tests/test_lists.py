from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from envoi.engine.worktable import Column
from envoi.kernel import clock as product_clock
from envoi.kernel import writing
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import Group, RcpGrpRel, Recipient
from envoi.packages.delivery.services import chosen, lists
from envoi.packages.delivery.testing import make_recipients

pytestmark = pytest.mark.django_db


def lists_folder() -> Folder:
    return Folder.objects.get(name="lists")


def members(group: Group) -> set[int]:
    return set(RcpGrpRel.objects.filter(group=group).values_list("recipient_id", flat=True))


def tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'grp%%'")
        return {name for (name,) in cursor.fetchall()}


def test_a_group_is_filled_emptied_and_deleted_without_its_members() -> None:
    actor = admin_actor()
    group = lists.create("Spring", actor=actor, folder=lists_folder())
    assert group.name == f"LST{group.group_id}"
    ann, bob, eve = make_recipients(3)
    assert lists.add(group, chosen.ids([ann, bob]), actor=actor) == lists.Filled(2, 0, 2)
    assert lists.add(group, chosen.ids([bob, eve]), actor=actor) == lists.Filled(1, 0, 3)
    assert lists.take_out(group, chosen.ids([ann, 999]), actor=actor) == lists.Filled(0, 1, 2)
    assert lists.add(group, chosen.ids([ann]), actor=actor, purge=True) == lists.Filled(1, 2, 1)
    assert members(group) == {ann}
    assert lists.count(group, actor=actor) == 1
    lists.delete(group, actor=actor)
    assert not RcpGrpRel.objects.exists()
    assert Recipient.objects.filter(pk__in=[ann, bob, eve]).count() == 3
    with pytest.raises(NotFound):
        lists.find(group.name, actor=actor)


def test_a_list_of_its_own_table_holds_any_dimension_and_further_columns() -> None:
    actor = admin_actor()
    group = lists.create(
        "Weights",
        actor=actor,
        folder=lists_folder(),
        name="weights",
        own_table=True,
        schema="xtk:operator",
        columns=[Column("weight", "integer"), Column("note", "text")],
    )
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE wkf1_1 (id bigint PRIMARY KEY, w integer, n text)")
        cursor.execute("INSERT INTO wkf1_1 VALUES (1, 10, 'a'), (2, 20, 'b')")
    taken = {"weight": "w", "note": "n"}
    assert lists.fill(group, "wkf1_1", taken, actor=actor) == lists.Filled(2, 0, 2)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM wkf1_1 WHERE id = 1")
        cursor.execute("INSERT INTO wkf1_1 VALUES (3, 30, 'c')")
        cursor.execute("UPDATE wkf1_1 SET w = 21 WHERE id = 2")
    assert lists.fill(group, "wkf1_1", taken, actor=actor, purge=True) == lists.Filled(1, 1, 2)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id, weight, note FROM {group.table} ORDER BY id")
        assert cursor.fetchall() == [(2, 21, "b"), (3, 30, "c")]
    assert group.table in tables()
    writing.remove("nms:group", group.group_id, actor=actor)
    assert group.table not in tables()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"label": " "}, "label"),
        ({"name": "1 a"}, "internal name"),
        ({"schema": "xtk:operator"}, "without a table of its own"),
        ({"own_table": True, "schema": "xtk:nothing"}, "no schema"),
        ({"own_table": True, "columns": [Column("id", "bigint")]}, "column 'id'"),
        ({"own_table": True, "columns": [Column('a" text); DROP TABLE nms_group; --', "text")]}, "column"),
        ({"own_table": True, "columns": [Column("a", "text"), Column("a", "text")]}, "same name"),
    ],
)
def test_a_wrong_list_is_refused_and_leaves_nothing(more: dict[str, Any], said: str) -> None:
    before = tables()
    given = {"label": "x", **more}
    with pytest.raises((Invalid, NotFound), match=said):
        lists.create(given.pop("label"), actor=admin_actor(), folder=lists_folder(), **given)
    assert not Group.objects.exists()
    assert tables() == before


def test_a_name_is_given_once() -> None:
    lists.create("One", actor=admin_actor(), folder=lists_folder(), name="one")
    with pytest.raises(Conflict):
        lists.create("Two", actor=admin_actor(), folder=lists_folder(), name="one")


def test_a_list_whose_time_is_over_goes_with_its_table_and_leaves_the_profiles(clock: Any) -> None:
    actor = admin_actor()
    soon = product_clock.now() + timedelta(days=1)
    own = lists.create("Own", actor=actor, folder=lists_folder(), own_table=True, expiration=soon)
    plain = lists.create("Plain", actor=actor, folder=lists_folder(), expiration=soon)
    kept = lists.create("Kept", actor=actor, folder=lists_folder())
    marked = lists.create("Marked", actor=actor, folder=lists_folder())
    Group.objects.filter(pk=marked.pk).update(delete_status=1)
    ids = make_recipients(3)
    for group in (own, plain, kept):
        lists.add(group, chosen.ids(ids), actor=actor)
    assert lists.delete_expired(actor=actor) == [marked.name]
    clock.step(days=1)
    assert lists.delete_expired(actor=actor, limit=1) == [own.name]
    assert lists.delete_expired(actor=actor) == [plain.name]
    assert lists.delete_expired(actor=actor) == []
    assert own.table not in tables()
    assert members(plain) == set()
    assert members(kept) == set(ids)
    assert Recipient.objects.count() == 3
    with pytest.raises(Invalid):
        lists.set_expiration(kept, product_clock.now(), actor=actor)


def test_lists_follow_the_rights_on_folders() -> None:
    operator = make_operator("ann")
    mine = make_folder("mine", "lists", model="nms:group")
    allow(mine, operator, write=True)
    allow(lists_folder(), operator)
    people = make_folder("people", "profilesAndTargets", model="nms:recipient")
    allow(people, operator)
    allow(Folder.objects.get(name="recipients"), make_operator("other"))
    ann = actor_of(operator)
    (seen,), (closed,) = make_recipients(1, folder=people), make_recipients(1)
    group = lists.create("Mine", actor=ann, folder=mine)
    assert lists.add(group, chosen.ids([seen, closed]), actor=ann).count == 1
    lists.add(group, chosen.ids([closed]), actor=admin_actor())
    assert lists.count(group, actor=ann) == 1
    assert lists.count(group, actor=admin_actor()) == 2
    with pytest.raises(NotAllowed):
        lists.delete(group, actor=ann)
    theirs = lists.create("Theirs", actor=admin_actor(), folder=lists_folder())
    with pytest.raises(NotAllowed):
        lists.add(theirs, chosen.ids([seen]), actor=ann)
    with pytest.raises(NotAllowed):
        lists.create("Not mine", actor=ann, folder=lists_folder())


def test_many_members_join_at_once_with_ids_of_their_own() -> None:
    actor, ids = admin_actor(), make_recipients(2500)
    group = lists.create("Many", actor=actor, folder=lists_folder())
    assert lists.add(group, chosen.ids(ids), actor=actor).joined == 2500
    found = RcpGrpRel.objects.filter(group=group).values_list("rcp_grp_rel_id", flat=True)
    assert len(set(found)) == 2500
