"""`envoi db` and `envoi postgres` on an instance of their own, and on a database of the user's own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from envoi.postgres.locks import keeper_lives
from envoi.postgres.remove import remove
from envoi.postgres.server import acquire


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of an instance whose database is empty."""
    monkeypatch.setenv("ENVOI_PG_LINGER", "1")
    (home / "envoi.toml").write_text('[instance]\nname = "db"\n')
    yield home
    remove(home)


def test_a_round_of_all(instance: Path, run_envoi: Callable[..., Any], tmp_path: Path) -> None:
    found = run_envoi("db", "url", "--json", home=instance, code=0).json
    assert found["role"] == "envoi"
    with acquire(instance):
        assert run_envoi("db", "url", "--role", "envoi_read", home=instance, code=0).out.startswith(
            "postgresql://envoi_read:"
        )
        with psycopg.connect(found["url"]) as session:
            session.execute("CREATE TABLE kept AS SELECT 7 AS a")
        statement = ("db", "shell", "--", "-At", "-c")
        assert run_envoi(*statement, "SELECT a FROM kept", home=instance, code=0).out == "7\n"
        run_envoi(*statement, "SELECT a FROM missing", home=instance, code=1)
        run_envoi("db", "shell", "--role", "envoi_read", "-c", "DELETE FROM kept", home=instance, code=1)

        file = tmp_path / "b"
        done = run_envoi("db", "backup", str(file), "--json", home=instance, code=0).json
        assert done == {"file": str(file), "size_bytes": file.stat().st_size, "server": 18}
        run_envoi(*statement, "DROP TABLE kept", home=instance, code=0)
        with psycopg.connect(found["url"]):
            refused = run_envoi("db", "restore", str(file), home=instance, code=3)
            assert "in use by envoi" in refused.err
            run_envoi("db", "restore", str(file), "--end-sessions", "--json", home=instance, code=0)
        assert run_envoi(*statement, "SELECT a FROM kept", home=instance, code=0).out == "7\n"
        refused = run_envoi("db", "restore", str(instance / "envoi.toml"), home=instance, code=3)
        assert "is no backup" in refused.err
        assert "Stop `envoi up`" in run_envoi("db", "upgrade", home=instance, code=3).err
    assert run_envoi("db", "upgrade", "--json", home=instance, code=0).json["kept"] is None


def test_a_folder_without_an_instance_is_refused(home: Path, run_envoi: Callable[..., Any]) -> None:
    assert "There is no instance" in run_envoi("db", "url", home=home, code=3).err
    assert list(home.iterdir()) == []


def test_a_database_of_the_users_own(instance: Path, run_envoi: Callable[..., Any], tmp_path: Path) -> None:
    with acquire(instance) as lease:
        env = {"DATABASE_URL": lease.url()}
        assert run_envoi("db", "url", env=env, code=0).out.startswith("postgresql://envoi:")
        run_envoi("db", "backup", str(tmp_path / "b"), env=env, code=0)
        assert "server of your own" in run_envoi("db", "upgrade", env=env, code=3).err
        assert "server of your own" in run_envoi("postgres", env=env, code=3).err


def test_postgres_stays_in_the_foreground(instance: Path, run_envoi: Callable[..., Any]) -> None:
    command = [sys.executable, "-m", "envoi.cli", "postgres", "--set", "work_mem=9MB"]
    environment = os.environ | {"ENVOI_HOME": str(instance), "DATABASE_URL": ""}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as keeper:
        assert keeper.stderr is not None
        assert "PostgreSQL is ready" in keeper.stderr.readline()
        shown = run_envoi("db", "shell", "--", "-Atc", "SHOW work_mem", home=instance, code=0).out
        assert shown == "9MB\n"
        keeper.send_signal(signal.SIGINT)
        assert keeper.wait() == 0
    assert not keeper_lives(instance)


def test_postgres_says_what_is_wrong(instance: Path, run_envoi: Callable[..., Any]) -> None:
    assert "NAME=VALUE" in run_envoi("postgres", "--set", "x", home=instance, code=2).err
    assert "no_such_setting" in run_envoi("postgres", "--set", "no_such_setting=1", home=instance, code=1).err
    assert (
        "ENVOI_PG_PROVIDER"
        in run_envoi("postgres", home=instance, env={"ENVOI_PG_PROVIDER": "none"}, code=3).err
    )
