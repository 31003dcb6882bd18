"""Segments: the files that hits are in until they are in the database (ADR 0029).

A process that answers readers writes one segment at a time, by one write with O_APPEND for the hits of a turn
of its loop, before their answers. It holds the lock (flock) of its segment while it lives, and closes it by
itself, after a few seconds or when it is large, by giving it the ending `.ready`. What a dead process leaves
is closed by whoever finds its lock free.

A line is in the page cache when the write returns: it survives the death of every process, not of the host.
A segment is brought to the disk when it closes.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from envoi.kernel import clock
from envoi.kernel.errors import Broken
from envoi.packages.delivery.services import abandoned
from envoi.packages.delivery.services.redirection.ids import Ids

OPEN, READY, REJECTED = ".open", ".ready", ".rejected"
SECONDS: Final = 5.0
"""How long a segment takes in hits."""
SIZE: Final = 4 * 1024 * 1024
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


class Segments:
    """The segments that this process writes, one after the other; several threads may.

    `hand_over` is told of each file that is made: root works for another user.
    """

    def __init__(
        self,
        folder: Path,
        ids: Ids,
        *,
        seconds: float = SECONDS,
        size: int = SIZE,
        hand_over: Callable[[int], object] = lambda handle: None,
    ) -> None:
        self._folder, self._ids, self._seconds, self._most = folder, ids, seconds, size
        self._hand_over = hand_over
        self._lock = threading.Lock()
        self._handle = -1
        self._name = ""
        self._size = 0
        self._opened = 0.0

    def append(self, hits: Sequence[str]) -> None:
        """Write the lines of hits, each with its log id before it and the name of the segment after it.

        Raises Broken when they could not all be written; then nothing of them is left.
        """
        with self._lock:
            if self._handle < 0:
                self._open()
            end = f"\t{self._name}\n"
            lines = zip(self._ids.take(len(hits)), hits, strict=True)
            line = "".join([f"{number}\t{hit}{end}" for number, hit in lines]).encode("utf-8", "replace")
            try:
                written = os.write(self._handle, line)
            except OSError as error:
                raise Broken(f"{self._folder}: hits cannot be written ({error.strerror}).") from error
            if written != len(line):
                os.ftruncate(self._handle, self._size)
                raise Broken(f"{self._folder}: the disk is full, hits cannot be written.")
            self._size += written
            full = self._taken() if self._size >= self._most else None
        if full is not None:
            self._close(*full)

    def close_old(self) -> None:
        """Close the segment if it is old enough; to be called every second or so."""
        with self._lock:
            due = self._handle >= 0 and clock.monotonic() - self._opened >= self._seconds
            taken = self._taken() if due else None
        if taken is not None:
            self._close(*taken)

    def close(self) -> None:
        """Close the segment, whatever its age."""
        with self._lock:
            taken = self._taken() if self._handle >= 0 else None
        if taken is not None:
            self._close(*taken)

    def _open(self) -> None:
        name = f"{self._ids.take(1)[0]:016x}"
        hidden = self._folder / f".{name}{OPEN}"
        try:
            handle = os.open(hidden, _FLAGS, 0o600)
            self._hand_over(handle)
            # Locked before it has its name: nobody may take it for a dead one's.
            fcntl.flock(handle, fcntl.LOCK_EX)
            hidden.rename(self._folder / f"{name}{OPEN}")
        except OSError as error:
            raise Broken(f"{self._folder}: no segment can be made ({error.strerror}).") from error
        self._handle, self._name, self._size, self._opened = handle, name, 0, clock.monotonic()

    def _taken(self) -> tuple[int, str]:
        found = self._handle, self._name
        self._handle = -1
        return found

    def _close(self, handle: int, name: str) -> None:
        os.fdatasync(handle)
        (self._folder / f"{name}{OPEN}").rename(self._folder / f"{name}{READY}")
        os.close(handle)


def close_abandoned(folder: Path) -> int:
    """Close the segments of dead processes; returns how many."""
    count = 0
    for path in abandoned.files(folder, OPEN):
        # Its process may have closed it just before it died.
        with suppress(FileNotFoundError):
            path.rename(path.with_suffix(READY))
            count += 1
    return count


def ready(folder: Path) -> Iterator[Path]:
    """Yield the segments that wait to be loaded, the oldest first."""
    yield from sorted(folder.glob(f"*{READY}"))
