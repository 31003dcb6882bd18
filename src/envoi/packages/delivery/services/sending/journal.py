"""The outcome journal of a sender: what it wrote to the wire and what came back, before anything else.

A journal is a file of one process, locked (flock) as long as that lives. Each line is one write with O_APPEND
and tells one of two things:

- *begun*: the final dot of a message is about to be written;
- the outcome of a message: the server's reply, or that there was none.

What a dead sender leaves says it all: a message that was begun and has no outcome is in doubt, one that was
not begun was never sent. Any process of the host may take over a journal whose lock is free. Lines move into
the database with the place up to which they were moved, in one transaction, so each moves exactly once.

A line is in the page cache when the write returns: it survives the death of every process, not of the host.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, Protocol
from uuid import uuid4

from psycopg.sql import SQL, Composable, Identifier

from envoi.kernel import clock
from envoi.kernel.errors import Broken
from envoi.packages.delivery.services.abandoned import files
from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, State

BEGUN: Final = "b"
_FORM = "1"
_BEGUN, _SENT = (f"{_FORM}\t{kind}\t".encode("ascii") for kind in (BEGUN, State.SENT))
_LONGEST_TEXT = 1000  # letters; what servers say beyond that tells nobody anything
_ENDING = ".journal"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Entry(NamedTuple):
    """A line of a journal. `kind` is BEGUN or the value of a State; `code` 0 without a reply."""

    kind: str
    id: int
    run: int
    attempt: int
    repeat: bool
    at: datetime
    stage: str = ""
    code: int = 0
    enhanced: str = ""
    text: str = ""


class Cursor(Protocol):
    """The part of a database cursor that is needed here; Django's and psycopg's both have it."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: Any, params: Any = ..., /) -> Any: ...
    def fetchone(self) -> Any: ...


