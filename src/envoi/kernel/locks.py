"""The advisory locks of the product, in one place so that no two share a number."""

from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum

from django.db import connection

SPACE = 0x656E7669
"""First half of the two-part key: keeps ours apart from those of other software on the same server."""


class Lock(IntEnum):
    """What is locked."""

    INSTALL = 1
    """Installing and upgrading: one process at a time."""
    ADMINISTRATORS = 2
    """Changes after which nobody might be left who can administer."""
    TICK = 3
    """The engine's timer, on one host at a time."""
    FOLDERS = 4
    """Changes of the shape of the folder tree."""
    SCHEMAS = 5
    """Adding to the schemas and taking away."""
    SCHEMA_INDEXES = 6
    """Making indexes of added links, beside everything else."""


def in_transaction(lock: Lock) -> None:
    """Wait for `lock` and hold it until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", (SPACE, int(lock)))


def try_in_transaction(lock: Lock) -> bool:
    """Take `lock` until the caller's transaction ends; False when another session holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", (SPACE, int(lock)))
        row = cursor.fetchone()
    return row is not None and row[0] is True


@contextmanager
def held(lock: Lock) -> Generator[None]:
    """Wait for `lock` and hold it over several transactions of this connection.

    The server frees it by itself when the connection ends, however it ends.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", (SPACE, int(lock)))
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", (SPACE, int(lock)))
