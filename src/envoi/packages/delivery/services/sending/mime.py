"""A delivery's message as a skeleton with holes: what all share is made once, the rest for each recipient.

Lines that messages have in common are encoded once too, and known for what a signature and SMTP ask of them,
so that nobody looks through a whole message again.

text | text and HTML (multipart/alternative) | with images inside (multipart/related) | with attachments
(multipart/mixed). Lines end in CRLF and are shorter than 998 bytes whatever is put in; all is ASCII except
addresses that are not.
"""

import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import NamedTuple, cast

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.sending import dkim, headers
from envoi.packages.delivery.services.sending.smtp import is_mailbox

_LINES_KEPT = 4096
_WIDTH = 76
_SHORT = 900
_DOTTED = re.compile(rb"^\.(.*)$", re.M)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with every message. With a `content_id` the HTML shows it as `cid:…`."""

    name: str
    content_type: str
    content: bytes
    content_id: str = ""


class Head(NamedTuple):
    """What stands above one message. `unsubscribe` is an https address or empty; `extra` has ASCII values."""

    message_id: str
    date: datetime
    from_name: str
    from_address: str
    to_name: str
    to_address: str
    subject: str
    reply_to: str = ""
    unsubscribe: str = ""
    unsubscribe_mail: str = ""
    extra: Sequence[tuple[str, str]] = ()


class Made(NamedTuple):
    """A whole message. `dotted`: a line of it begins with a dot, which SMTP must double."""

    data: bytes
    dotted: bool


class Fixed(NamedTuple):
    """A piece of a text in quoted-printable, in whole lines, of which the last may go on softly and none
    begins with a dot. `relaxed`: as a signature takes it (RFC 6376 §3.4.4).
    """

    data: bytes
    relaxed: bytes


class Coded(NamedTuple):
    """A text in quoted-printable, made of such pieces."""

    data: Sequence[bytes]
    relaxed: Sequence[bytes]


Text = str | Coded


def fixed(text: str) -> Fixed:
    """Return a piece of a text, after which another one follows in a line of its own."""
    data = _soft(text.encode("utf-8", "replace"))
    return Fixed(data, dkim.relaxed_piece(data))


def inserted(text: str) -> bytes:
    """Return a piece that is inserted between such pieces; it is relaxed as it is."""
    data = text.encode("utf-8", "replace")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _soft(data, blanks=b"  " in data or b"\t" in data)


def _soft(data: bytes, *, blanks: bool = False) -> bytes:
    """Return lines in quoted-printable; one that is not ended goes on softly. With `blanks` encoded too."""
    # One letter more, so that the last line has room for what makes it go on.
    made = binascii.b2a_qp(data + b"x", istext=True, quotetabs=blanks)[:-1]
    if made and not made.endswith(b"\n"):
        made += b"=\n"
    if made[:1] == b"." or b"\n." in made:
        made = _DOTTED.sub(_hidden, made)
    return made.replace(b"\n", b"\r\n")


def _hidden(line: re.Match[bytes]) -> bytes:
    rest = line[1]
    return b"=2E" + rest if len(rest) <= _WIDTH - 3 else b"=2E=\n" + rest


def decoded(text: Text) -> bytes:
    """Return what a text says, with lines that end in LF."""
    if isinstance(text, str):
        return _unix(text)
    return binascii.a2b_qp(b"".join(text.data)).replace(b"\r\n", b"\n")


class Skeleton:
    """The parts of a delivery's messages, precompiled."""

    def __init__(
        self,
        *,
        text: bool,
        html: bool,
        attachments: Sequence[Attachment] = (),
        encoding: str = "quoted-printable",
    ) -> None:
        """`encoding` of the texts: "quoted-printable", or "base64" (shorter where few letters are Latin).

        Raises Invalid when there is neither text nor HTML, or an attachment's name or type cannot be.
        """
        if not (text or html):
            raise Invalid("A message needs a text, an HTML, or both.")
        encoders: dict[str, type[_Encoder]] = {"quoted-printable": _Quoted, "base64": _Based}
        if encoding not in encoders:
            raise Invalid(f"{encoding!r} is not an encoding of texts: {', '.join(encoders)}.")
        self._encoder = encoders[encoding]()
        body = _text("plain", encoding, 0) if text else _text("html", encoding, 1)
        related = [each for each in attachments if each.content_id]
        page = _text("html", encoding, 1)
        if html and related:
            page = _multipart('related; type="text/html"', [page, *map(_file, related)])
        if text and html:
            body = _multipart("alternative", [body, page])
        elif html:
            body = page
        others = [each for each in attachments if not (each.content_id and html)]
        if others:
            body = _multipart("mixed", [body, *map(_file, others)])
        first, *others = _joined([b"MIME-Version: 1.0\r\n", *body])
        assert isinstance(first, bytes)  # noqa: S101 it begins with fields
        fields, _, rest = first.partition(b"\r\n\r\n")
        self._fields = dkim.fields(fields)
        self._pieces = [rest, *others]
        self._relaxed = [
            dkim.relaxed_piece(piece) if isinstance(piece, bytes) else piece for piece in self._pieces
        ]
        self._dotted = any(_has_dots(piece) for piece in self._pieces if isinstance(piece, bytes))
        self._dated: tuple[datetime | None, bytes] = (None, b"")
        self._known: dict[tuple[str, str, str], bytes] = {}

    def build(self, head: Head, *, text: str = "", html: str = "") -> bytes:
        """Return a whole message. Raises Invalid when an address is not one."""
        return self.make(head, text=text, html=html).data

    def make(
        self, head: Head, *, text: Text = "", html: Text = "", keys: Sequence[dkim.Key] = (), at: int = 0
    ) -> Made:
        """Return a whole message, with a signature by each key above it; `at` is in seconds since 1970.

        Raises Invalid when an address is not one.
        """
        body: list[bytes] = []
        relaxed: list[bytes] | None = [] if keys else None
        for piece, canonical in zip(self._pieces, self._relaxed, strict=True):
            if isinstance(piece, bytes):
                body.append(piece)
                if relaxed is not None:
                    relaxed.append(cast("bytes", canonical))
            else:
                self._encoder.encode(html if piece else text, body, relaxed)
        fields = [*self._head(head), *self._fields]
        signed = b""
        if relaxed is not None:
            signed = dkim.signatures(fields, dkim.relaxed_end(b"".join(relaxed)), keys, at=at)
        return Made(b"".join((signed, *fields, b"\r\n", *body)), self._dotted)

    def _head(self, head: Head) -> list[bytes]:
        second = head.date.replace(microsecond=0)
        if self._dated[0] != second:
            self._dated = (second, f"Date: {format_datetime(head.date)}\r\n".encode("ascii"))
        lines = [
            self._dated[1],
            self._mailbox("From", head.from_name, head.from_address),
            headers.mailbox("To", head.to_name, head.to_address),
            headers.unstructured("Subject", head.subject),
            _named(head.message_id),
        ]
        if head.reply_to:
            lines.append(self._mailbox("Reply-To", "", head.reply_to))
        if head.unsubscribe or head.unsubscribe_mail:
            lines += _listed(head.unsubscribe, head.unsubscribe_mail)
        lines.extend(headers.field(name, value) for name, value in head.extra)
        return lines

    def _mailbox(self, name: str, display: str, address: str) -> bytes:
        """Return a field that most messages share."""
        key = (name, display, address)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _LINES_KEPT:
                self._known.clear()
            found = self._known[key] = headers.mailbox(name, display, address)
        return found


