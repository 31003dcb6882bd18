"""Links of deliveries, read from the database and kept for a while (ADR 0029).

What is known of a delivery is read again when it is older than a few seconds, and at once when it lacks the
link that is asked for. While the database is away, what is known answers, whatever its age.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import psycopg

from envoi.kernel import clock
from envoi.kernel.errors import Broken
from envoi.packages.delivery.services.redirection.http import Waiting

log = logging.getLogger(__name__)

CLICK, OPENED, OPT_OUT, WEB, TRANSACTION, MIRROR = 1, 2, 3, 4, 5, 6
"""Types of links (`UrlType` of models, which Django would come with)."""
KEPT: Final = 1000
"""Deliveries that are kept."""
FRESH: Final = 5.0
PAUSE: Final = 2.0
"""Seconds after which a database that was away is asked again."""
WAIT: Final = 3.0
"""Seconds that a reader waits for it."""
STATEMENT: Final = """
    SELECT d.web_validity, d.sending->>'expired', u.tracking_url_id, u.type, u.url
    FROM nms_delivery d LEFT JOIN nms_tracking_url u ON u.delivery_id = d.delivery_id
    WHERE d.delivery_id = %s
"""
_MARK = re.compile(r"\$\(p(\d{1,2})\)")
_FIRST: Final = (1,)
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class Away(Broken):
    """The database does not answer, and nothing is known of the delivery."""


class Asking(Waiting):
    """Links of a delivery have to be read first."""

    def __init__(self, delivery: str) -> None:
        super().__init__(delivery)
        self.delivery = delivery


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads. `pieces`: the address around what is filled in; one piece: nothing is.

    `numbers`: which parameter follows each piece but the last.
    """

    type: int
    pieces: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    def address(self, params: str) -> str:
        """Return the address with the parameters of a tag (`p1=…&p2=…`).

        They are percent-encoded as the tag has them, so they cannot leave the place they are put in.
        """
        if not self.numbers:
            return self.pieces[0]
        values = [each.partition("=")[2] for each in params.split("&")]
        if self.numbers == _FIRST:
            return f"{self.pieces[0]}{values[0]}{self.pieces[1]}"
        made = [self.pieces[0]]
        for number, piece in zip(self.numbers, self.pieces[1:], strict=True):
            if 0 < number <= len(values):
                made.append(values[number - 1])
            made.append(piece)
        return "".join(made)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a delivery; links by their numbers in hexadecimal."""

    links: Mapping[str, Link]
    until: float
    """When its links cease to work, in milliseconds since 1970; infinite for never."""
    expired: str
    """Where they lead from then on; empty: what the instance says."""
    read_at: float


def link(type: int, url: str) -> Link | None:
    """Return a link as it is answered; None for a click that leads to no web address.

    `$(p1)` is filled in the query alone: anywhere else it stays as it is.
    """
    if type != CLICK:
        return Link(type)
    if not url.lower().startswith(("http://", "https://")):
        return None
    before, hash, fragment = url.partition("#")
    head, mark, query = before.partition("?")
    found = _MARK.split(query)
    pieces = [ascii_only(each) for each in found[0::2]]
    pieces[0] = f"{ascii_only(head)}{mark}{pieces[0]}"
    pieces[-1] += f"{hash}{ascii_only(fragment)}"
    return Link(type, tuple(pieces), tuple(int(each) for each in found[1::2]))


def ascii_only(text: str) -> str:
    """Return a piece of an address with all that a header cannot hold percent-encoded."""
    return text if text.isascii() and text.isprintable() and " " not in text else quote(text, safe=_PRINTABLE)


class Links:
    """Links of all deliveries. `connect` returns a connection in autocommit, or raises psycopg.Error.

    For the thread of the loop; another one of its own waits for the database.
    """

    def __init__(self, connect: Callable[[], "psycopg.Connection[Any]"], *, fresh: float = FRESH) -> None:
        self._connect, self._fresh = connect, fresh
        self._connection: psycopg.Connection[Any] | None = None
        self._known: dict[str, Known] = {}
        self._reader = ThreadPoolExecutor(1, "links")
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._again = 0.0

    def of(self, delivery: str, wanted: str, came: bool | None = None) -> Known | None:
        """Return what is known of a delivery, None when there is no such; both numbers are hexadecimal.

        Raises Asking when it should be read first, because it is old or lacks the link `wanted`; `came` is
        then what `ask` has returned. Raises Away when nothing is known and the database is away.
        """
        known = self._known.get(delivery)
        if came is None:
            if known is not None and (
                wanted in known.links and clock.monotonic() - known.read_at < self._fresh
            ):
                return known
            if clock.monotonic() >= self._again:
                raise Asking(delivery)
            came = False
        if known is None and not came:
            raise Away("the database does not answer")
        return known

    async def ask(self, delivery: str) -> bool:
        """Read the links of a delivery; returns whether the database has answered."""
        asked = self._asked.get(delivery)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[delivery] = loop.run_in_executor(self._reader, self._read, delivery)
            asked.add_done_callback(lambda done: self._told(delivery, done))
        try:
            await asyncio.wait_for(asyncio.shield(asked), WAIT)
        except (TimeoutError, psycopg.Error) as error:
            if clock.monotonic() >= self._again:
                log.warning("links cannot be read: %s", error or "the database does not answer")
            self._again = clock.monotonic() + PAUSE
            return False
        return True

    def _told(self, delivery: str, done: "asyncio.Future[None]") -> None:
        del self._asked[delivery]
        if not done.cancelled():
            done.exception()  # nobody may be waiting any more

    def _read(self, delivery: str) -> None:
        number = int(delivery, 16)
        rows = self._rows(number) if number < 2**63 else []
        # The last one read is at the end: what nobody asks for falls out at the beginning.
        self._known.pop(delivery, None)
        if not rows:
            return
        until, expired, *_ = rows[0]
        made = ((number, link(type, url)) for _, _, number, type, url in rows if number is not None)
        self._known[delivery] = Known(
            {f"{number:x}": each for number, each in made if each is not None} | {"1": Link(OPENED)},
            _ms(until),
            expired or "",
            clock.monotonic(),
        )
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]

    def _rows(self, delivery: int) -> list[tuple[Any, ...]]:
        fresh = self._connection is None
        if self._connection is None:
            self._connection = self._connect()
        try:
            return self._connection.execute(STATEMENT, (delivery,)).fetchall()
        except psycopg.Error:
            self._connection.close()
            self._connection = None
            if fresh:
                raise
        # A server that has been started again meanwhile answers at once.
        return self._rows(delivery)


def _ms(moment: datetime | None) -> float:
    return float("inf") if moment is None else moment.timestamp() * 1000