class Journal:
    """The journal that this process writes. A new one for every process; closed by `close`.

    Raises Broken when the folder cannot be written or a line cannot be written whole; then nothing more may
    be sent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{uuid4().hex}{_ENDING}"
        hidden = folder / f".{self.path.name}"
        try:
            self._handle = os.open(
                hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise Broken(f"{folder}: no journal can be written ({error.strerror}).") from error
        # Locked before it has its name: nobody may take it for a dead one's.
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        hidden.rename(self.path)
        self.size = 0
        self.at = clock.now()
        """When its last line was written."""

    def begun(self, message: Message) -> None:
        """Note that the dot of a message is about to be written."""
        self._append(
            f"{_FORM}\t{BEGUN}\t{message.run}\t{message.id}\t{message.attempt}\t{message.repeat:d}"
            f"\t{self._micros()}\tdot\t0\t\t\t"
        )

    def ended(self, outcome: Outcome) -> None:
        """Note what became of a message."""
        id, run, attempt, repeat, state, stage, (code, text, enhanced) = outcome
        # Letters that end lines or fields, and NUL, which PostgreSQL does not take, become blanks.
        text = text[:_LONGEST_TEXT]
        if text and not text.isprintable():
            text = "".join(letter if letter.isprintable() else " " for letter in text)
        self._append(
            f"{_FORM}\t{state}\t{run}\t{id}\t{attempt}\t{repeat:d}\t{self._micros()}"
            f"\t{stage}\t{code}\t{enhanced}\t{text}\t"
        )

    def close(self) -> None:
        """Let go of the journal; what is in it stays until it is removed."""
        os.close(self._handle)

    def _micros(self) -> int:
        self.at = clock.now()
        since = self.at - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

    def _append(self, content: str) -> None:
        said = content.encode("utf-8", "replace")
        line = b"%b%08x\n" % (said, zlib.crc32(said))
        try:
            written = os.write(self._handle, line)
        except OSError as error:
            raise Broken(
                f"{self.path}: the journal cannot be written ({error.strerror}). "
                "Nothing is sent until it can."
            ) from error
        if written != len(line):
            os.ftruncate(self._handle, self.size)
            raise Broken(f"{self.path}: the disk is full. Nothing is sent until there is room.")
        self.size += written


def abandoned(folder: Path) -> Iterator[Path]:
    """Return the journals of dead processes, each locked while the caller deals with it.

    A caller that has moved all of a journal removes it by `remove` before it asks for the next.
    """
    return files(folder, _ENDING)


def remove(path: Path) -> None:
    """Remove the journal of a dead process, all of which has been moved and committed."""
    path.unlink(missing_ok=True)


def read(path: Path, start: int = 0, most: int = 2**63 - 1) -> tuple[list[Entry], int]:
    """Return up to `most` entries from the byte `start` on, and the byte after the last of them.

    A last line that is torn is left out: its process died in the write, so what followed never happened.
    Raises Broken on a line that is whole and wrong.
    """
    entries: list[Entry] = []
    with path.open("rb") as file:
        file.seek(start)
        while len(entries) < most and (line := file.readline()).endswith(b"\n"):
            entries.append(_parsed(line) or _damaged(path, start))
            start += len(line)
    return entries, start


def outcomes(path: Path, start: int, most: int) -> tuple[dict[tuple[int, int], Entry | int], int, int]:
    """Return the last outcome of each message (run, id) in up to `most` lines from the byte `start` on, the
    byte after the last of them, and how many there are.

    Nearly all lines tell that a dot was about to be written, or that a message was sent: of those nothing is
    returned, of these the time alone, in microseconds since 1970. Messages that were not sent have no
    outcome. Raises Broken as `read`.
    """
    found: dict[tuple[int, int], Entry | int] = {}
    count = 0
    with path.open("rb") as file:
        file.seek(start)
        for line in islice(file, most):
            if not line.endswith(b"\n"):
                break
            kind = line[:4]
            if (kind != _BEGUN and kind != _SENT) or not _is_whole(line):
                entry = _parsed(line) or _damaged(path, start)
                if entry.kind != State.UNSENT:
                    found[entry.run, entry.id] = entry
            elif kind == _SENT:
                _form, _kind, run, id, _attempt, _repeat, micros, _rest = line.split(b"\t", 7)
                found[int(run), int(id)] = int(micros)
            start += len(line)
            count += 1
    return found, start, count


def _damaged(path: Path, start: int) -> NoReturn:
    raise Broken(
        f"{path}: the line at byte {start} is damaged. Keep the file, and set the messages of its sender to "
        "in doubt."
    )


def in_doubt(entries: list[Entry]) -> list[Entry]:
    """Return the last *begun* of each message that has no outcome, given all entries of a dead journal."""
    open_: dict[tuple[int, int], Entry] = {}
    for entry in entries:
        if entry.kind == BEGUN:
            open_[entry.run, entry.id] = entry
        else:
            open_.pop((entry.run, entry.id), None)
    return list(open_.values())


def create_tables(cursor: Cursor, table: str, *, temporary: bool = False) -> None:
    """Create the table that lines move into, and beside it `<table>_place`: how far each journal moved."""
    names = _names(table) | {"kind": SQL("TEMPORARY TABLE" if temporary else "TABLE")}
    cursor.execute(
        SQL(
            "CREATE {kind} {table} (journal text NOT NULL, position bigint NOT NULL, kind text NOT NULL,"
            " id bigint NOT NULL, run_id bigint NOT NULL, attempt integer NOT NULL, repeat boolean NOT NULL,"
            " at timestamptz NOT NULL, stage text NOT NULL, code smallint NOT NULL, enhanced text NOT NULL,"
            " reply text NOT NULL, PRIMARY KEY (journal, position))"
        ).format(**names)
    )
    cursor.execute(
        SQL("CREATE {kind} {place} (journal text PRIMARY KEY, place bigint NOT NULL)").format(**names)
    )


def move(cursor: Cursor, table: str, path: Path, *, most: int = 10_000) -> int:
    """Move the next lines of a journal into a table of `create_tables`; return how many (0: none is left).

    One statement for the lines and one for the place, in the caller's transaction: committed or not, each
    line moves exactly once, and two who move the same journal wait for each other at its place.
    """
    name, names = path.stem, _names(table)
    cursor.execute(
        SQL("INSERT INTO {place} (journal, place) VALUES (%s, 0) ON CONFLICT DO NOTHING").format(**names),
        (name,),
    )
    # The row is ours until the transaction ends; a second mover sees the new place.
    cursor.execute(
        SQL("UPDATE {place} SET place = place WHERE journal = %s RETURNING place").format(**names), (name,)
    )
    start: int = cursor.fetchone()[0]
    entries, end = read(path, start, most)
    if not entries:
        return 0
    cursor.execute(
        SQL(
            "INSERT INTO {table} (journal, position, kind, id, run_id, attempt, repeat, at, stage, code,"
            " enhanced, reply) SELECT %s, %s + number, kind, id, run_id, attempt, repeat, at, stage, code,"
            " enhanced, reply FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::integer[],"
            " %s::boolean[], %s::timestamptz[], %s::text[], %s::smallint[], %s::text[], %s::text[])"
            " WITH ORDINALITY AS line (kind, id, run_id, attempt, repeat, at, stage, code, enhanced, reply,"
            " number)"
        ).format(**names),
        (
            name,
            start,
            [entry.kind for entry in entries],
            [entry.id for entry in entries],
            [entry.run for entry in entries],
            [entry.attempt for entry in entries],
            [entry.repeat for entry in entries],
            [entry.at for entry in entries],
            [entry.stage for entry in entries],
            [entry.code for entry in entries],
            [entry.enhanced for entry in entries],
            [entry.text for entry in entries],
        ),
    )
    cursor.execute(SQL("UPDATE {place} SET place = %s WHERE journal = %s").format(**names), (end, name))
    return len(entries)


def _names(table: str) -> dict[str, Composable]:
    return {"table": Identifier(table), "place": Identifier(f"{table}_place")}


def _is_whole(line: bytes) -> bool:
    return line[-9:-1] == b"%08x" % zlib.crc32(line[:-9])


def _parsed(line: bytes) -> Entry | None:
    """Return what a line says, None when it is damaged."""
    if not _is_whole(line):
        return None
    form, kind, run, id, attempt, repeat, micros, stage, code, enhanced, text, _check = line.decode().split(
        "\t"
    )
    if form != _FORM:
        return None
    at = _EPOCH + timedelta(microseconds=int(micros))
    return Entry(kind, int(id), int(run), int(attempt), repeat == "1", at, stage, int(code), enhanced, text)
