"""Header fields as they are written: encoded (RFC 2047), folded, and with nothing in them that ends a line.

Names and subjects hold what profiles hold; whatever that is, it stays inside its own field.
"""

import base64
import re

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.sending.smtp import is_mailbox

_FOLD = 76
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_WORD_BYTES = 45  # 60 letters of base64 in a word, of the 75 that RFC 2047 allows
_NAME = re.compile(r"[!-9;-~]+")


def unstructured(name: str, value: str) -> bytes:
    """Return a field with free text, CRLF included; control characters become blanks."""
    value = _clean(value)
    if _is_plain(value):
        if len(name) + len(value) <= _FOLD - 2:
            return f"{name}: {value}\r\n".encode("ascii")
        lines = _folded(f"{name}: {value}")
        if lines is not None:
            return lines
    return f"{name}: {_encoded(value, len(name) + 2)}\r\n".encode("ascii")


def mailbox(name: str, display: str, address: str) -> bytes:
    """Return a field with one address and the name of whom it belongs to, CRLF included.

    Raises Invalid when the address is not one. One beyond ASCII is written in UTF-8 (RFC 6532).
    """
    if not is_mailbox(address):
        raise Invalid(f"{name}: {address!r} is not an e-mail address.")
    display = _clean(display).strip()
    if not display:
        return f"{name}: {address}\r\n".encode()
    phrase = _phrase(display, len(name) + 2)
    room = "" if len(name) + len(phrase) + len(address) + 5 <= _FOLD and "\r\n" not in phrase else "\r\n"
    return f"{name}: {phrase}{room} <{address}>\r\n".encode()


def field(name: str, value: str) -> bytes:
    """Return a field with structured text of ours in ASCII; a line breaks only at blanks.

    Raises Invalid when the name is not one, or the value has other characters.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name!r} is not the name of a header field.")
    if not value.isascii() or _CONTROLS.search(value):
        raise Invalid(f"{name}: only ASCII on one line can stand in this header field.")
    lines = _folded(f"{name}: {value}")
    if lines is None:
        raise Invalid(f"{name}: a piece of it without blanks is longer than a line of a mail may be.")
    return lines


def _clean(value: str) -> str:
    return value if value.isascii() and value.isprintable() else _CONTROLS.sub(" ", value)


def _is_plain(value: str) -> bool:
    return value.isascii() and "=?" not in value


def _phrase(display: str, used: int) -> str:
    if _is_plain(display) and len(display) < _FOLD - used:
        if _ATOMS.fullmatch(display):
            return display
        return '"' + display.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return _encoded(display, used)


def _folded(line: str) -> bytes | None:
    """Return a line folded at blanks; None when a piece is too long for any line."""
    if len(line) <= _FOLD:
        return line.encode("ascii") + b"\r\n"
    pieces = re.findall(r" *[^ ]+", line.rstrip())
    lines = [""]
    for piece in pieces:
        # The field's name and its first word stay together: a line of blanks alone is not allowed.
        if len(lines[-1]) + len(piece) > _FOLD and ": " in lines[0] and piece.startswith(" "):
            lines.append(piece)
        else:
            lines[-1] += piece
    if max(map(len, lines)) > 998:
        return None
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def _encoded(value: str, used: int) -> str:
    """Return a value in encoded words, none of which splits a character; `used`: letters before it."""
    room = max(6, (_FOLD - used - 12) // 4 * 3)
    whole = value.encode("utf-8", "replace")
    if len(whole) <= min(room, _WORD_BYTES):
        return _word(whole)
    words: list[str] = []
    piece = b""
    for letter in value:
        code = letter.encode("utf-8", "replace")
        if len(piece) + len(code) > min(room, _WORD_BYTES):
            words.append(_word(piece))
            piece, room = b"", _WORD_BYTES
        piece += code
    words.append(_word(piece))
    return "\r\n ".join(words)


def _word(piece: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(piece).decode('ascii')}?="
