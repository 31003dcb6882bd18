from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection

from envoi.kernel import clock as kernel_clock
from envoi.kernel import enumerations, registry
from envoi.kernel.enumerations import Binding, Cleansed, Fate, Hits
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.models import AuditEntry, Enum, EnumAlias, EnumValue
from envoi.kernel.testing import admin_actor, make_actor

pytestmark = pytest.mark.usefixtures("db", "clock")


def bindings() -> Sequence[Binding]:
    return [Binding("company", "test:person", "test_person", "company", "modified_at")]


@pytest.fixture
def people() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE test_person (id bigserial, company text, modified_at timestamptz)")
    with enumerations.enumeration_fields.temporarily(bindings):
        yield


def person(company: str, *, days_ago: int = 0, times: int = 1) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO test_person (company, modified_at) SELECT %s, %s FROM generate_series(1, %s)",
            [company, kernel_clock.now() - timedelta(days=days_ago), times],
        )


def companies() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT company FROM test_person ORDER BY id")
        return [company for (company,) in cursor.fetchall()]


def make(name: str = "company", *values: str, type: str = "open", mode: str = "alias") -> Enum:
    enum = enumerations.create(name, actor=admin_actor(), type=type, mode=mode)
    for value in values:
        enumerations.add_value(name, value, actor=admin_actor())
    return enum


def hits(alias: str) -> int:
    return EnumAlias.objects.get(alias=alias).hits


# --- typed texts


def test_an_open_list_takes_a_new_value_after_confirmation() -> None:
    make("color", "red", mode="simple")
    ann = make_actor("ann")
    assert enumerations.settle("color", " red ", actor=ann) == enumerations.Settled(Fate.VALUE, "red")
    with pytest.raises(Conflict, match=r"Confirm that it joins the list. Near to it: red"):
        enumerations.settle("color", "reed", actor=ann)
    settled = enumerations.settle("color", "green", actor=ann, confirmed=True)
    assert (settled.fate, settled.value) == (Fate.JOINED, "green")
    assert [value.value for value in enumerations.values("color", actor=ann)] == ["green", "red"]
    assert AuditEntry.objects.get(operator_name="ann").detail == {"value added": "green"}


@pytest.mark.case("D4")
@pytest.mark.parametrize("kind", ["closed", "system"])
def test_a_closed_list_refuses_and_names_the_near_values(kind: str) -> None:
    make("size", "small", "medium", "large", type=kind, mode="simple")
    for confirmed in (False, True):
        with pytest.raises(Invalid, match=r"no value 'smal': choose one of the list. Near to it: small."):
            enumerations.settle("size", "smal", actor=admin_actor(), confirmed=confirmed)
    with pytest.raises(Invalid, match=r"It has large, medium, small\."):
        enumerations.settle("size", "xxxxxx", actor=admin_actor())
    assert EnumValue.objects.filter(enum__name="size").count() == 3


def test_a_typed_alias_means_its_value_and_an_unknown_text_waits_for_one() -> None:
    make("company", "NIELSEN Ltd")
    enumerations.set_alias("company", "NEILSEN", "NIELSEN Ltd", actor=admin_actor())
    ann = make_actor("ann")
    assert enumerations.settle("company", "NEILSEN", actor=ann).value == "NIELSEN Ltd"
    for _ in range(2):
        assert enumerations.settle("company", "ACMEE", actor=ann) == enumerations.Settled(Fate.UNMAPPED, "")
    assert EnumAlias.objects.get(alias="ACMEE").value is None
    # confirmed later, it is no alias any more
    enumerations.settle("company", "ACMEE", actor=ann, confirmed=True)
    assert not EnumAlias.objects.filter(alias="ACMEE").exists()


@pytest.mark.parametrize("typed", ["", "  ", "a\0b", "a\nb", "x" * 256])
def test_what_cannot_be_a_value_is_refused(typed: str) -> None:
    make()
    with pytest.raises(Invalid, match="1 to 255 printable"):
        enumerations.settle("company", typed, actor=admin_actor(), confirmed=True)


