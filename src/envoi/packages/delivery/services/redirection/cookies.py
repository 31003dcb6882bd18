"""Cookies of readers (delivery.md §4.4): who a browser is, and the message it came from last.

`uuid230` names a browser, `nlid` the message of this session, `nllastdelid` its delivery, and `acoptout` = 1
is the reader's refusal, set by the page of the shop: then none of them is set.
"""

import os
import re
from dataclasses import dataclass
from typing import Final

REQUESTER, SESSION, LAST, REFUSED = "uuid230", "nlid", "nllastdelid", "acoptout"
YEAR: Final = 365 * 24 * 3600
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_MESSAGE = re.compile(r"([0-9a-f]{1,15})\|([0-9a-f]{1,15})")
_DELIVERY = re.compile(r"[0-9a-f]{1,15}")
_NAMES: Final = frozenset((REQUESTER, SESSION, LAST, REFUSED))


@dataclass(frozen=True, slots=True)
class Cookies:
    """What a request brings; each is empty when it is missing or has another form."""

    requester: str = ""
    session: str = ""
    """`<broad log>,<delivery>`, hexadecimal."""
    last: str = ""
    refused: bool = False


NONE: Final = Cookies()


def read(header: str) -> Cookies:
    """Return the cookies of a header."""
    found: dict[str, str] = {}
    for pair in header[:8192].split(";"):
        name, _, value = pair.strip().partition("=")
        if name in _NAMES:
            found.setdefault(name, value.strip('"'))
    session = _MESSAGE.fullmatch(found.get(SESSION, ""))
    requester, last = found.get(REQUESTER, ""), found.get(LAST, "")
    return Cookies(
        requester if _UUID.fullmatch(requester) else "",
        f"{session[1]},{session[2]}" if session else "",
        last if _DELIVERY.fullmatch(last) else "",
        found.get(REFUSED) == "1",
    )


class Requesters:
    """Names for browsers that have none: random UUIDs, from bytes that are fetched many at a time."""

    def __init__(self) -> None:
        self._bytes, self._place = b"", 0

    def new(self) -> str:
        """Return one that nobody has."""
        place = self._place
        if place >= len(self._bytes):
            self._bytes, place = os.urandom(4096), 0
        self._place = place + 16
        made = self._bytes[place : place + 16].hex()
        return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-a{made[17:20]}-{made[20:]}"


class Setting:
    """How cookies are set: `secure` on https, `elsewhere` also in requests from pages of other sites.

    Each answer is the lines of a response.
    """

    def __init__(self, *, secure: bool, elsewhere: bool) -> None:
        ends = "; Path=/; HttpOnly"
        ends += "; SameSite=None" if secure and elsewhere else "; SameSite=Lax"
        ends += "; Secure" if secure else ""
        self._session, self._permanent = f"{ends}\r\n", f"{ends}; Max-Age={YEAR}\r\n"

    def message(self, broad_log: str, delivery: str) -> str:
        """Say which message a browser came from; both numbers are hexadecimal."""
        return (
            f"Set-Cookie: {SESSION}={broad_log}|{delivery}{self._session}"
            f"Set-Cookie: {LAST}={delivery}{self._permanent}"
        )

    def requester(self, name: str) -> str:
        """Name a browser."""
        return f"Set-Cookie: {REQUESTER}={name}{self._permanent}"
