"""What an SMTP server says: replies of one or more lines (RFC 5321 §4.2), with enhanced codes (RFC 3463)."""

import re
from typing import NamedTuple

_KEPT, _SHORT = 1024, 200
_LONGEST = 65_536  # bytes of one reply; RFC 5321 asks for lines of 512
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")


class BadReplyError(Exception):
    """The server says what is no reply."""


class Reply(NamedTuple):
    """A whole reply. `text` has one line for each of the server's, without codes; `enhanced` is "5.1.1" or
    "".
    """

    code: int
    text: str = ""
    enhanced: str = ""

    @property
    def good(self) -> bool:
        """Whether the command was done."""
        return 200 <= self.code < 300

    @property
    def lasting(self) -> bool:
        """Whether trying again is useless."""
        return self.code >= 500

    @property
    def ends_session(self) -> bool:
        """Whether the server closes the connection after this."""
        return self.code == 421

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text.replace("\n", " "))))


class ReplyReader:
    """Puts replies together from what arrives, in whatever pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def halfway(self) -> bool:
        """Whether a reply has begun and not ended."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that end in `data`. Raises BadReplyError on what is none."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        replies: list[Reply] = []
        for line in lines:
            if not self._lines and (known := _known.get(line)) is not None:
                replies.append(known)
                continue
            line = line.removesuffix(b"\r")
            if not line[:3].isdigit() or line[:1] not in b"2345" or line[3:4] not in (b"", b" ", b"-"):
                raise BadReplyError(f"not a reply: {line[:80]!r}")
            self._size += len(line)
            self._lines.append(line)
            if line[3:4] != b"-":
                replies.append(made := _reply(self._lines))
                if len(self._lines) == 1 and len(line) < _SHORT:
                    if len(_known) >= _KEPT:
                        _known.clear()
                    _known[line] = _known[line + b"\r"] = made
                self._lines = []
                self._size = 0
        if self._size + len(self._rest) > _LONGEST:
            raise BadReplyError("a reply without end")
        return replies


_known: dict[bytes, Reply] = {}
"""Lines that are a whole reply: most servers say the same few all the time."""


def _reply(lines: list[bytes]) -> Reply:
    code = int(lines[-1][:3])
    texts = [line[4:].decode("utf-8", "replace") for line in lines]
    found = _ENHANCED.match(texts[0])
    # The first digit has to agree with the reply: some servers say "550 2.1.5".
    if found is None or found[1][0] != str(code)[0]:
        return Reply(code, "\n".join(texts).strip())
    status = found[1]
    return Reply(code, "\n".join(text.removeprefix(status).strip() for text in texts).strip(), status)