def test_only_administrators_change_lists() -> None:
    make("company", "A", "B")
    ann = make_actor("ann", rights=("WORKFLOW",))
    for change in (
        lambda: enumerations.create("mine", actor=ann),
        lambda: enumerations.update("company", actor=ann, label="x"),
        lambda: enumerations.add_value("company", "C", actor=ann),
        lambda: enumerations.remove_value("company", "A", actor=ann),
        lambda: enumerations.change_value("company", "A", actor=ann, to="C"),
        lambda: enumerations.move_value("company", "A", 2, actor=ann),
        lambda: enumerations.set_alias("company", "a", "A", actor=ann),
        lambda: enumerations.value_to_alias("company", "A", "B", actor=ann),
        lambda: enumerations.cleanse("company", actor=ann),
        lambda: enumerations.delete("company", actor=ann),
    ):
        with pytest.raises(NotAllowed, match="ADMINISTRATION"):
            change()
    assert not AuditEntry.objects.filter(operator_name="ann").exists()


def test_an_unknown_list_names_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"Did you mean urlCategory\?"):
        enumerations.find("urlcategory", actor=admin_actor())


# --- conversions and stored data


def test_a_value_becomes_an_alias_and_the_data_follows(people: None) -> None:
    make("company", "NIELSEN Ltd", "NEILSEN")
    enumerations.set_alias("company", "NEILSON", "NEILSEN", actor=admin_actor())
    person("NEILSEN", times=3)
    person("Other")
    assert enumerations.value_to_alias("company", "NEILSEN", "NIELSEN Ltd", actor=admin_actor()) == 3
    assert companies() == ["NIELSEN Ltd"] * 3 + ["Other"]
    found = {a.alias: (str(a.value), a.hits) for a in enumerations.aliases("company", actor=admin_actor())}
    assert found == {"NEILSEN": ("NIELSEN Ltd", 3), "NEILSON": ("NIELSEN Ltd", 0)}
    with pytest.raises(Conflict, match="cannot stand for itself"):
        enumerations.value_to_alias("company", "NIELSEN Ltd", "NIELSEN Ltd", actor=admin_actor())


def test_an_alias_becomes_a_value() -> None:
    make("company", "A")
    enumerations.set_alias("company", "B", None, actor=admin_actor())
    assert enumerations.alias_to_value("company", "B", actor=admin_actor()).value == "B"
    assert not EnumAlias.objects.exists() or not EnumAlias.objects.filter(enum__name="company").exists()


def test_a_renamed_value_is_renamed_in_the_data_too(people: None) -> None:
    make("company", "A", "B")
    person("A", times=2)
    enumerations.change_value("company", "A", actor=admin_actor(), to="Alpha")
    assert companies() == ["Alpha", "Alpha"]
    with pytest.raises(Conflict, match="already"):
        enumerations.change_value("company", "Alpha", actor=admin_actor(), to="B")


def test_a_removed_value_leaves_its_aliases_without_one(people: None) -> None:
    make("company", "A")
    enumerations.set_alias("company", "a", "A", actor=admin_actor())
    person("A")
    enumerations.remove_value("company", "A", actor=admin_actor())
    assert EnumAlias.objects.get(alias="a").value is None
    assert companies() == ["A"]


def test_a_text_is_a_value_or_an_alias_but_never_both() -> None:
    make("company", "A")
    enumerations.set_alias("company", "B", "A", actor=admin_actor())
    with pytest.raises(Conflict, match="is an alias"):
        enumerations.add_value("company", "B", actor=admin_actor())
    with pytest.raises(Conflict, match="is a value"):
        enumerations.set_alias("company", "A", None, actor=admin_actor())
    make("plain", "A", mode="simple")
    with pytest.raises(Conflict, match="simple mode"):
        enumerations.set_alias("plain", "B", "A", actor=admin_actor())


# --- cleansing


def test_cleansing_replaces_aliases_and_notes_what_is_unknown_once(people: None) -> None:
    make("company", "NIELSEN Ltd")
    enumerations.set_alias("company", "NEILSEN", "NIELSEN Ltd", actor=admin_actor())
    person("NEILSEN", times=2)
    person("ACMEE", times=2)
    person("")
    person("NIELSEN Ltd")
    assert enumerations.cleanse("company", actor=admin_actor()) == Cleansed(replaced=2, noted=1)
    assert companies() == ["NIELSEN Ltd", "NIELSEN Ltd", "ACMEE", "ACMEE", "", "NIELSEN Ltd"]
    assert EnumAlias.objects.get(alias="ACMEE").value is None
    assert enumerations.cleanse("company", actor=admin_actor()) == Cleansed(0, 0)
    assert "2 rows" in Enum.objects.get(name="company").log or Enum.objects.get(name="company").cleansed_at


