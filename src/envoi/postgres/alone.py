"""Have an instance's database for oneself: no command uses it, no keeper keeps it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from envoi.postgres import leftovers
from envoi.postgres.cluster import majors
from envoi.postgres.errors import InUse
from envoi.postgres.files import instance_home
from envoi.postgres.keep import keeper_pid
from envoi.postgres.locks import KEEPER, USERS, keeper_lives, open_lock, try_lock, wait_lock
from envoi.postgres.place import Place, recorded_place

STOPPING = 180.0


@contextmanager
def alone(home: Path, *, patience: float = 1.0) -> Generator[Place | None]:
    """Hold both locks of the instance; a keeper without users is stopped first.

    Yields the recorded place (None when no server ever ran). Raises InUse when some command uses the database
    after `patience` seconds.
    """
    users = open_lock(home, USERS)
    keeper = open_lock(home, KEEPER)
    try:
        if not wait_lock(users, exclusive=True, seconds=patience):
            raise InUse(
                f"{home}: a command uses the database. Stop `envoi up` and the other processes first."
            )
        _end_keeper(home, keeper)
        place = recorded_place(home)
        if place is not None:
            for major in majors(place):
                leftovers.clear(place.data(major), lambda text: None)
        yield place
    finally:
        os.close(keeper)
        os.close(users)


def stop(home: Path | str, *, patience: float = 1.0) -> bool:
    """Stop the server now and wait for it, rather than let it linger; False when some command uses it."""
    home = instance_home(home)
    if not (home / "run").is_dir():
        return True
    try:
        with alone(home, patience=patience):
            return True
    except InUse:
        return False


def _end_keeper(home: Path, keeper: int) -> None:
    deadline = time.monotonic() + STOPPING
    while not try_lock(keeper, exclusive=True):
        pid = keeper_pid(home)
        if pid is not None and keeper_lives(home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        if time.monotonic() > deadline:
            raise InUse(f"{home}: its keeper, process {pid}, does not stop. See {home}/log/postgres.log.")
        time.sleep(0.05)
