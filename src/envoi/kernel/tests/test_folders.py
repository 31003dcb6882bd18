import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.kernel import folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models import AuditEntry, Folder, FolderRight
from envoi.kernel.rights import Actor, Right, actor_of
from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_group, make_operator

pytestmark = pytest.mark.django_db
TREE_RIGHTS = ("INSERT FOLDERS", "EDIT FOLDERS", "DELETE FOLDER")


def names(actor: Actor, access: Access = Access.READ) -> set[str]:
    found = Folder.objects.filter(folder_id__in=folders.allowed(actor, access).queryset())
    return set(found.filter(name__regex=r"^t\d").values_list("name", flat=True)) - {
        "templates",
        "targetingWorkflows",
    }


def test_the_shipped_tree_is_there_in_two_languages() -> None:
    folder = folders.find("nmsTechnicalWorkflow", actor=admin_actor())
    assert folder.path == "/administration/production/nmsTechnicalWorkflow/"
    assert folder.model == "xtk:workflow"
    assert folders.label_of(folder, "en") == "Technical workflows"
    assert folders.label_of(folder, "fr") == "Workflows techniques"
    assert folders.label_of(folder, "fr-ca") == "Workflows techniques"
    assert folders.label_of(folder, "ko") == "Technical workflows"
    lacking = [each.name for each in Folder.objects.all() if "fr" not in each.labels]
    assert lacking == []


def test_every_path_is_made_of_the_names_above() -> None:
    for folder in Folder.objects.select_related("parent"):
        above = folder.parent.path if folder.parent else "/"
        assert folder.path == f"{above}{folder.name}/"


def test_without_any_right_everything_is_open() -> None:
    root = make_folder("t1")
    make_folder("t2", root)
    assert names(make_actor("ann")) == {"t1", "t2"}
    assert names(make_actor("bob"), Access.WRITE) == {"t1", "t2"}


def test_a_folder_without_rights_follows_its_parent_and_one_with_rights_does_not() -> None:
    ann, group = make_operator("ann"), make_group("readers")
    bob = make_operator("bob", groups=(group,))
    closed = make_folder("t1")
    below = make_folder("t2", closed)
    make_folder("t3", below)
    opened = make_folder("t4", below)
    make_folder("t5", opened)
    allow(closed, ann, write=True)
    allow(opened, group)
    assert names(actor_of(ann)) == {"t1", "t2", "t3"}
    assert names(actor_of(ann), Access.WRITE) == {"t1", "t2", "t3"}
    assert names(actor_of(ann), Access.DELETE) == set()
    assert names(actor_of(bob)) == {"t4", "t5"}
    assert names(actor_of(bob), Access.WRITE) == set()
    assert names(make_actor("eve")) == set()
    assert names(admin_actor()) == {"t1", "t2", "t3", "t4", "t5"}


def test_a_root_confines_even_an_administrator() -> None:
    inside = make_folder("t1")
    make_folder("t2", inside)
    make_folder("t10")
    make_folder("tother")
    mid = make_operator("mid", rights=("ADMINISTRATION",), folder=inside)
    assert names(actor_of(mid)) == {"t1", "t2"}
    with pytest.raises(NotFound):
        folders.find("administration", actor=actor_of(mid))
    with pytest.raises(NotAllowed, match="confined"):
        folders.create("new", actor=actor_of(mid))
    folders.delete(inside.children.get(), actor=admin_actor())
    with pytest.raises(Conflict):  # else the operator would see everything once it is gone
        folders.delete(inside, actor=admin_actor())


def test_a_hidden_folder_cannot_be_told_from_an_absent_one() -> None:
    make_folder("t2", allow(make_folder("t1"), make_operator("bob")).folder)
    eve = make_actor("eve", rights=TREE_RIGHTS)
    with pytest.raises(NotFound, match=r"^There is no folder 't2'\.$"):
        folders.find("t2", actor=eve)
    with pytest.raises(NotFound, match=r"^There is no folder 't2'\.$"):
        folders.rename(Folder.objects.get(name="t2"), "x", actor=eve)


def test_the_restriction_can_stand_in_sql() -> None:
    make_folder("t2", allow(make_folder("t1"), make_operator("bob")).folder)
    restriction = folders.readable(make_actor("eve"))
    with connection.cursor() as cursor:
        query = "SELECT count(*) FROM xtk_folder WHERE name IN ('t1', 't2') AND folder_id IN"
        cursor.execute(f"{query} ({restriction.sql})", restriction.params)
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("right", [None, *(right for right in TREE_RIGHTS)])
def test_each_change_of_the_tree_takes_its_right(right: str | None) -> None:
    top = make_folder("t1")
    ann = make_actor("ann", rights=(right,) if right else ())

    def tried(change: object) -> bool:
        try:
            change()  # type: ignore[operator]
        except NotAllowed:
            return False
        return True

    leaf = make_folder("t2", top)
    assert tried(lambda: folders.rename(leaf, "New", actor=ann)) == (right == "EDIT FOLDERS")
    assert tried(lambda: folders.create("t3", parent=top, actor=ann)) == (right == "INSERT FOLDERS")
    assert tried(lambda: folders.delete(leaf, actor=ann)) == (right == "DELETE FOLDER")
    assert Folder.objects.filter(name="t3").exists() == (right == "INSERT FOLDERS")
    assert Folder.objects.filter(name="t2").exists() == (right != "DELETE FOLDER")


def test_changes_also_take_the_right_on_the_folder() -> None:
    top = make_folder("t1")
    ann = make_operator("ann", rights=TREE_RIGHTS)
    allow(top, ann)
    with pytest.raises(NotAllowed, match="may not write in the folder t1"):
        folders.create("t2", parent=top, actor=actor_of(ann))
    FolderRight.objects.update(can_write=True)
    made = folders.create("t2", parent=top, actor=actor_of(ann))
    with pytest.raises(NotAllowed, match="may not delete in the folder t2"):
        folders.delete(made, actor=actor_of(ann))


