"""The two locks of an instance.

HOME/run/postgres.lock is held shared by every command that uses the database; HOME/run/keeper.lock is held
exclusively by the one keeper. Both are advisory flocks: the kernel drops them when their holder dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from envoi.postgres.errors import ForeignInstance, PlaceUnusable
from envoi.postgres.files import hand_over

USERS = "postgres.lock"
KEEPER = "keeper.lock"
STEP = 0.02


def open_lock(home: Path, name: str) -> int:
    """Open (and make if needed) a lock file; the descriptor is closed in children that execute a program.

    Raises ForeignInstance when this user may not.
    """
    path = home / "run" / name
    fresh = not path.exists()
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise ForeignInstance(
            f"{path}: user {os.geteuid()} may not open it; the instance is of user {home.stat().st_uid}. "
            "Run the command as that user, or give another folder by --home."
        ) from error
    if fresh:
        hand_over(home, handle)
    return handle


def try_lock(handle: int, *, exclusive: bool) -> bool:
    """Take the lock without waiting; False when somebody holds it against us. Raises PlaceUnusable."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise PlaceUnusable(
            f"{os.readlink(f'/proc/self/fd/{handle}')}: the file system knows no locks ({error.strerror}). "
            "Put the instance's folder on a local disk."
        ) from error
    return True


def wait_lock(handle: int, *, exclusive: bool, seconds: float) -> bool:
    """Take the lock, trying for `seconds`; False when that was not long enough."""
    deadline = time.monotonic() + seconds
    while not try_lock(handle, exclusive=exclusive):
        if time.monotonic() >= deadline:
            return False
        time.sleep(STEP)
    return True


def unlock(handle: int) -> None:
    """Give the lock back and keep the file open."""
    fcntl.flock(handle, fcntl.LOCK_UN)


def keeper_lives(home: Path) -> bool:
    """Whether some process holds the keeper's lock. The test itself holds it shared for an instant."""
    try:
        handle = os.open(home / "run" / KEEPER, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(handle, exclusive=False)
    finally:
        os.close(handle)
