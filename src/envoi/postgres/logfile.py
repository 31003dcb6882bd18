"""HOME/log/postgres.log: standard error of the server and words of the keeper, bounded in size."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from envoi.postgres.files import hand_over

LARGEST = 8 * 1024 * 1024
LAST_LINES = 12


class LogFile:
    """The open log. At 8 MB its text moves to postgres.log.1, which replaces the older one."""

    def __init__(self, home: Path) -> None:
        self.path = home / "log" / "postgres.log"
        self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        hand_over(home, self.handle)
        self._home = home

    def close(self) -> None:
        """Close the file (a server that writes into it has it open itself)."""
        os.close(self.handle)

    def say(self, text: str) -> None:
        """Add a line in the server's own format."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        os.write(self.handle, f"{stamp}.000 UTC [{os.getpid()}] KEEPER:  {text}\n".encode())

    def size(self) -> int:
        """Bytes now in the file."""
        return os.fstat(self.handle).st_size

    def since(self, offset: int) -> str:
        """What was written after byte `offset` (all, when the file was turned over since)."""
        with self.path.open("rb") as stream:
            stream.seek(offset if offset <= self.size() else 0)
            return stream.read(LARGEST).decode("utf-8", "replace")

    def turn_over(self) -> None:
        """Move the text aside when the file is too large.

        The server keeps the file open for appending, so it is copied and truncated, not renamed; a line
        written between the two is lost.
        """
        if self.size() > LARGEST:
            old = self.path.with_name("postgres.log.1")
            shutil.copyfile(self.path, old)
            hand_over(self._home, old)
            os.ftruncate(self.handle, 0)


def last_lines(text: str) -> str:
    """The end of a piece of log, to show in a refusal."""
    return "\n".join(text.strip().splitlines()[-LAST_LINES:])