def test_move_takes_everything_below_along_and_nothing_else() -> None:
    old, new = make_folder("t1"), make_folder("t9")
    moved = make_folder("t2", old)
    make_folder("t3", moved)
    make_folder("t20", old)
    folders.move(moved, new, actor=admin_actor())
    paths = dict(Folder.objects.values_list("name", "path"))
    assert [paths[name] for name in ("t2", "t3", "t20")] == ["/t9/t2/", "/t9/t2/t3/", "/t1/t20/"]
    with pytest.raises(Conflict, match="below itself"):
        folders.move(moved, Folder.objects.get(name="t3"), actor=admin_actor())
    folders.move(moved, None, actor=admin_actor())
    assert Folder.objects.get(name="t3").path == "/t2/t3/"
    assert AuditEntry.objects.filter(entity_key="t2").last().detail == {"from": "/t9/t2/", "to": "/t2/"}


def test_a_move_that_would_make_a_path_too_long_changes_nothing() -> None:
    deep = make_folder("a" * 60)
    for index in range(14):
        deep = make_folder(f"{index:02}" + "b" * 60, deep)
    other = make_folder("t1")
    make_folder("t" + "c" * 60, make_folder("t2" + "c" * 60, other))
    with pytest.raises(Invalid, match="1024"):
        folders.move(other, deep, actor=admin_actor())
    assert Folder.objects.get(name="t1").path == "/t1/"


def test_only_empty_folders_are_deleted() -> None:
    top = make_folder("t1")
    make_folder("t2", top)
    with pytest.raises(Conflict, match="1 folders"):
        folders.delete(top, actor=admin_actor())
    with (
        folders.folder_contents.temporarily(lambda folder: ["3 workflows"] if folder.name == "t2" else []),
        pytest.raises(Conflict, match="3 workflows"),
    ):
        folders.delete(Folder.objects.get(name="t2"), actor=admin_actor())
    folders.delete(Folder.objects.get(name="t2"), actor=admin_actor())
    folders.delete(top, actor=admin_actor())
    assert not Folder.objects.filter(name__in=("t1", "t2")).exists()
    with pytest.raises(NotFound):
        folders.rename(top, "gone", actor=admin_actor())


def test_shipped_folders_stay() -> None:
    shipped = Folder.objects.get(name="dataRecovery")
    for change in (
        lambda: folders.rename(shipped, "x", actor=admin_actor()),
        lambda: folders.move(shipped, None, actor=admin_actor()),
        lambda: folders.delete(shipped, actor=admin_actor()),
    ):
        with pytest.raises(Conflict, match="belongs to the product"):
            change()


def test_a_name_is_taken_once_and_must_be_one() -> None:
    folders.create("t1", actor=admin_actor())
    with pytest.raises(Conflict, match="already"):
        folders.create("t1", actor=admin_actor())
    for name in ("", "a/b", "..", "x" * 65, "ü"):
        with pytest.raises(Invalid, match="cannot name a folder"):
            folders.create(name, actor=admin_actor())
    with pytest.raises(Invalid, match="label"):
        folders.create("t2", label="\n", actor=admin_actor())


def test_rights_can_be_set_taken_and_propagated() -> None:
    top = make_folder("t1")
    below = make_folder("t2", top)
    ann = make_operator("ann")
    allow(below, make_operator("bob"))
    with pytest.raises(NotAllowed):
        folders.set_rights(top, ann, actor=make_actor("eve", rights=TREE_RIGHTS))
    folders.set_rights(top, ann, actor=admin_actor(), write=True)
    assert names(actor_of(ann), Access.WRITE) == {"t1"}
    folders.set_rights(top, ann, actor=admin_actor(), write=True, below=True)
    assert names(actor_of(ann), Access.WRITE) == {"t1", "t2"}
    folders.set_rights(top, ann, actor=admin_actor(), read=False)
    assert not FolderRight.objects.exists()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_query_agrees_with_a_walk_up_the_tree(data: st.DataObject) -> None:
    with transaction.atomic():
        _compare(data)
        transaction.set_rollback(True)


def _compare(data: st.DataObject) -> None:
    ann, bob = make_operator("ann"), make_operator("bob")
    made: list[Folder] = []
    for index in range(data.draw(st.integers(1, 8))):
        parent = data.draw(st.sampled_from([None, *made]))
        made.append(make_folder(f"t{index}", parent))
        for who in data.draw(st.lists(st.sampled_from([ann, bob]), unique=True, max_size=2)):
            allow(made[-1], who, read=True, write=data.draw(st.booleans()))
    rights = list(FolderRight.objects.all())

    def walk(folder: Folder | None, column: str) -> bool:
        if folder is None:
            return True
        own = [right for right in rights if right.folder_id == folder.pk]
        if own:
            return any(getattr(right, column) for right in own if right.operator_id == ann.pk)
        return walk(next((each for each in made if each.pk == folder.parent_id), None), column)

    for access, column in ((Access.READ, "can_read"), (Access.WRITE, "can_write")):
        expected = {folder.name for folder in made if walk(folder, column)}
        assert names(actor_of(ann), access) == expected
        assert {folder.name for folder in made if folders.may(actor_of(ann), folder, access)} == expected


def test_administration_includes_the_rights_on_folders() -> None:
    folder = make_folder("t1")
    allow(folder, make_operator("bob"))
    boss = make_actor("boss", rights=(Right.ADMINISTRATION,))
    folders.rename(folder, "Renamed", actor=boss)
    assert Folder.objects.get(name="t1").label == "Renamed"
