"""Links of deliveries, read from the database and kept for a while (ADR 0029).

What is known of a delivery is read again when it is older than a few seconds, and at once when it lacks the
link that is asked for. While the database is away, what is known answers, whatever its age.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import psycopg

from envoi.kernel import clock
from envoi.kernel.errors import Broken

log = logging.getLogger(__name__)

CLICK, OPENED, OPT_OUT, WEB, TRANSACTION, MIRROR = 1, 2, 3, 4, 5, 6
"""Types of links (`UrlType` of models, which Django would come with)."""
KEPT: Final = 1000
"""Deliveries that are kept."""
FRESH: Final = 5.0
PAUSE: Final = 2.0
"""Seconds after which a database that was away is asked again."""
WAIT: Final = 3.0
"""Seconds that a reader waits at most while another one's question is answered."""
STATEMENT: Final = """
    SELECT d.web_validity, d.sending->>'expired', u.tracking_url_id, u.type, u.url
    FROM nms_delivery d LEFT JOIN nms_tracking_url u ON u.delivery_id = d.delivery_id
    WHERE d.delivery_id = %s
"""
_MARK = re.compile(r"\$\(p(\d{1,2})\)")
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class Away(Broken):
    """The database does not answer, and nothing is known of the delivery."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a link leads. `pieces`: the address around what is filled in; one piece: nothing is.

    `numbers`: which parameter follows each piece but the last.
    """

    type: int
    pieces: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()

    def address(self, params: tuple[str, ...]) -> str:
        """Return the address with the parameters of a tag, which cannot leave the place they are put in."""
        if not self.numbers:
            return self.pieces[0]
        made = [self.pieces[0]]
        for number, piece in zip(self.numbers, self.pieces[1:], strict=True):
            if 0 < number <= len(params):
                made.append(quote(params[number - 1], safe=""))
            made.append(piece)
        return "".join(made)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a delivery. `until`: when its links cease to work, None for never."""

    links: Mapping[int, Link]
    until: datetime | None
    expired: str
    """Where links lead from then on; empty: what the instance says."""
    read_at: float


def link(type: int, url: str) -> Link | None:
    """Return a link as it is answered; None for a click that leads to no web address.

    `$(p1)` is filled in the query alone: anywhere else it stays as it is.
    """
    if type != CLICK:
        return Link(type)
    if not url.lower().startswith(("http://", "https://")):
        return None
    head, mark, query = url.partition("?")
    if "#" in head:
        head, mark, query = url, "", ""
    query, hash, fragment = query.partition("#")
    found = _MARK.split(query)
    pieces = [ascii_only(each) for each in found[0::2]]
    pieces[0] = f"{ascii_only(head)}{mark}{pieces[0]}"
    pieces[-1] += f"{hash}{ascii_only(fragment)}"
    return Link(type, tuple(pieces), tuple(int(each) for each in found[1::2]))


def ascii_only(text: str) -> str:
    """Return a piece of an address with all that a header cannot hold percent-encoded."""
    return text if text.isascii() and text.isprintable() and " " not in text else quote(text, safe=_PRINTABLE)


class Links:
    """Links of all deliveries. `connect` returns a connection in autocommit, or raises psycopg.Error."""

    def __init__(self, connect: Callable[[], "psycopg.Connection[Any]"], *, fresh: float = FRESH) -> None:
        self._connect, self._fresh = connect, fresh
        self._connection: psycopg.Connection[Any] | None = None
        self._known: dict[int, Known] = {}
        self._lock = threading.Lock()
        self._again = 0.0

    def of(self, delivery: int, wanted: int) -> Known | None:
        """Return what is known of a delivery, None when there is no such. Raises Away.

        It is read anew when it lacks the link `wanted`.
        """
        known = self._known.get(delivery)
        if known is not None:
            age = clock.monotonic() - known.read_at
            if age < self._fresh and (wanted in known.links or age < self._fresh / 20):
                return known
        return self._read(delivery, known)

    def _read(self, delivery: int, known: Known | None) -> Known | None:
        # Who knows something already does not queue behind a slow database.
        if not self._lock.acquire(timeout=0.0 if known is not None else WAIT):
            if known is None:
                raise Away("the database does not answer")
            return known
        try:
            if clock.monotonic() < self._again:
                raise Away("the database does not answer")
            try:
                rows = self._rows(delivery)
            except psycopg.Error as error:
                self._again = clock.monotonic() + PAUSE
                log.warning("links cannot be read: %s", type(error).__name__)
                raise Away("the database does not answer") from error
            return self._keep(delivery, rows)
        except Away:
            if known is None:
                raise
            return known
        finally:
            self._lock.release()

    def _rows(self, delivery: int) -> list[tuple[Any, ...]]:
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = self._connect()
            try:
                return self._connection.execute(STATEMENT, (delivery,)).fetchall()
            except psycopg.OperationalError:
                # A server that has been started again meanwhile answers at once.
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise
        raise AssertionError  # pragma: no cover

    def _keep(self, delivery: int, rows: list[tuple[Any, ...]]) -> Known | None:
        self._known.pop(delivery, None)
        if not rows:
            return None
        made = {number: link(type, url) for _, _, number, type, url in rows if number is not None}
        until, expired, *_ = rows[0]
        found = Known(
            {number: each for number, each in made.items() if each is not None},
            until,
            expired or "",
            clock.monotonic(),
        )
        # The last one read is at the end: what nobody asks for falls out at the beginning.
        self._known[delivery] = found
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return found
