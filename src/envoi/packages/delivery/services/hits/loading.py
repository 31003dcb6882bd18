"""One segment becomes rows of the inbox, in one transaction with the row that says so."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
from django.db import connection, transaction

from envoi.packages.delivery.models import TrackingSegment
from envoi.packages.delivery.services.landing import optouts
from envoi.packages.delivery.services.redirection.lines import COLUMNS
from envoi.packages.delivery.services.redirection.segments import REJECTED

KEPT = timedelta(days=30)
"""How long it is remembered that a segment was loaded; its file is gone right after."""
_COPY = f"COPY nms_tracking_inbox ({', '.join(COLUMNS)}) FROM STDIN"


@dataclass(frozen=True)
class Loaded:
    """What became of a segment: lines in the inbox, and lines that could not be read."""

    lines: int
    rejected: int = 0


def load(path: Path, *, now: datetime) -> Loaded | None:
    """Load a closed segment and remove its file; None when that was done already, and only the file is left.

    Lines that the database does not take stand in a file beside, with the ending `.rejected`. One-click
    unsubscriptions are carried out in the same transaction.
    """
    name = path.stem
    with transaction.atomic(), connection.cursor() as cursor:
        # Who loads the same segment at the same time waits here, and then finds it loaded.
        cursor.execute(
            "INSERT INTO nms_tracking_segment (name, host, lines, rejected, loaded_at)"
            " VALUES (%s, %s, 0, 0, %s) ON CONFLICT DO NOTHING",
            [name, socket.gethostname()[:255], now],
        )
        found = _fill(path, name, now) if cursor.rowcount else None
    path.unlink(missing_ok=True)
    return found


def forget(now: datetime) -> int:
    """Forget segments that were loaded long ago; returns how many."""
    return TrackingSegment.objects.filter(loaded_at__lt=now - KEPT).delete()[0]


def _fill(path: Path, name: str, now: datetime) -> Loaded:
    # What follows the last end of a line is empty, or was never answered: its process died in the write.
    *whole, torn = path.read_bytes().split(b"\n")
    rejected = [*_copy(whole), *([torn] if torn else [])]
    if rejected:
        _put_aside(path, rejected)
    found = Loaded(len(whole) + bool(torn) - len(rejected), len(rejected))
    TrackingSegment.objects.filter(name=name).update(lines=found.lines, rejected=found.rejected)
    optouts.apply(name, now=now)
    return found


def _copy(lines: list[bytes]) -> list[bytes]:
    """Copy lines into the inbox; returns those that it does not take, found by halving."""
    if not lines:
        return []
    try:
        with transaction.atomic():
            raw = cast("psycopg.Connection[Any]", connection.connection)
            cursor = psycopg.Cursor(raw)
            with cursor.copy(_COPY) as copy:
                copy.write(b"\n".join([*lines, b""]))
            # A line `\.` ends a COPY without an error.
            if cursor.rowcount != len(lines):
                raise psycopg.DataError("not every line is one")
    except (psycopg.DataError, psycopg.IntegrityError):
        if len(lines) == 1:
            return lines
        middle = len(lines) // 2
        return [*_copy(lines[:middle]), *_copy(lines[middle:])]
    return []


def _put_aside(path: Path, rejected: list[bytes]) -> None:
    aside = path.with_suffix(REJECTED)
    fresh = aside.with_name(f".{aside.name}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:
        file.write(b"\n".join([*rejected, b""]))
    fresh.rename(aside)
