"""Rows are written in an actor's name: one by one, and all of a query."""

from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from envoi.kernel import audit, enumerations, folders, writing
from envoi.kernel import clock as clocks
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Enum, Folder
from envoi.kernel.query import Condition
from envoi.kernel.testing import make_actor, make_folder
from envoi.kernel.writing import Changed, WrongValues, digest

NAME = "tst:note"


def make(notes: SimpleNamespace, title: str, folder: Folder | None = None, **more: Any) -> int:
    place = (folder or notes.open).folder_id
    return writing.write(NAME, {"title": title, "folder-id": place, **more}, actor=notes.admin).key


def row(key: int) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM tst_note WHERE note_id = %s", [key])
        found = cursor.fetchone()
        return dict(zip([each.name for each in cursor.description], found, strict=True)) if found else {}


def lines(key: int | None) -> list[tuple[str, str, Any]]:
    found = AuditEntry.objects.filter(entity=NAME, entity_id=key).order_by("audit_id")
    return [(each.action, each.operator_name, each.detail) for each in found]


def test_a_row_is_made_typed_and_audited(notes, clock):
    given = {
        "title": " First ", "stars": "best", "size": "12", "due": "2026-11-24", "seen": "2026-11-24 08:30",
        "data": '{"a": 1}', "folder-id": str(notes.open.folder_id),
    }  # fmt: skip
    done = writing.write(NAME, given, actor=notes.writer, zone="Europe/Paris")
    assert done.created
    found = row(done.key)
    assert (found["title"], found["stars"], found["size"], found["due"]) == (
        "First",
        5,
        12,
        date(2026, 11, 24),
    )
    assert found["seen"] == datetime(2026, 11, 24, 7, 30, tzinfo=UTC)
    assert found["created_at"] == found["modified_at"] == clocks.now()
    assert (found["created_by"], found["modified_by"]) == ("writer", notes.writer.operator_id)
    ((action, who, detail),) = lines(done.key)
    assert (action, who) == ("Created", "writer")
    assert detail["values"]["title"] == [None, "First"]


def test_a_change_keeps_before_and_after(notes, clock):
    key = make(notes, "First", size=1)
    clock.step(hours=1)
    done = writing.write(NAME, {"size": 2, "title": "First"}, actor=notes.writer, key=key)
    assert (done.key, done.changed, done.created) == (key, ("size",), False)
    assert (row(key)["size"], row(key)["modified_at"]) == (2, clocks.now())
    assert lines(key)[-1] == ("Modified", "writer", {"values": {"size": [1, 2]}})
    assert writing.write(NAME, {"size": "2"}, actor=notes.writer, key=key).changed == ()
    assert len(lines(key)) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "x" * 21), ("title", ""), ("title", "two\nlines"), ("stars", "3"), ("size", "many"),
        ("size", str(1 << 31)), ("due", "tomorrow"), ("due", "2026-02-30"), ("seen", "yesterday"),
        ("done", "perhaps"), ("data", "{"), ("body", "a\0b"), ("parent-id", "999999"), ("folder-id", ""),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_at_its_attribute_and_nothing_is_written(notes, name, value):
    key = make(notes, "First", size=1)
    before = row(key)
    with pytest.raises(WrongValues) as refusal:
        writing.write(NAME, {name: value, "size": 1 if name != "size" else value}, actor=notes.admin, key=key)
    assert list(refusal.value.problems) == [name]
    assert row(key) == before


@pytest.mark.parametrize("name", ["loud", "twice", "modifiedAt", "secret"])
def test_what_is_computed_stamped_or_guarded_is_never_written(notes, name):
    key = make(notes, "First")
    with pytest.raises(NotAllowed, match=name):
        writing.write(NAME, {name: "1"}, actor=notes.writer, key=key)


def test_an_unknown_attribute_is_named(notes):
    with pytest.raises(Invalid, match="@nothing"):
        writing.write(NAME, {"nothing": 1}, actor=notes.admin, key=make(notes, "First"))


