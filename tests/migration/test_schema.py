"""The schema: migrations agree with the models, and every package can be installed by itself."""

from importlib.metadata import entry_points

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection

from envoi.kernel.big_tables import BIG_TABLES, DISTRIBUTED_BY
from envoi.kernel.packages import resolve
from envoi.postgres import server

OFFERED = sorted(point.name for point in entry_points(group="envoi.packages"))
COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, is_identity, coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2
"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"


def ours():
    return [model for model in apps.get_models() if model.__module__.startswith("envoi.")]


@pytest.mark.smoke
def test_no_migration_is_missing(db):
    # exits with an error when there is something to make
    assert call_command("makemigrations", check=True, dry_run=True, verbosity=0) is None


@pytest.mark.smoke
def test_django_finds_nothing_to_say(db):
    assert call_command("check", fail_level="WARNING", database=["default"], verbosity=0) is None


def test_every_table_has_an_explicit_name():
    assert [
        model.__name__
        for model in ours()
        if model._meta.managed and "db_table" not in model._meta.original_attrs
    ] == []


def test_tables_are_named_as_the_products(db):
    with connection.cursor() as cursor:
        tables = {table.name for table in connection.introspection.get_table_list(cursor)}
    mine = {model._meta.db_table for model in ours() if model._meta.managed}
    assert mine <= tables
    assert [table for table in mine if table != table.lower() or "_" not in table] == []


def test_ids_are_64_bits_wide(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND is_identity = 'YES' AND data_type <> 'bigint'"
        )
        mine = {model._meta.db_table for model in ours()}
        assert [row for row in cursor.fetchall() if row[0] in mine] == []


def test_big_tables_have_no_identity_and_nothing_small_points_at_them(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND is_identity = 'YES'"
        )
        assert BIG_TABLES.isdisjoint(table for (table,) in cursor.fetchall())
        cursor.execute(
            "SELECT conrelid::regclass::text, confrelid::regclass::text"
            " FROM pg_constraint WHERE contype = 'f'"
        )
        assert [link for link in cursor.fetchall() if not BIG_TABLES.isdisjoint(link)] == []


KEYS = """
    SELECT relation.relname, index.relname, array_agg(attname::text)
    FROM pg_index JOIN pg_class relation ON relation.oid = indrelid
      JOIN pg_class index ON index.oid = indexrelid
      JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
    WHERE indisunique AND relation.relnamespace = 'public'::regnamespace GROUP BY 1, 2
"""


def undistributable(distributed_by):
    """Yield what a distributed database would refuse of the big tables that there are."""
    with connection.cursor() as cursor:
        cursor.execute(KEYS)
        for table, index, columns in cursor.fetchall():
            if table in distributed_by and distributed_by[table] not in columns:
                yield f"{index}: {distributed_by[table]} is not in the key of {table}"
        cursor.execute(
            """SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
               AND (is_identity = 'YES' OR column_default LIKE 'nextval(%%')"""
        )
        yield from (
            f"{table}.{column} counts by itself" for table, column in cursor if table in distributed_by
        )
        cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal")
        yield from (f"{trigger} on {table}" for table, trigger in cursor if table in distributed_by)


def test_big_tables_can_be_distributed(db):
    assert list(undistributable(DISTRIBUTED_BY)) == []


def test_what_cannot_be_distributed_is_found(db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE big (id bigserial PRIMARY KEY, target_id bigint UNIQUE)")
    assert list(undistributable({"big": "target_id"})) == [
        "big_pkey: target_id is not in the key of big",
        "big.id counts by itself",
    ]


def test_log_tables_of_a_mapping_can_be_distributed(db):
    from envoi.packages.delivery.services import log_tables

    log_tables.make("tst")
    made = {log_tables.table(kind, "tst"): "target_id" for kind in log_tables.KINDS}
    made |= {log_tables.partition(kind, "tst", 1): "target_id" for kind in log_tables.KINDS}
    assert list(undistributable(made)) == []


def schema(run_envoi, home, *packages):
    """Install an instance with these packages and return its columns and indexes."""
    run_envoi("init", "--packages", ",".join(packages), home=home, code=0)
    with server.acquire(home) as lease, psycopg.connect(lease.dsn()) as session:
        return session.execute(COLUMNS).fetchall(), session.execute(INDEXES).fetchall()


def test_every_package_alone_then_all_ends_in_the_same_schema(run_envoi, home, db):
    for name in OFFERED:
        assert schema(run_envoi, home, name)[0]
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        columns = cursor.fetchall()
        cursor.execute(INDEXES)
        assert schema(run_envoi, home, *OFFERED) == (columns, cursor.fetchall())


@pytest.mark.parametrize("name", OFFERED)
def test_a_package_installs_alone(run_envoi, home, name):
    done = run_envoi("init", "--packages", name, "--json", home=home, code=0)
    assert done.json["packages"] == list(resolve(("core_default", name)))
    again = run_envoi("init", "--json", home=home, code=0)
    assert again.json["packages"] == done.json["packages"]
