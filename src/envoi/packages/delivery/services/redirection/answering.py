"""What readers are answered (delivery.md §4.2–4.4, ADR 0029).

Every line of a hit is written before its answer. No answer leads to an address that came with the request:
links lead where the database says, pages of ours to the configured address of the console. What is not ours,
not whole or not known is 404 and leaves no line.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from envoi import __version__
from envoi.kernel.errors import Broken
from envoi.packages.delivery.services.redirection import cookies, links, proxies, tags, web_tags
from envoi.packages.delivery.services.redirection.http import Request, Waiting, made, without_body
from envoi.packages.delivery.services.redirection.lines import NOBODY, agent, plain
from envoi.packages.delivery.services.redirection.moments import Moments
from envoi.packages.delivery.services.redirection.segments import Segments
from envoi.packages.delivery.services.redirection.tags import (
    FORWARD,
    MIRROR_PAGE,
    PATH,
    PREFERENCES,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Tag,
)

log = logging.getLogger(__name__)

TAG, WEB, LEAVES = 0, 1, 2
"""Kinds of hits (`HitKind` of models)."""
PAGES: Final = frozenset((UNSUBSCRIBE, MIRROR_PAGE, FORWARD, PREFERENCES, SUBSCRIBE))
_PAGE_OF: Final = {links.OPT_OUT: UNSUBSCRIBE, links.MIRROR: MIRROR_PAGE}
_OPEN: Final = f"{tags.OPEN:x}"
LONGEST: Final = 8192
"""Letters of a query."""
GIF: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
_UNSEEN: Final = ("Cache-Control", "no-store, private")
_BARE: Final = ("X-Content-Type-Options", "nosniff")
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
_PIXEL: Final = ("Content-Type", "image/gif")
_SCRIPT: Final = ("Content-Type", "text/javascript; charset=utf-8")


@dataclass(frozen=True)
class Places:
    """Addresses that answers lead to: our pages', and that of links whose time is over (or empty)."""

    pages: str
    expired: str = ""