def _named(message_id: str) -> bytes:
    if message_id.isascii() and message_id.isprintable() and len(message_id) < _SHORT:
        return f"Message-ID: <{message_id}>\r\n".encode("ascii")
    return headers.field("Message-ID", f"<{message_id}>")


def _listed(web: str, mail: str) -> list[bytes]:
    """Return the fields that say how to leave, each way in a line of its own."""
    ways = [f"<{web}>"] if web else []
    if mail:
        ways.append(f"<mailto:{mail}?subject=unsubscribe>")
    said = ",\r\n ".join(ways)
    if web.isascii() and web.isprintable() and len(web) < _SHORT and (not mail or is_mailbox(mail)):
        made = f"List-Unsubscribe: {said}\r\n".encode("ascii")
    else:
        made = headers.field("List-Unsubscribe", ", ".join(ways))
    # One click only where a POST is answered (RFC 8058).
    one_click = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    return [made, one_click] if web.startswith("https:") else [made]


Piece = bytes | int
"""Bytes as they are, or the place of a hole: 0 the text, 1 the HTML."""


def _text(kind: str, encoding: str, hole: int) -> list[Piece]:
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return [head.encode("ascii"), hole]


def _file(attachment: Attachment) -> list[Piece]:
    main, slash, sub = attachment.content_type.partition("/")
    if not (main.isalnum() and slash and sub) or main == "multipart":
        raise Invalid(f"{attachment.name}: {attachment.content_type!r} is not a type of content.")
    if attachment.content_id and not attachment.content_id.isprintable():
        raise Invalid(f"{attachment.name}: {attachment.content_id!r} cannot be a content id.")
    place = "inline" if attachment.content_id else "attachment"
    lines = [
        headers.field("Content-Type", attachment.content_type),
        b"Content-Transfer-Encoding: base64\r\n",
        f"Content-Disposition: {place};\r\n {_filename(attachment.name)}\r\n".encode("ascii"),
    ]
    if attachment.content_id:
        lines.append(headers.field("Content-ID", f"<{attachment.content_id}>"))
    return [b"".join(lines) + b"\r\n" + _based(attachment.content)]


