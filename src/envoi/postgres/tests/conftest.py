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
from envoi.postgres.tests.support import wait_for

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
    parts = (str(seed / "postgres"), str(seed / "secrets"))
    subprocess.run(["cp", "-a", *parts, str(blank)], check=True)
    return blank


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
