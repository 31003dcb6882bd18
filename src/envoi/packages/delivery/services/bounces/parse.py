"""Take a mail apart: its headers, what it says, its report blocks and the mail that it is about.

Mails that come back are often broken: boundaries that never close, charsets that lie, parts without headers.
So this reads bytes forgivingly and never raises, whatever comes. It stops looking where the mail that came
back begins: everything after its headers is of no use here, and that is most of the bytes.
"""

import binascii
import codecs
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.header import decode_header

Fields = dict[str, list[str]]
"""Header name in lower case -> its values, unfolded, in the order of the mail."""

DEPTH = 8
"""Multiparts inside multiparts beyond this are not looked into."""
PARTS = 100
"""Parts of one mail that are looked at."""
TEXT = 60_000
"""Characters of readable text that are kept."""
HEADER = 2_000
"""Characters of a header that are decoded."""
HTML = 400_000
"""Characters of HTML that are looked at."""

_FIELD = re.compile(r"^([!-9;-~]+)[ \t]*:[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_FOLD = re.compile(r"\s*\n\s+")
_BOUNDARY = re.compile(r"""\bboundary\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s;"]+))""", re.IGNORECASE)
_CHARSET = re.compile(r"""\bcharset\*?\s*=\s*["']?([\w.:+-]{1,40})""", re.IGNORECASE)
_BLANK = re.compile(rb"\n[ \t]*(?=\n)")
_OTHER_BOUNDARY = re.compile(rb"^--(\S[^\n]*?)[ \t]*\ncontent-[a-z-]+[ \t]*:", re.IGNORECASE | re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_SECOND_RECIPIENT = re.compile(r"\n(?=final-recipient[ \t]*:)", re.IGNORECASE)
_FINAL = re.compile(r"^final-recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)
_UNSEEN = re.compile(r"<(script|style|head|title)\b|<!--", re.IGNORECASE)
_TAG_BREAK = re.compile(
    r"<\s*(?:/\s*)?(?:br|p|div|tr|li|h\d|table|pre|blockquote|hr)\b[^<>]*>", re.IGNORECASE
)
_SPACES = re.compile(r"\s+")
_TAG = re.compile(r"<[a-z/!][^<>]*>", re.IGNORECASE)
_TAGGED_ADDRESS = re.compile(r"<([^<>\s@]+@[^<>\s@]+)>")
_MESSAGE_MARKS = ("received", "message-id", "return-path", "dkim-signature")
_NEVER = frozenset("unicode_escape raw_unicode_escape idna punycode undefined mbcs oem".split())  # noqa: SIM905
_RELATED = {
    "iso2022_jp": ("euc_jp", "cp932"),
    "shift_jis": ("cp932", "euc_jp"),
    "cp932": ("euc_jp",),
    "euc_jp": ("cp932",),
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "big5": ("big5hkscs", "cp950"),
    "euc_kr": ("cp949",),
}
"""What a text was when it was not what its label says, by the name of the label's codec."""

_REPORTS = frozenset(
    (
        "message/delivery-status",
        "message/global-delivery-status",
        "message/xdelivery-status",
        "message/feedback-report",
        "message/disposition-notification",
    )
)
_ORIGINALS = frozenset(
    ("message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers", "message/partial")
)


@dataclass(slots=True)
class Mail:
    """A mail, taken apart.

    `text`: what a person would read, parts joined by blank lines. `blocks`: the blocks of the delivery report
    (the first is about the message, the others about a recipient each). `feedback`: fields of a feedback
    report, else empty. `receipt`: a disposition notification is in it. `original`: headers of the mail it
    brings back, else empty. `inner`: the bytes of that mail, which may be a bounce that someone forwards.
    """

    headers: Fields
    kind: str = ""
    text: str = ""
    blocks: list[Fields] = field(default_factory=list)
    feedback: Fields = field(default_factory=dict)
    receipt: bool = False
    original: Fields = field(default_factory=dict)
    inner: bytes = b""


def parse(data: bytes) -> Mail:
    """Take the bytes of a mail apart. Line ends are as they come; a `From ` line of an mbox may lead."""
    data = unix(data).lstrip(b"\n")
    if data.startswith((b"From ", b">From ")):
        data = data.partition(b"\n")[2]
    headers, body = split(data)
    mail = Mail(headers, _content_type(headers)[0])
    texts: list[tuple[bool, str]] = []
    for number, (kind, fields, content) in enumerate(_leaves(headers, body, 0)):
        if number >= PARTS:
            break
        _sort_in(mail, texts, kind, fields, content)
    plain = [text for is_html, text in texts if not is_html and text.strip()]
    chosen = plain or [text for _is_html, text in texts]
    mail.text = "\n\n".join(chosen)[:TEXT]
    return mail


def unix(data: bytes) -> bytes:
    """Return bytes whose lines end in a line feed, whatever they ended in."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def first(fields: Fields, name: str) -> str:
    """Return the first value of a header, or an empty text."""
    values = fields.get(name)
    return values[0] if values else ""


def split(data: bytes) -> tuple[Fields, bytes]:
    """Part the headers from the body. Without any header everything is body."""
    data = data.lstrip(b"\n")
    blank = _BLANK.search(data)
    head, body = (data[: blank.start()], data[blank.end() + 1 :]) if blank else (data, b"")
    fields = read_fields(_text_of(head, ""))
    return (fields, body) if fields else ({}, data)


def read_fields(text: str) -> Fields:
    """Read `Name: value` lines with their continuation lines."""
    fields: Fields = {}
    for name, value in _FIELD.findall(text):
        fields.setdefault(name.lower(), []).append(_FOLD.sub(" ", value).strip() if "\n" in value else value)
    return fields


def blocks_of(report: str) -> list[Fields]:
    """Read the blocks of a delivery report; some servers leave out the blank line between two recipients."""
    blocks: list[Fields] = []
    for part in _PARAGRAPH.split(report):
        head, *others = _SECOND_RECIPIENT.split(part)
        if others and not _FINAL.search(head):
            head, others = head + "\n" + others[0], others[1:]
        blocks += [block for each in (head, *others) if (block := read_fields(each))]
    return blocks


def readable(value: str) -> str:
    """Return a header's value with its encoded words decoded."""
    value = value[:HEADER]
    if "=?" not in value:
        return value
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        return value
    return "".join(
        part if isinstance(part, str) else _text_of(part, charset or "") for part, charset in parts
    )


def _sort_in(mail: Mail, texts: list[tuple[bool, str]], kind: str, fields: Fields, content: bytes) -> None:
    """Put one part of a mail where it belongs."""
    if kind in _REPORTS:
        report = _text_of(_unpacked(content, fields), _charset(fields))
        if kind == "message/feedback-report":
            mail.feedback = mail.feedback or read_fields(report)
        elif kind == "message/disposition-notification":
            mail.receipt = True
        else:
            mail.blocks += blocks_of(report)
    elif kind in _ORIGINALS or _is_message(kind, fields):
        if not mail.original:
            brought = _unpacked(content, fields) if kind in _ORIGINALS else content
            mail.original = split(brought)[0] if kind in _ORIGINALS else fields
            mail.inner = brought
    elif kind.startswith("text/") or not kind:
        text = _text_of(_unpacked(content, fields), _charset(fields))
        texts.append((kind == "text/html", without_tags(text) if kind == "text/html" else text))


def _leaves(headers: Fields, body: bytes, depth: int) -> Iterator[tuple[str, Fields, bytes]]:
    """Yield type, headers and raw content of each part that holds no further parts."""
    kind, rest = _content_type(headers)
    if kind.startswith("multipart/") and depth < DEPTH:
        found = _BOUNDARY.search(rest)
        parts = _cut(body, (found[1] or found[2] or found[3]).encode()) if found else []
        if not parts and (guess := _OTHER_BOUNDARY.search(body)):
            parts = _cut(body, guess[1])
        if parts:
            for part in parts:
                yield from _leaves(*split(part), depth + 1)
            return
        kind = "text/plain"
    if not kind and depth == 0:
        kind = "text/plain"
    yield kind, headers, body


def _cut(body: bytes, boundary: bytes) -> list[bytes]:
    """Cut a body at its boundary lines. One that never closes ends with the mail."""
    mark = b"\n--" + boundary
    parts: list[bytes] = []
    for piece in (b"\n" + body).split(mark)[1:]:
        line, _newline, content = piece.partition(b"\n")
        tail = line.strip()
        if tail == b"--":
            break
        if tail and parts:  # the boundary of a part inside begins with the same characters
            parts[-1] += mark + piece
        else:
            parts.append(content)
    return parts


def _is_message(kind: str, fields: Fields) -> bool:
    """Tell whether a part without a type of its own is a mail that was put in without wrapping."""
    return not kind and sum(mark in fields for mark in _MESSAGE_MARKS) >= 2


def _content_type(fields: Fields) -> tuple[str, str]:
    """Return the type in lower case, and the whole header for its parameters."""
    value = first(fields, "content-type")
    kind = re.split(r"[;\s]", value, maxsplit=1)[0].lower() if value else ""
    return (kind if "/" in kind else ""), value


def _charset(fields: Fields) -> str:
    found = _CHARSET.search(first(fields, "content-type"))
    return found[1] if found else ""


def _unpacked(content: bytes, fields: Fields) -> bytes:
    """Undo the transfer encoding, as far as it goes."""
    encoding = first(fields, "content-transfer-encoding").strip().lower()
    if encoding == "quoted-printable":
        return binascii.a2b_qp(content)
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", content)
        letters = letters[: len(letters) - (len(letters) % 4 == 1)]
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    return content


def _text_of(content: bytes, charset: str) -> str:
    """Decode bytes by their label if that is possible, else by what they look like."""
    if content.isascii() and b"\x1b" not in content:
        return content.decode("ascii")
    for name in _codecs(charset, content):
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode("latin-1")


def _codecs(charset: str, content: bytes) -> Iterator[str]:
    try:
        label = codecs.lookup(charset).name.replace("-", "_") if charset else ""
    except (LookupError, ValueError):
        label = ""
    if b"\x1b$" in content:
        yield from ("iso2022_jp_2", "iso2022_jp_ext", "iso2022_kr")
    if label and label not in _NEVER and not label.startswith("iso8859"):
        yield label
    yield "utf-8"
    yield from _RELATED.get(label, ())
    if label.startswith("iso8859"):
        yield label


def without_tags(text: str) -> str:
    """Return the readable text of HTML, lines kept where a browser would break them."""
    text = _TAGGED_ADDRESS.sub(r"&lt;\1&gt;", _without_unseen(text[:HTML]))
    text = _SPACES.sub(" ", text)
    return html.unescape(_TAG.sub(" ", _TAG_BREAK.sub("\n", text)))


def _without_unseen(text: str) -> str:
    """Return HTML without comments, scripts and the like; what is never closed reaches to the end."""
    lower = text.lower()
    kept: list[str] = []
    at = 0
    while found := _UNSEEN.search(text, at):
        kept.append(text[at : found.start()])
        closing = f"</{found[1].lower()}" if found[1] else "-->"
        end = lower.find(closing, found.end())
        if end < 0:
            return " ".join(kept)
        at = end + len(closing)
    return " ".join((*kept, text[at:]))
