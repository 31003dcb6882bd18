"""Cookies of readers (delivery.md §4.4): who a browser is, and the message it came from last.

`uuid230` names a browser, `nlid` the message of this session, `nllastdelid` its delivery, and `acoptout` = 1
is the reader's refusal, set by the page of the shop: then none of them is set.
"""

import re
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

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


def new_requester() -> str:
    """Return a name for a browser that has none."""
    return str(uuid4())


class Setting:
    """How cookies are set: `secure` on https, `elsewhere` also in requests from pages of other sites."""

    def __init__(self, *, secure: bool, elsewhere: bool) -> None:
        ends = "; Path=/; HttpOnly"
        ends += "; SameSite=None" if secure and elsewhere else "; SameSite=Lax"
        ends += "; Secure" if secure else ""
        self._session, self._permanent = ends, f"{ends}; Max-Age={YEAR}"

    def message(self, broad_log: int, delivery: int) -> list[tuple[str, str]]:
        """Return headers that say which message a browser came from."""
        return [
            ("Set-Cookie", f"{SESSION}={broad_log:x}|{delivery:x}{self._session}"),
            ("Set-Cookie", f"{LAST}={delivery:x}{self._permanent}"),
        ]

    def requester(self, name: str) -> tuple[str, str]:
        """Return the header that names a browser."""
        return "Set-Cookie", f"{REQUESTER}={name}{self._permanent}"