class Redirection:
    """Answers requests. `tags_` verify; `segments` returns where hits are written, or raises Broken."""

    def __init__(
        self,
        tags_: tags.Tags,
        known: links.Links,
        segments: Callable[[], Segments],
        places: Places,
        *,
        setting: cookies.Setting,
        trusted: proxies.Trusted,
        moments: Moments,
        host: str = "",
    ) -> None:
        self._tags, self._links, self._segments, self._places = tags_, known, segments, places
        self._pages = tags.Tags(places.pages.rstrip("/"), tags_.key)
        self._cookies, self._trusted, self._moments, self._host = setting, trusted, moments, host
        self._requesters = cookies.Requesters()
        self._hits: list[str] = []

    def answer(self, request: Request) -> bytes:
        """Return the response. Raises links.Asking when something has to be read first."""
        return self._answered(request, None)

    async def later(self, request: Request, waiting: Waiting) -> bytes:
        """Read what was missing and return the response."""
        assert isinstance(waiting, links.Asking)  # noqa: S101 for the type checker
        return self._answered(request, await self._links.ask(waiting.delivery))

    def flush(self) -> None:
        """Write the lines of the hits since the last time. Raises Broken; then nobody may be answered."""
        if self._hits:
            hits, self._hits = self._hits, []
            self._segments().append(hits)

    def away(self) -> bytes:
        """Return the answer that asks to come again."""
        return self._said(
            "503 Service Unavailable", [_TEXT, ("Retry-After", "5")], b"Please try again in a moment.\n"
        )

    def _answered(self, request: Request, came: bool | None) -> bytes:
        if not self._hits:
            self._moments.tick()
        try:
            if (
                request.path == PATH
                and request.method == "GET"
                and request.query.startswith("id=")
                and len(request.query) <= LONGEST
            ):
                return self._link(request, came)
            found = self._other(request, came)
        except links.Away:
            found = self.away()
        return without_body(found) if request.method == "HEAD" else found

    def _other(self, request: Request, came: bool | None) -> bytes:
        path, query, method = request.path, request.query, request.method
        if len(query) > LONGEST:
            return self._said("414 URI Too Long", [_TEXT], b"This address is too long.\n")
        if method not in ("GET", "HEAD") and not (method == "POST" and path == UNSUBSCRIBE):
            allowed = "GET, HEAD, POST" if path == UNSUBSCRIBE else "GET, HEAD"
            return self._said(
                "405 Method Not Allowed", [_TEXT, ("Allow", allowed)], b"This is not done here.\n"
            )
        if path == PATH and query.startswith("id="):
            return self._link(request, came)
        if path in PAGES:
            return self._leave(request) if method == "POST" else self._page(request, came)
        if path == "/healthz":
            return self._said("200 OK", [_TEXT], b"ok\n")
        if path == "/r/test":
            return self._test()
        if path == "/robots.txt":
            return self._said("200 OK", [_TEXT], b"User-agent: *\nDisallow: /\n")
        if path.startswith(PATH) and "/" not in path[len(PATH) :]:
            return self._web(request)
        return self._nothing()

    # -- links of messages

    def _link(self, request: Request, came: bool | None) -> bytes:
        # Written out, for this is what nearly all requests are. What is signed has the form that we gave it.
        query = request.query
        said, _, signature = query.rpartition("&s=")
        if not query.isascii() or not self._tags.signed(f"{PATH}?{said}", signature):
            return self._nothing()
        ids, _, params = said[3:].partition("&")
        broad_log, delivery, number = ids.split(",")
        html, broad_log = "1" if broad_log[0] == "h" else "0", broad_log[1:]
        known = self._links.of(delivery, number, came)
        link = known and known.links.get(number)
        if known is None or link is None:
            return self._nothing()
        over = known.until <= self._moments.ms
        brought = cookies.read(header) if (header := request.header(b"\r\ncookie:")) else cookies.NONE
        requester = brought.requester
        if number == _OPEN:
            if not over:
                self._write(request, broad_log, delivery, number, TAG, requester, html, params)
            return self._said("200 OK", [_PIXEL, _BARE], GIF)
        if link.type == links.CLICK:
            if over:
                return self._expired(known.expired or self._places.expired)
            address = link.address(params)
        elif page := _PAGE_OF.get(link.type):
            # Our own pages know themselves how long they are there; leaving is never refused.
            address = self._signed(query, page)
        else:
            return self._nothing()
        set_cookies = ""
        if brought.refused:
            requester = requester or self._requesters.new()
        else:
            set_cookies = self._cookies.message(broad_log, delivery)
            if not requester:
                requester = self._requesters.new()
                set_cookies += self._cookies.requester(requester)
        self._write(request, broad_log, delivery, number, TAG, requester, html, params)
        return (
            f"HTTP/1.1 302 Found\r\nDate: {self._moments.date}\r\nCache-Control: no-store, private\r\n"
            f"{set_cookies}Location: {address}\r\nContent-Length: 0\r\n\r\n"
        ).encode("latin-1")

    def _expired(self, address: str) -> bytes:
        if not address:
            return self._said("410 Gone", [_TEXT, _BARE], b"This link is no longer in use.\n")
        return self._to(links.ascii_only(address))

    def _signed(self, query: str, page: str) -> str:
        tag = self._tags.read(f"{PATH}?{query}")
        if tag is None:
            raise Broken("a tag was signed in a form that cannot be read")
        return self._pages.make("h" if tag.html else "t", *_ids(tag), tag.params, path=page)

    # -- pages of ours

    def _page(self, request: Request, came: bool | None) -> bytes:
        tag = self._read(request)
        if tag is None:
            return self._nothing()
        _, delivery, number = _ids(tag)
        try:
            known = self._links.of(delivery, number, came)
        except links.Away:
            # Who wants to leave is not kept waiting for the database; the page itself needs it.
            known = None
        if known is not None and number in known.links:
            self._note(request, TAG, tag)
        return self._to(f"{self._pages.address}{request.path}?{request.query}")

    def _leave(self, request: Request) -> bytes:
        """Take a one-click unsubscription (RFC 8058). Its tag says all; whoever has it may leave, always."""
        tag = self._read(request)
        if tag is None:
            return self._nothing()
        self._note(request, LEAVES, tag)
        return self._said("200 OK", [_TEXT], b"You are unsubscribed.\n")

    def _read(self, request: Request) -> Tag | None:
        target = f"{request.path}?{request.query}"
        return self._tags.read(target) if target.isascii() else None

    # -- pages of others

    def _web(self, request: Request) -> bytes:
        tag = web_tags.read(request.query)
        if tag is None:
            return self._nothing()
        script = request.path.endswith(".js") or "javascript" in request.header(b"\r\naccept:")
        kind, body = (_SCRIPT, b"") if script else (_PIXEL, GIF)
        brought = cookies.read(request.header(b"\r\ncookie:"))
        if brought.refused:
            return self._said("200 OK", [kind, _BARE], body)
        requester, set_cookie = brought.requester, ""
        if not requester:
            requester = self._requesters.new()
            set_cookie = self._cookies.requester(requester)
        extra = plain(tag.extra(session=brought.session, last=brought.last))
        self._write(request, "0", tag.delivery, "0", WEB, requester, "1", "", extra)
        return self._said("200 OK", [kind, _BARE], body, set_cookie)

    def _test(self) -> bytes:
        said = (
            f"<redir status='OK' date='{self._moments.text}' build='{__version__}' host='{self._host}'"
            f" localHost='{os.uname().nodename}'/>\n"
        )
        return self._said("200 OK", [("Content-Type", "text/xml; charset=utf-8")], said.encode())

    # -- responses

    def _said(self, status: str, headers: list[tuple[str, str]], body: bytes, cookie: str = "") -> bytes:
        found = made(status, [("Date", self._moments.date), _UNSEEN, *headers], body)
        if cookie:
            head, _, rest = found.partition(b"\r\n")
            found = b"".join((head, b"\r\n", cookie.encode("latin-1"), rest))
        return found

    def _nothing(self) -> bytes:
        return self._said("404 Not Found", [_TEXT, _BARE], b"There is nothing here.\n")

    def _to(self, address: str) -> bytes:
        return self._said("302 Found", [("Location", address)], b"")

    # -- lines

    def _note(self, request: Request, kind: int, tag: Tag) -> None:
        requester = cookies.read(request.header(b"\r\ncookie:")).requester
        self._write(request, *_ids(tag), kind, requester, "1" if tag.html else "0", "")

    def _write(
        self,
        request: Request,
        broad_log: str,
        delivery: str,
        link: str,
        kind: int,
        requester: str,
        html: str,
        params: str,
        extra: str = "",
    ) -> None:
        """Note the line of a hit (`lines`); params are of a tag of ours, extra is plain."""
        if request.method == "HEAD":
            return  # a look at an address is no visit
        self._hits.append(
            f"{self._moments.text}\t0x{broad_log}\t0x{delivery}\t0x{link}\t{kind}\t"
            f"{requester or NOBODY}\t{html}\t{params}\t{agent(request.header(_AGENT))}\t"
            f"{self._trusted.address(request.peer, request.header)}\t{extra}"
        )


_AGENT: Final = b"\r\nuser-agent:"


def _ids(tag: Tag) -> tuple[str, str, str]:
    return f"{tag.broad_log_id:x}", f"{tag.delivery_id:x}", f"{tag.link:x}"
