"""Fields, links and tables that an instance adds at run time."""

import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from envoi.kernel import enumerations, extensions, query, registry
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.extensions import Additions, NewField, NewLink, NewTable, ddl, indexes
from envoi.kernel.models import AddedField, AuditEntry, CustomIndicator, ExternalAccount, Folder, SavedView
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.registry import Enumeration, EnumValue, Type
from envoi.kernel.testing import admin_actor, allow, make_actor, make_folder, make_operator

ACCOUNT = "nms:extAccount"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def sql(statement: str, *values: object) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def ask(schema: str, *nodes: str, where: str = "", actor: Any = None) -> list[tuple[Any, ...]]:
    asked = QueryDef(
        schema,
        select=tuple(Field(each) for each in nodes),
        where=(Condition(where),) if where else (),
        order_by=(Field("@id"),),
    )
    return query.run(asked, actor=actor or admin_actor()).rows


@pytest.fixture
def account(db) -> int:
    return make_account("relay")


def make_account(name: str) -> int:
    folder = Folder.objects.get(name="externalAccounts")
    return ExternalAccount.objects.create(
        name=name, label=name.capitalize(), type=0, created_at=NOW, modified_at=NOW, folder=folder
    ).pk


KINDS = [
    (NewField("plain"), "character varying", None),
    (NewField("short", type=Type.STRING, length=3, default="abc"), "character varying", "abc"),
    (NewField("notes", type=Type.MEMO), "text", None),
    (NewField("points", type=Type.LONG, default="-7"), "integer", -7),
    (NewField("big", type=Type.INT64), "bigint", None),
    (NewField("rate", type=Type.DOUBLE, default="1.5"), "double precision", 1.5),
    (NewField("vip", type=Type.BOOLEAN), "boolean", False),
    (NewField("born", type=Type.DATE, default="2026-01-02"), "date", "2026-01-02"),
    (NewField("seenAt", type=Type.DATETIME), "timestamp with time zone", None),
    (NewField("select", type=Type.STRING), "character varying", None),
]


@pytest.mark.parametrize(("field", "kind", "value"), KINDS, ids=lambda each: getattr(each, "name", ""))
def test_a_field_of_each_type_is_a_column_at_once(account, field, kind, value):
    made = extensions.add_field(ACCOUNT, field, actor=admin_actor())
    found = sql(
        "SELECT data_type, is_nullable FROM information_schema.columns"
        " WHERE table_name = 'nms_ext_account' AND column_name = %s",
        made.column_name,
    )
    assert found == [(kind, "YES")]
    attribute = registry.fresh()[ACCOUNT].attributes[field.name]
    assert (attribute.type, attribute.runtime, attribute.column) == (field.type, True, made.column_name)
    ((_, said),) = ask(ACCOUNT, "@id", attribute.xpath, where=f"@id = {account}")
    assert (str(said) if field.type is Type.DATE else said) == value


def test_models_and_private_columns_stay_as_they_are(account):
    extensions.add_field(ACCOUNT, NewField("region"), actor=admin_actor())
    assert ExternalAccount.objects.get(pk=account).label == "Relay"
    sql("UPDATE nms_ext_account SET region = 'north'")
    assert ask(ACCOUNT, "@id", where="@region = 'north'") == [(account,)]
    readable = sql(
        """SELECT a.attname FROM pg_attribute a, pg_roles r WHERE r.rolname = 'envoi_read'
           AND a.attrelid = 'nms_ext_account'::regclass AND attnum > 0 AND NOT attisdropped
           AND NOT has_column_privilege('envoi_read', a.attrelid, a.attname, 'SELECT')"""
    )
    assert {name for (name,) in readable} <= {"secrets"}


def test_a_list_and_values_of_its_own(account):
    admin = admin_actor()
    enumerations.create("tier", actor=admin)
    gold = Enumeration("level", Type.BYTE, (EnumValue(0, "none", "None"), EnumValue(1, "gold", "Gold")))
    extensions.add(
        Additions(
            members=(
                (ACCOUNT, NewField("tier", list_name="tier")),
                (ACCOUNT, NewField("level", type=Type.BYTE, enumeration=gold, default="1")),
            )
        ),
        actor=admin,
    )
    assert [each.column for each in enumerations.fields("tier")] == ["tier"]
    assert ask(ACCOUNT, "@id", where="@level = 'gold'") == [(account,)]


