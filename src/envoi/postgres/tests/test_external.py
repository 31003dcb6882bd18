"""A server of the user's own behind the same face."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from envoi.postgres import server
from envoi.postgres.errors import DatabaseRefused, NotAnswering
from envoi.postgres.server import Lease, external
from envoi.postgres.tests.support import query


@pytest.fixture
def url(shared: Lease) -> str:
    """A server with a role that may make databases, as a user would give it."""
    owner = shared.dsn("envoi_owner")
    if not query(owner, "SELECT 1 FROM pg_roles WHERE rolname = 'theirs'"):
        query(owner, "CREATE ROLE theirs LOGIN CREATEDB PASSWORD 'a/b@c'")
        query(owner, "GRANT CONNECT ON DATABASE postgres TO theirs")
        query(owner, "CREATE DATABASE theirs OWNER theirs")
    host = shared.params()["host"].replace("/", "%2F")
    return f"postgresql://theirs:a%2Fb%40c@/theirs?host={host}&application_name=x"


def test_has_the_same_face(url: str) -> None:
    with external(url) as lease:
        assert (lease.embedded, lease.home, lease.dbname, lease.major) == (False, None, "theirs", 18)
        assert lease.params()["password"] == "a/b@c"
        assert lease.options() == {"application_name": "x"}
        assert query(lease.url(), "SELECT current_user") == [("theirs",)]
        with psycopg.connect(**lease.params(), **lease.options()) as session:
            assert session.info.dbname == "theirs"


def test_its_one_role_reads_only_when_asked_for_the_reader(url: str) -> None:
    lease = external(url)
    reader = lease.dsn("envoi_read")
    assert query(reader, "SHOW statement_timeout") == [("30s",)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        query(reader, "CREATE TABLE t (a int)")
    query(lease.dsn(), "CREATE TABLE t (a int)")


def test_makes_databases_with_its_own_role(url: str) -> None:
    lease = external(url)
    lease.create_database("theirs_too")
    assert query(lease.dsn(dbname="theirs_too"), "SELECT current_database()") == [("theirs_too",)]
    lease.drop_database("theirs_too")


def test_without_the_right_the_refusal_says_so(shared: Lease) -> None:
    plain = external(shared.url())
    with pytest.raises(DatabaseRefused, match=r"permission denied.*CREATEDB"):
        plain.create_database("another")


def test_an_old_server_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OLDEST_MAJOR", 99)
    with pytest.raises(DatabaseRefused, match=r"is PostgreSQL 18; version 99 or later is needed"):
        external(url)


@pytest.mark.parametrize("bad", ["postgresql://127.0.0.1:1/x", "postgresql:///x?host=/nowhere", "what?"])
def test_a_server_that_cannot_be_reached_is_refused(bad: str) -> None:
    with pytest.raises(NotAnswering, match=r"DATABASE_URL: .*Check host"):
        external(bad)


def test_a_refusal_shows_no_password(shared: Lease) -> None:
    wrong = make_conninfo(**{**shared.connection(), "password": "geheim-und-falsch"})
    with pytest.raises(NotAnswering) as refused:
        external(wrong)
    assert "geheim" not in str(refused.value)