def test_a_taken_key_is_named(notes):
    make(notes, "First")
    make_again = {"title": "First", "folder-id": notes.open.folder_id}
    with pytest.raises(Conflict, match="@title"):
        writing.write(NAME, make_again, actor=notes.admin, operation="insert")
    assert writing.write(NAME, {"title": "First", "size": 3}, actor=notes.admin).changed == ("size",)
    with pytest.raises(NotFound):
        writing.write(NAME, {"title": "Second"}, actor=notes.admin, operation="update")


def test_a_needed_value_is_asked_for(notes):
    with pytest.raises(WrongValues) as refusal:
        writing.write(NAME, {"size": 1, "folder-id": notes.open.folder_id}, actor=notes.admin)
    assert list(refusal.value.problems) == ["title"]
    with pytest.raises(WrongValues):
        writing.write(NAME, {"title": "Nowhere"}, actor=notes.admin)


def test_what_others_changed_meanwhile_is_not_overwritten(notes):
    key = make(notes, "First", size=1, body="one")
    seen = {"size": digest(1), "body": digest("one")}
    writing.write(NAME, {"size": 2}, actor=notes.admin, key=key)
    done = writing.write(NAME, {"size": "1", "body": "two"}, actor=notes.writer, key=key, seen=seen)
    assert done.changed == ("body",)
    assert row(key)["size"] == 2
    with pytest.raises(Changed) as refusal:
        writing.write(NAME, {"size": "3"}, actor=notes.writer, key=key, seen=seen)
    assert refusal.value.theirs == {"size": 2}
    assert row(key)["size"] == 2


def test_rows_of_other_folders_are_beyond_reach(notes):
    closed, readable = make(notes, "Closed", notes.closed), make(notes, "Readable", notes.readable)
    mine = make(notes, "Mine")
    where = (Condition("@size IS NULL"),)
    for key, refusal in ((closed, NotFound), (readable, NotAllowed)):
        with pytest.raises(refusal):
            writing.write(NAME, {"size": 1}, actor=notes.writer, key=key)
        with pytest.raises(refusal):
            writing.remove(NAME, key, actor=notes.writer)
        assert not writing.may_write(writing_schema(), key, actor=notes.writer)
    with pytest.raises(NotFound):
        writing.dependents(NAME, closed, actor=notes.writer)
    found = writing.prospect(NAME, where, actor=notes.writer)
    assert (found.found, found.allowed) == (2, 1)
    assert writing.change_all(NAME, where, {"size": 7}, actor=notes.writer) == 1
    assert [row(key)["size"] for key in (closed, readable, mine)] == [None, None, 7]
    assert writing.remove_all(NAME, (), actor=notes.writer) == 1
    assert row(closed)
    assert row(readable)
    assert not row(mine)
    for place in (notes.closed, notes.readable, notes.other):
        with pytest.raises((WrongValues, NotFound, NotAllowed)):
            writing.write(NAME, {"title": "New", "folder-id": place.folder_id}, actor=notes.writer)
        with pytest.raises((WrongValues, NotFound, NotAllowed)):
            writing.change_all(NAME, (), {"folder-id": place.folder_id}, actor=notes.writer)


def writing_schema():
    from envoi.kernel import registry

    return registry.find(NAME)


def test_all_rows_of_a_filter_change_in_one_statement(notes, django_assert_max_num_queries):
    keys = [make(notes, f"n{number}", size=number) for number in range(5)]
    with django_assert_max_num_queries(20):
        count = writing.change_all(
            NAME, (Condition("@size >= 2"),), {"stars": "best", "done": "1"}, actor=notes.writer
        )
    assert count == 3
    assert [row(key)["stars"] for key in keys] == [None, None, 5, 5, 5]
    assert lines(keys[4])[-1][2]["values"] == {"stars": [None, 5], "done": [False, True]}
    (summary,) = AuditEntry.objects.filter(action="Bulk change")
    assert (summary.detail["rows"], summary.detail["to"]) == (3, {"stars": 5, "done": True})
    assert summary.detail["filter"] == [{"expr": "@size >= 2"}]
    assert writing.change_all(NAME, (Condition("@size >= 2"),), {"stars": 5}, actor=notes.writer) == 0
    with pytest.raises(WrongValues):
        writing.change_all(NAME, (), {"title": ""}, actor=notes.writer)
    with pytest.raises(Conflict, match="@title"):
        writing.change_all(NAME, (), {"title": "same"}, actor=notes.writer)