def test_a_link_goes_both_ways(account):
    admin = admin_actor()
    extensions.add_table(NewTable("cus:store", members=(NewField("name"),)), actor=admin)
    extensions.add_field(ACCOUNT, NewLink("shop", "cus:store"), actor=admin)
    ((store,),) = sql("INSERT INTO cus_store (name) VALUES ('Lyon') RETURNING store_id")
    sql("UPDATE nms_ext_account SET shop_id = %s", store)
    assert ask(ACCOUNT, "[shop/@name]", "[@shop-id]") == [("Lyon", store)]
    assert ask("cus:store", "[extAccount/@label]") == [("Relay",)]
    assert AddedField.objects.get(name="shop").index_state == "making"
    assert registry.fresh()["cus:store"].text == "@name"


def test_rows_of_a_linked_table_lie_in_the_folder_of_their_parent(db, clock):
    admin = admin_actor()
    shown, closed = make_folder("tShown"), make_folder("tClosed")
    allow(closed, make_operator("owner"))
    table = NewTable("cus:shop", members=(NewLink("folder", "xtk:folder"),), parent="folder")
    extensions.add_table(table, actor=admin)
    extensions.add_table(
        NewTable("cus:note", members=(NewField("text"), NewLink("shop", "cus:shop")), parent="shop"),
        actor=admin,
    )
    assert registry.fresh()["cus:note"].folder == ("shop", "folder")
    for folder in (shown, closed):
        ((shop,),) = sql("INSERT INTO cus_shop (folder_id) VALUES (%s) RETURNING shop_id", folder.pk)
        sql("INSERT INTO cus_note (text, shop_id) VALUES (%s, %s)", folder.name, shop)
    assert ask("cus:note", "@text") == [("tShown",), ("tClosed",)]
    assert ask("cus:note", "@text", actor=make_actor("reader")) == [("tShown",)]
    assert ask("xtk:folder", "[shop/note/@text]", where="[shop/note/@text] = 'tClosed'",
               actor=make_actor("reader2")) == []  # fmt: skip


def test_a_linked_table_takes_the_rights_of_its_parent(db):
    table = NewTable("cus:note", members=(NewLink("account", ACCOUNT),), parent="account")
    extensions.add_table(table, actor=admin_actor())
    schema = registry.fresh()["cus:note"]
    assert (schema.folder, schema.reading) == (("account", "folder"), "ADMINISTRATION")
    with pytest.raises(NotAllowed, match="ADMINISTRATION"):
        ask("cus:note", "@id", actor=make_actor("reader", ("WORKFLOW",)))


def test_what_cannot_be_is_refused_with_its_reason(account):
    admin = admin_actor()
    enumerations.create("tier", actor=admin)
    wrong: list[tuple[str, Any, type[Exception], str]] = [
        ("xtk:operator", NewField("a"), Conflict, "takes no fields"),
        ("nms:nothing", NewField("a"), NotFound, "no schema"),
        (ACCOUNT, NewField("1st"), Invalid, "cannot name a field"),
        (ACCOUNT, NewField('x"; DROP TABLE xtk_option; --'), Invalid, "cannot name a field"),
        (ACCOUNT, NewField("label"), Conflict, "already"),
        (ACCOUNT, NewField("Label"), Conflict, "already"),
        (ACCOUNT, NewField("secrets"), Conflict, "already"),
        (ACCOUNT, NewField("xmin"), Invalid, "no column xmin"),
        (ACCOUNT, NewField("a" * 63 + "b"), Invalid, "cannot name"),
        (ACCOUNT, NewField("aBcDeF" * 10), Invalid, "takes no column"),
        (ACCOUNT, NewField("a", type=Type.JSON), Invalid, "Known are"),
        (ACCOUNT, NewField("a", length=0), Invalid, "1 to 4000"),
        (ACCOUNT, NewField("a", type=Type.LONG, length=5), Invalid, "only a text"),
        (ACCOUNT, NewField("a", type=Type.LONG, default="now()"), Invalid, "no constant"),
        (ACCOUNT, NewField("a", type=Type.LONG, default=str(2**31)), Invalid, "no constant"),
        (ACCOUNT, NewField("a", type=Type.DOUBLE, default="nan"), Invalid, "no constant"),
        (ACCOUNT, NewField("a", length=2, default="abc"), Invalid, "no constant"),
        (ACCOUNT, NewField("a", list_name="tiers"), NotFound, "Did you mean tier"),
        (ACCOUNT, NewField("a", type=Type.LONG, list_name="tier"), Invalid, "are texts"),
        (ACCOUNT, NewField("a", label="x\ny"), Invalid, "printable"),
        (ACCOUNT, NewLink("a", "nms:nothing"), NotFound, "no schema"),
        (ACCOUNT, NewLink("a", "xtk:folder", reverse="parent"), Conflict, "already"),
    ]
    for schema, field, kind, said in wrong:
        with pytest.raises(kind, match=said):
            extensions.add_field(schema, field, actor=admin)
    for name, said in (("store", "name space"), ("nms:store", "belongs to"), ("cus:1", "name space")):
        with pytest.raises(Invalid, match=said):
            extensions.add_table(NewTable(name), actor=admin)
    with pytest.raises(Conflict, match="has a table django_session"):
        extensions.add_table(NewTable("django:session"), actor=admin)
    with pytest.raises(Invalid, match="names part"):
        extensions.add_table(NewTable("cus:store", keys={"code": ("part",)}), actor=admin)
    assert not AddedField.objects.exists()


