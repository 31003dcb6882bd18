import pytest
from django.db import IntegrityError, connection, transaction

from envoi.kernel import clock, writing
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.testing import admin_actor, make_actor
from envoi.packages.delivery.models import DeliveryMapping
from envoi.packages.delivery.services import log_tables, mappings

pytestmark = pytest.mark.django_db


def make(name: str = "mapGroups", storage: str = "grp", **more: object) -> DeliveryMapping:
    given = {
        "label": "Groups",
        "schema": "nms:group",
        "storage": storage,
        "addresses": {"email": "@name"},
    } | more
    return mappings.create(name, actor=admin_actor(), **given)  # type: ignore[arg-type]


def exists(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        return cursor.fetchone()[0]


def test_a_mapping_gets_log_tables_of_its_own_and_takes_them_along() -> None:
    made = make()
    assert made.broad_log_schema == "nms:broadLogGrp"
    assert made.broad_log_excl_schema == "nms:exclLogGrp"
    assert all(exists(log_tables.table(kind, "grp")) for kind in log_tables.KINDS)
    mappings.delete("mapGroups", actor=admin_actor())
    assert not any(exists(log_tables.table(kind, "grp")) for kind in log_tables.KINDS)
    with pytest.raises(NotFound):
        mappings.find("mapGroups")


def test_wrong_mappings_are_refused() -> None:
    make()
    with pytest.raises(Conflict):
        make("other")  # its logs are those of another dimension
    with pytest.raises(Conflict):
        make(storage="more")
    with pytest.raises(NotFound):
        make("a", "a", schema="nms:nothing")
    with pytest.raises(Invalid):
        make("b", "b", addresses={"carrier pigeon": "@name"})
    with pytest.raises(Invalid):
        make("c", "c; DROP TABLE nms_group")
    with pytest.raises(Conflict, match="belongs to the product"):
        mappings.delete("mapRecipient", actor=admin_actor())
    with pytest.raises(NotAllowed):
        mappings.create(
            "d", actor=make_actor("ann"), label="D", schema="nms:group", storage="d", addresses={}
        )


def test_a_mapping_is_made_and_deleted_as_any_row() -> None:
    values = {"name": "mapLists", "label": "Lists", "schema": "nms:group", "storage": "lst"}
    made = writing.write("nms:deliveryMapping", values, actor=admin_actor(), operation="insert")
    assert exists("nms_broad_log_lst")
    writing.remove("nms:deliveryMapping", made.key, actor=admin_actor())
    assert not exists("nms_broad_log_lst")


def test_rows_of_a_run_lie_in_its_partition_and_no_target_is_in_it_twice() -> None:
    log_tables.make("tst")
    log_tables.make("tst")
    name = log_tables.partition("broad_log", "tst", 1234)
    assert name == "nms_broad_log_tst_1"
    assert log_tables.partition("broad_log", "tst", 1999) == name
    assert log_tables.partition("broad_log", "tst", 2000) != name
    columns = "id, target_id, run_id, delivery_id, modified_at"
    insert = f"INSERT INTO nms_broad_log_tst ({columns}) VALUES (%s, %s, %s, 1, %s)"
    with connection.cursor() as cursor:
        cursor.execute(insert, [1, 7, 1234, clock.now()])
        cursor.execute(insert, [2, 7, 1235, clock.now()])
        cursor.execute(f"SELECT count(*) FROM {name}")
        assert cursor.fetchone() == (2,)
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(insert, [3, 7, 1234, clock.now()])
        cursor.execute(f"DROP TABLE {name}")
        cursor.execute("SELECT count(*) FROM nms_broad_log_tst")
        assert cursor.fetchone() == (0,)
    log_tables.drop("tst")