def test_what_others_lead_to_stays(notes):
    parent = make(notes, "Parent")
    make(notes, "Child", **{"parent-id": parent})
    (found,) = writing.dependents(NAME, parent, actor=notes.writer)
    assert (found.schema, found.link, found.count) == (NAME, "parent", 1)
    with pytest.raises(Conflict, match=r"Notes \(1\)"):
        writing.remove(NAME, parent, actor=notes.writer)
    with pytest.raises(Conflict, match=r"Notes \(1\)"):
        writing.remove_all(NAME, (Condition(f"@id = {parent}"),), actor=notes.writer)
    assert row(parent)


def test_the_trail_of_a_deleted_row_holds_no_values(notes):
    key = make(notes, "Anna Petit", size=3)
    writing.remove(NAME, key, actor=notes.writer)
    assert not row(key)
    assert [action for action, _, _ in lines(key)] == ["Created", "Deleted"]
    assert lines(key)[0][2] == {"changed": ["folder-id", "size", "title"]}
    assert audit.forget(NAME, [key + 1]) == 0


def test_a_new_text_joins_its_list_when_it_is_confirmed(notes):
    enumerations.create("company", actor=notes.admin)
    key = make(notes, "First")
    with pytest.raises(WrongValues) as refusal:
        writing.write(NAME, {"company": "Acme"}, actor=notes.writer, key=key)
    assert list(refusal.value.problems) == ["company"]
    confirmed = frozenset({"company"})
    writing.write(NAME, {"company": "Acme"}, actor=notes.writer, key=key, confirmed=confirmed)
    assert row(key)["company"] == "Acme"
    assert [each.value for each in enumerations.values("company", actor=notes.admin)] == ["Acme"]


def test_the_platform_is_written_by_its_services(notes):
    made = writing.write("xtk:enum", {"name": "tColor", "label": "Colors"}, actor=notes.admin)
    assert Enum.objects.get(pk=made.key).label == "Colors"
    assert writing.write("xtk:enum", {"label": "Colours"}, actor=notes.admin, key=made.key).changed == (
        "label",
    )
    writing.remove("xtk:enum", made.key, actor=notes.admin)
    folder = make_folder("tLeaf", notes.open)
    writing.write("xtk:folder", {"parent-id": notes.other.folder_id}, actor=notes.admin, key=folder.folder_id)
    assert folders.find("tLeaf", actor=notes.admin).path == "/tOther/tLeaf/"
    for name in ("xtk:right", "xtk:audit", "xtk:workflow", "xtk:folderRight", "xtk:view"):
        with pytest.raises(NotAllowed):
            writing.write(name, {"name": "ADMINISTRATION"}, actor=notes.admin)
    with pytest.raises(NotAllowed):
        writing.write("xtk:enum", {"name": "mine"}, actor=notes.writer)


def test_rows_without_folder_and_right_are_for_administrators(notes):
    from dataclasses import replace

    from envoi.kernel import registry

    loose = replace(writing_schema(), folder=None)
    registry.reset(to=registry.Registry({**registry.current().schemas, NAME: loose}))
    key = make(notes, "First")
    with pytest.raises(NotAllowed, match="ADMINISTRATION"):
        writing.write(NAME, {"size": 1}, actor=make_actor("someone"), key=key)
    assert writing.writable(loose, actor=make_actor("another")) == {}