def test_only_administrators_extend(db):
    for doing in (
        lambda who: extensions.add_field(ACCOUNT, NewField("a"), actor=who),
        lambda who: extensions.change_field(ACCOUNT, "a", actor=who, label="A"),
        lambda who: extensions.removal(ACCOUNT, "a", actor=who),
        lambda who: extensions.remove_field(ACCOUNT, "a", actor=who),
        lambda who: extensions.remove_table("cus:store", actor=who),
    ):
        with pytest.raises(NotAllowed, match="ADMINISTRATION"):
            doing(make_actor(f"ann{id(doing)}", ("WORKFLOW",)))


def test_a_key_of_a_table_holds(db):
    table = NewTable(
        "cus:store",
        members=(NewField("code"), NewLink("folder", "xtk:folder")),
        keys={"code": ("code", "folder")},
    )
    extensions.add_table(table, actor=admin_actor())
    sql("INSERT INTO cus_store (code, folder_id) VALUES ('A', 1)")
    with pytest.raises(Exception, match="xtk_added_key"), transaction.atomic():
        sql("INSERT INTO cus_store (code, folder_id) VALUES ('A', 1)")
    assert registry.fresh()["cus:store"].keys == {"code": ("code", "folder")}


def test_a_label_is_changed_and_a_text_becomes_longer(account):
    admin = admin_actor()
    extensions.add_field(ACCOUNT, NewField("region", length=3), actor=admin)
    extensions.change_field(ACCOUNT, "region", actor=admin, label="Sales region", length=5)
    attribute = registry.fresh()[ACCOUNT].attributes["region"]
    assert (attribute.label, attribute.length) == ("Sales region", 5)
    sql("UPDATE nms_ext_account SET region = 'north'")
    with pytest.raises(Conflict, match="can only become longer"):
        extensions.change_field(ACCOUNT, "region", actor=admin, length=4)
    with pytest.raises(Invalid, match="printable"):
        extensions.change_field(ACCOUNT, "region", actor=admin, label="a\nb")
    with pytest.raises(Invalid, match="1 to 4000"):
        extensions.change_field(ACCOUNT, "region", actor=admin, length=4001)
    with pytest.raises(NotFound):
        extensions.change_field(ACCOUNT, "label", actor=admin, label="Mine")
    line = AuditEntry.objects.filter(entity="xtk:srcSchema").latest("audit_id")
    assert line.detail == {"changed": "region", "label": ["Region", "Sales region"], "length": [3, 5]}


# --- taking away


def test_what_is_used_is_shown_and_refused_unless_forced(account):
    admin = admin_actor()
    extensions.add_field(ACCOUNT, NewField("region"), actor=admin)
    sql("UPDATE nms_ext_account SET region = 'north'")
    SavedView.objects.create(
        schema=ACCOUNT,
        name="North",
        owner_id=admin.operator_id,
        columns=["@name", "@region"],
        modified_at=NOW,
    )
    CustomIndicator.objects.create(
        name="north",
        sql="SELECT count(*) FROM nms_ext_account WHERE region = 'north'",
        created_at=NOW,
        modified_at=NOW,
    )
    found = extensions.removal(ACCOUNT, "region", actor=admin)
    assert {(use.kind, use.name) for use in found.uses} == {
        ("Saved view", f"{ACCOUNT} North"),
        ("Own indicator", "north"),
    }
    assert found.rows == 1
    with pytest.raises(Conflict, match="used in 2 places"):
        extensions.remove_field(ACCOUNT, "region", actor=admin)
    assert "region" in registry.fresh()[ACCOUNT].attributes
    extensions.remove_field(ACCOUNT, "region", actor=admin, force=True)
    assert "region" not in registry.fresh()[ACCOUNT].attributes
    assert sql("SELECT 1 FROM information_schema.columns WHERE column_name = 'region'") == []
    line = AuditEntry.objects.filter(entity="xtk:srcSchema", entity_key=ACCOUNT).latest("audit_id")
    assert (line.action, line.detail) == ("Modified", {"removed": "region (string)", "rows": 1})
    with pytest.raises(Invalid, match="no attribute @region"):
        ask(ACCOUNT, "@region")


