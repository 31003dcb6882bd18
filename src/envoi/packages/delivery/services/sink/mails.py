"""The mails that a sink has taken: one file each and a line in an index, in a folder with a limit."""

import itertools
import json
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from envoi.kernel.errors import NotFound

FOLDER = "sink"
INDEX = "index.jsonl"
LARGEST = 200_000_000
"""Bytes of all mails; the oldest go first."""
_NUMBER = re.compile(r"[0-9a-f]{16}-[0-9a-f]{4}")


@dataclass(frozen=True)
class Mail:
    """A mail of the index. `at` in ISO, UTC."""

    number: str
    at: str
    to: str
    sender: str
    subject: str
    size: int
    name: str = ""
    """From, as it is shown."""

    @property
    def moment(self) -> datetime:
        """When it came."""
        return datetime.fromisoformat(self.at)


class Mails:
    """The folder of a sink. One process puts mails into it; any may read."""

    def __init__(self, home: Path, *, largest: int = LARGEST) -> None:
        self.folder = home / FOLDER
        self._index = self.folder / INDEX
        self._largest = largest
        self._count = itertools.count()
        self._bytes: int | None = None

    def put(self, to: str, sender: str, content: bytes, moment: datetime) -> Mail:
        """Keep a mail; the oldest make room for it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._bytes is None:
            self._bytes = sum(each.size for each in self)
        number = f"{round(moment.timestamp() * 1e9):016x}-{next(self._count) & 0xFFFF:04x}"
        heads = BytesHeaderParser(policy=policy.default).parsebytes(content)
        mail = Mail(
            number,
            moment.isoformat(),
            to,
            sender,
            _said(heads, "Subject"),
            len(content),
            _said(heads, "From"),
        )
        self._file(number).write_bytes(content)
        with self._index.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(mail), ensure_ascii=False) + "\n")
        self._bytes += len(content)
        if self._bytes > self._largest:
            self._make_room()
        return mail

    def __iter__(self) -> Iterator[Mail]:
        """Yield the mails in the order in which they came."""
        try:
            with self._index.open(encoding="utf-8") as lines:
                for line in lines:
                    if not line.endswith("\n"):
                        return
                    yield Mail(**json.loads(line))
        except FileNotFoundError:
            return

    def latest(self, query: str, most: int, *, before: str = "") -> tuple[list[Mail], int]:
        """Return the latest mails in which a text stands (address, From, subject), and how many there are.

        `before` is the number of a mail: only older ones are returned; all are counted.
        """
        wanted = query.casefold()
        found: deque[Mail] = deque(maxlen=most)
        count = 0
        for mail in self:
            if wanted and wanted not in f"{mail.to} {mail.name} {mail.subject}".casefold():
                continue
            count += 1
            if not before or mail.number < before:
                found.append(mail)
        return list(reversed(found)), count

    def find(self, number: str) -> Mail:
        """Return a mail of the index. Raises NotFound."""
        for mail in self:
            if mail.number == number:
                return mail
        raise NotFound(_("This mail is not in the mailbox any more."))

    def content(self, number: str) -> bytes:
        """Return a mail as it came. Raises NotFound."""
        try:
            if _NUMBER.fullmatch(number):
                return self._file(number).read_bytes()
        except FileNotFoundError:
            pass
        raise NotFound(_("This mail is not in the mailbox any more."))

    def empty(self) -> None:
        """Throw all mails away."""
        for mail in list(self):
            self._file(mail.number).unlink(missing_ok=True)
        self._index.unlink(missing_ok=True)
        self._bytes = None

    def _file(self, number: str) -> Path:
        return self.folder / f"{number}.eml"

    def _make_room(self) -> None:
        """Throw away the oldest until a tenth is free, then write the index anew."""
        mails = deque(self)
        total = sum(mail.size for mail in mails)
        while mails and total > self._largest * 0.9:
            gone = mails.popleft()
            total -= gone.size
            self._file(gone.number).unlink(missing_ok=True)
        fresh = self._index.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(asdict(mail), ensure_ascii=False) + "\n" for mail in mails)
        os.replace(fresh, self._index)
        self._bytes = total


@dataclass(frozen=True)
class Opened:
    """A mail that is read: its headers in order, its text and HTML ("" without), its attachments' names."""

    headers: list[tuple[str, str]]
    text: str
    html: str
    files: list[tuple[str, int]]


def read(content: bytes) -> Opened:
    """Take a mail apart. What cannot be read is shown as well as it can."""
    message = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(message, EmailMessage)  # noqa: S101 the policy makes them
    files = [
        (part.get_filename() or part.get_content_type(), len(part.get_payload(decode=True) or b""))
        for part in message.iter_attachments()
    ]
    return Opened(
        headers=[(name, str(value)) for name, value in message.items()],
        text=_body(message, "plain"),
        html=_body(message, "html"),
        files=files,
    )


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, KeyError, UnicodeError):
        payload: Any = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _said(heads: Any, name: str) -> str:
    try:
        return " ".join(str(heads.get(name, "")).split())[:500]
    except (ValueError, LookupError, IndexError):
        return ""