def _filename(name: str) -> str:
    if name.isascii() and name.isprintable() and len(name) < 60:
        return 'filename="' + name.replace("\\", "_").replace('"', "_") + '"'
    # RFC 2231 in pieces, so that no line is too long.
    quoted = "".join(f"%{byte:02X}" for byte in name.encode("utf-8", "replace"))
    pieces = [quoted[start : start + 60] for start in range(0, len(quoted), 60)]
    return ";\r\n ".join(
        f"filename*{number}*={chr(39).join(('utf-8', '', piece)) if number == 0 else piece}"
        for number, piece in enumerate(pieces)
    )


def _multipart(kind: str, parts: Sequence[list[Piece]]) -> list[Piece]:
    # "=_" cannot stand in quoted-printable or base64 (RFC 2045 §6.7): no text can hold the boundary.
    boundary = f"=_{secrets.token_hex(12)}"
    pieces: list[Piece] = [f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n'.encode("ascii")]
    for part in parts:
        pieces += [f"\r\n--{boundary}\r\n".encode("ascii"), *part]
    return [*pieces, f"\r\n--{boundary}--\r\n".encode("ascii")]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and isinstance(piece, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


class _Encoder:
    """How texts are encoded."""

    def encode(self, text: Text, body: list[bytes], relaxed: list[bytes] | None) -> None:
        """Add a text to a body, in whole lines of ASCII, and to the same as a signature takes it (RFC 6376
        §3.4.4) if that is wanted. No line begins with a dot.
        """
        raise NotImplementedError


class _Quoted(_Encoder):
    """Quoted-printable, each line once: most lines of a delivery's messages are the same in all."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def encode(self, text: Text, body: list[bytes], relaxed: list[bytes] | None) -> None:
        if isinstance(text, Coded):
            body += text.data
            if relaxed is not None:
                relaxed += text.relaxed
            return
        for data, canonical in self._lines.of(text):
            body.append(data)
            if relaxed is not None:
                relaxed.append(canonical)


class _Based(_Encoder):
    """Base64, in which no line has a blank or begins with a dot."""

    def encode(self, text: Text, body: list[bytes], relaxed: list[bytes] | None) -> None:
        if not isinstance(text, str):
            raise TypeError("What is in quoted-printable cannot stand in base64.")
        data = _based(_unix(text).replace(b"\n", b"\r\n"))
        body.append(data)
        if relaxed is not None:
            relaxed.append(data)


class _Lines(dict[bytes, Fixed]):
    """Line with its end -> what it is in quoted-printable."""

    def __missing__(self, line: bytes) -> Fixed:
        made = self[line] = fixed(line.decode() + "\n")
        return made

    def of(self, text: str) -> list[Fixed]:
        """Return the lines of a text."""
        if len(self) > _LINES_KEPT:
            self.clear()
        return list(map(self.__getitem__, _unix(text)[:-1].split(b"\n")))


def _has_dots(data: bytes) -> bool:
    return data.startswith(b".") or b"\n." in data


def _unix(text: str) -> bytes:
    """Return a text in whole lines that end in LF."""
    data = text.encode("utf-8", "replace")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data if data.endswith(b"\n") else data + b"\n"


def _based(data: bytes) -> bytes:
    text = binascii.b2a_base64(data, newline=False)
    return b"".join(text[start : start + 76] + b"\r\n" for start in range(0, len(text), 76))