def test_another_field_is_no_use(account):
    admin = admin_actor()
    extensions.add_field(ACCOUNT, NewField("reg"), actor=admin)
    view = {"schema": ACCOUNT, "name": "v", "owner_id": admin.operator_id, "modified_at": NOW}
    SavedView.objects.create(columns=["@region", "[reg/@x]"], **view)
    assert extensions.removal(ACCOUNT, "reg", actor=admin).uses == ()


def test_a_table_goes_with_the_links_to_it_when_forced(account):
    admin = admin_actor()
    extensions.add_table(NewTable("cus:store", members=(NewField("name"),)), actor=admin)
    extensions.add_field(ACCOUNT, NewLink("shop", "cus:store"), actor=admin)
    found = extensions.removal("cus:store", actor=admin)
    assert [each.name for each in found.uses] == [f"{ACCOUNT} shop"]
    assert found.with_it == (f"{ACCOUNT} shop",)
    with pytest.raises(Conflict, match="used in 1 place"):
        extensions.remove_table("cus:store", actor=admin)
    extensions.remove_table("cus:store", actor=admin, force=True)
    assert "cus:store" not in registry.fresh()
    assert "shop" not in registry.fresh()[ACCOUNT].links
    assert sql("SELECT to_regclass('cus_store')") == [(None,)]


def test_what_a_package_brings_is_not_taken_away(db):
    with pytest.raises(NotFound, match="What a package brings stays"):
        extensions.remove_field(ACCOUNT, "label", actor=admin_actor())
    with pytest.raises(NotFound, match="No table"):
        extensions.remove_table(ACCOUNT, actor=admin_actor())


def test_the_link_to_the_folder_stays(db):
    table = NewTable("cus:note", members=(NewLink("workflow", "xtk:workflow"),), parent="workflow")
    extensions.add_table(table, actor=admin_actor())
    with pytest.raises(Conflict, match="lie in their folders"):
        extensions.remove_field("cus:note", "workflow", actor=admin_actor(), force=True)


# --- beside others


def test_what_was_rolled_back_is_known_to_nobody(db):
    with transaction.atomic():
        extensions.add_field(ACCOUNT, NewField("region"), actor=admin_actor())
        assert "region" in registry.fresh()[ACCOUNT].attributes
        transaction.set_rollback(True)
    assert "region" not in registry.fresh()[ACCOUNT].attributes


def test_of_two_who_add_the_same_one_is_refused(committed_db):
    admin, outcomes = admin_actor(), list[str]()

    def add() -> None:
        try:
            extensions.add_field(ACCOUNT, NewField("region"), actor=admin)
            outcomes.append("added")
        except Conflict as refusal:
            outcomes.append(str(refusal))
        finally:
            connection.close()

    both = [threading.Thread(target=add) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(outcomes) == [
        "added",
        f"{ACCOUNT} has region already (column region). Choose another name.",
    ]
    assert AddedField.objects.count() == 1


def test_a_busy_table_is_waited_for_and_then_refused(committed_db, monkeypatch):
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT", "100ms")
    admin = admin_actor()
    with psycopg.connect(committed_db.url) as other:
        other.execute("SELECT count(*) FROM nms_ext_account")
        monkeypatch.setattr(ddl, "PATIENCE_S", 0.5)
        with pytest.raises(Conflict, match="nms_ext_account is in use; nothing was changed"):
            extensions.add_field(ACCOUNT, NewField("region"), actor=admin)
        assert not AddedField.objects.exists()
        monkeypatch.setattr(ddl, "PATIENCE_S", 10.0)
        threading.Timer(0.6, other.rollback).start()
        extensions.add_field(ACCOUNT, NewField("region"), actor=admin)
    assert ask(ACCOUNT, "@region", where="@id < 0") == []


def test_an_index_is_made_beside_everything_and_begun_anew_after_a_crash(committed_db):
    admin = admin_actor()
    extensions.add_field(ACCOUNT, NewLink("operator", "xtk:operator"), actor=admin)
    field = AddedField.objects.get(name="operator")
    for name in ("a", "b"):
        make_account(name)
    sql("UPDATE nms_ext_account SET operator_id = 1")
    # It leaves what a process leaves that dies while it makes the index.
    with pytest.raises(IntegrityError):
        sql(f"CREATE UNIQUE INDEX CONCURRENTLY {ddl.index_name(field)} ON nms_ext_account (operator_id)")
    assert indexes.pending()
    assert indexes.make() == 1
    assert sql("SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", ddl.index_name(field)) == [
        (True,)
    ]
    assert AddedField.objects.get(name="operator").index_state == "ready"
    assert indexes.make() == 0