def test_cleansing_looks_at_rows_changed_since_a_time(people: None) -> None:
    make("company", "A")
    enumerations.set_alias("company", "a", "A", actor=admin_actor())
    person("a", days_ago=3)
    person("a")
    yesterday = kernel_clock.now() - timedelta(days=1)
    assert enumerations.cleanse("company", actor=admin_actor(), since=yesterday).replaced == 1
    assert companies() == ["a", "A"]


def test_a_simple_list_is_not_cleansed(people: None) -> None:
    make("company", "A", mode="simple")
    person("a")
    assert enumerations.cleanse("company", actor=admin_actor()) == Cleansed(0, 0)
    assert not EnumAlias.objects.filter(enum__name="company").exists()


def test_hits_are_added_or_counted_anew(people: None) -> None:
    make("company", "NIELSEN Ltd")
    enumerations.set_alias("company", "NEILSEN", "NIELSEN Ltd", actor=admin_actor())
    person("NEILSEN", days_ago=9, times=5)
    person("NEILSEN", times=2)
    person("ACMEE", times=4)
    enumerations.cleanse("company", actor=admin_actor(), since=kernel_clock.now(), hits=Hits.FULL)
    assert (hits("NEILSEN"), hits("ACMEE")) == (7, 4)
    enumerations.cleanse("company", actor=admin_actor(), since=kernel_clock.now(), hits=Hits.ADD)
    assert (hits("NEILSEN"), hits("ACMEE")) == (7, 8)


# --- lists of the product


def test_the_shipped_lists_are_there() -> None:
    found = {enum.name: enum for enum in enumerations.list_all(actor=admin_actor())}
    assert {"domain", "natureDelivery", "urlCategory", "IPAffinity", "eventType", "emoticon"} <= set(found)
    assert [str(v) for v in enumerations.values("domain", actor=admin_actor())] == [
        "AOL", "Free", "Gmail", "Microsoft", "Yahoo",
    ]  # fmt: skip
    assert str(EnumAlias.objects.get(enum__name="domain", alias="aol.fr").value) == "AOL"
    assert enumerations.label_of(found["domain"], "fr") == "Domaines e-mail par fournisseur"
    assert found["domain"].open_aliases == 0  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Conflict, match="cannot be deleted"):
        enumerations.delete("domain", actor=admin_actor())
    with pytest.raises(Conflict, match="keeps its type"):
        enumerations.update("domain", actor=admin_actor(), type="open")


def test_a_list_that_columns_are_bound_to_stays(people: None) -> None:
    make("company")
    with pytest.raises(Conflict, match="test:person company"):
        enumerations.delete("company", actor=admin_actor())
    make("other", "x")
    enumerations.delete("other", actor=admin_actor())
    assert not Enum.objects.filter(name="other").exists()


# --- emoticons


def test_an_occupied_place_sends_the_old_emoticon_to_the_store() -> None:
    admin = admin_actor()
    first, second = enumerations.values("emoticon", actor=admin)[:2]
    enumerations.add_value("emoticon", "u+1f601", actor=admin, label="Beaming", position=1)
    assert str(enumerations.values("emoticon", actor=admin)[0]) == "Beaming"
    assert [each.value for each in enumerations.values("emoticon", actor=admin, stored=True)] == [first.value]
    enumerations.move_value("emoticon", first.value, 2, actor=admin)
    assert [each.value for each in enumerations.values("emoticon", actor=admin, stored=True)] == [
        second.value
    ]
    enumerations.move_value("emoticon", first.value, None, actor=admin)
    assert len(enumerations.values("emoticon", actor=admin, stored=True)) == 2


@pytest.mark.parametrize("code", ["", "smile", "U+110000", "U+D800", "U+1F6"])
def test_an_emoticon_needs_the_code_of_a_character(code: str) -> None:
    with pytest.raises(Invalid, match=r"U\+1F600"):
        enumerations.add_value("emoticon", code, actor=admin_actor())


@pytest.mark.parametrize("place", [0, 82])
def test_at_most_81_emoticons_show(place: int) -> None:
    with pytest.raises(Invalid, match="1 to 81"):
        enumerations.add_value("emoticon", "U+1F602", actor=admin_actor(), position=place)


def test_columns_are_bound_by_their_schema_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry.find("xtk:option")
    bound = replace(found.attributes["description"], list_name="company")
    schema = replace(found, attributes={**found.attributes, "description": bound})
    monkeypatch.setattr(enumerations.registry, "fresh", lambda: [schema])
    assert enumerations.fields("company") == [Binding("company", "xtk:option", "xtk_option", "description")]
