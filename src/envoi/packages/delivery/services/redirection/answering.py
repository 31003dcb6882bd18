"""What readers are answered, as a WSGI application (delivery.md §4.2–4.4, ADR 0029).

Every line of a hit is written before its answer. No answer leads to an address that came with the request:
links lead where the database says, pages of ours to the configured address of the console. What is not ours,
not whole or not known is 404 and leaves no line.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from envoi import __version__
from envoi.kernel import clock
from envoi.kernel.errors import Broken
from envoi.packages.delivery.services.redirection import cookies, links, proxies, tags, web_tags
from envoi.packages.delivery.services.redirection.lines import line
from envoi.packages.delivery.services.redirection.segments import Segments
from envoi.packages.delivery.services.redirection.tags import FORWARD, MIRROR_PAGE, PATH, UNSUBSCRIBE, Tag

log = logging.getLogger(__name__)

TAG, WEB, LEAVES = 0, 1, 2
"""Kinds of hits (`HitKind` of models)."""
PAGES: Final = (UNSUBSCRIBE, MIRROR_PAGE, FORWARD)
LONGEST: Final = 8192
"""Letters of a query."""
GIF: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
Headers = list[tuple[str, str]]
Start = Callable[[str, Headers], object]
Answer = tuple[str, Headers, bytes]
_UNSEEN: Final = ("Cache-Control", "no-store, private")
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
_BARE: Final = ("X-Content-Type-Options", "nosniff")
_GIF: Final = [_UNSEEN, ("Content-Type", "image/gif"), _BARE]
_SCRIPT: Final = [_UNSEEN, ("Content-Type", "text/javascript; charset=utf-8"), _BARE]
NOT_FOUND: Final[Answer] = ("404 Not Found", [_UNSEEN, _TEXT, _BARE], b"There is nothing here.\n")
GONE: Final[Answer] = (
    "410 Gone", [_UNSEEN, _TEXT, _BARE], b"This link is no longer in use.\n",
)  # fmt: skip
AWAY: Final[Answer] = (
    "503 Service Unavailable",
    [_UNSEEN, _TEXT, ("Retry-After", "5")],
    b"Please try again in a moment.\n",
)


@dataclass(frozen=True)
class Places:
    """Addresses that answers lead to: our pages', and that of links whose time is over (or empty)."""

    pages: str
    expired: str = ""


class Redirection:
    """The application. `reading` verifies tags; `making` signs those of our pages, with their address."""

    def __init__(
        self,
        made: tags.Tags,
        known: links.Links,
        segments: Callable[[], Segments],
        places: Places,
        *,
        setting: cookies.Setting,
        trusted: proxies.Trusted,
        host: str = "",
    ) -> None:
        self._tags, self._links, self._segments, self._places = made, known, segments, places
        self._pages = tags.Tags(places.pages.rstrip("/"), made.key)
        self._cookies, self._trusted, self._host = setting, trusted, host

    def __call__(self, environ: Mapping[str, Any], start: Start) -> Iterable[bytes]:
        """Answer a request."""
        try:
            status, headers, body = self._answer(environ)
        except Broken as problem:
            if not isinstance(problem, links.Away):
                log.error("%s", problem)
            status, headers, body = AWAY
        start(status, headers)
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else [b""]

    def _answer(self, environ: Mapping[str, Any]) -> Answer:
        path: str = environ["PATH_INFO"]
        query: str = environ["QUERY_STRING"]
        method: str = environ["REQUEST_METHOD"]
        if len(query) > LONGEST:
            return "414 URI Too Long", [_TEXT], b"This address is too long.\n"
        if method not in ("GET", "HEAD") and not (method == "POST" and path == UNSUBSCRIBE):
            allowed = "GET, HEAD, POST" if path == UNSUBSCRIBE else "GET, HEAD"
            return "405 Method Not Allowed", [_TEXT, ("Allow", allowed)], b"This is not done here.\n"
        if path == PATH and query.startswith("id="):
            return self._link(environ, query)
        if path in PAGES:
            return self._leave(environ, query) if method == "POST" else self._page(environ, path, query)
        return self._other(environ, path, query)

    def _other(self, environ: Mapping[str, Any], path: str, query: str) -> Answer:
        if path == "/healthz":
            return "200 OK", [_UNSEEN, _TEXT], b"ok\n"
        if path == "/r/test":
            return self._test()
        if path == "/robots.txt":
            return "200 OK", [_TEXT], b"User-agent: *\nDisallow: /\n"
        if path.startswith(PATH) and "/" not in path[len(PATH) :]:
            return self._web(environ, path, query)
        return NOT_FOUND

    # -- links of messages

    def _link(self, environ: Mapping[str, Any], query: str) -> Answer:
        tag = self._read(PATH, query)
        if tag is None:
            return NOT_FOUND
        known = self._links.of(tag.delivery_id, tag.link)
        opened = tag.link == tags.OPEN
        link = links.Link(links.OPENED) if opened else known and known.links.get(tag.link)
        if known is None or not link:
            return NOT_FOUND
        brought = cookies.read(header) if (header := environ.get("HTTP_COOKIE")) else cookies.NONE
        now = clock.now()
        over = known.until is not None and known.until <= now
        if opened:
            if not over:
                self._note(environ, TAG, tag, query, brought.requester)
            return "200 OK", _GIF, GIF
        if link.type == links.CLICK:
            if over:
                return self._expired(known.expired or self._places.expired)
            headers = [("Location", link.address(tag.params)), _UNSEEN]
        elif link.type in (links.OPT_OUT, links.MIRROR):
            # Our own pages know themselves how long they are there; leaving is never refused.
            page = UNSUBSCRIBE if link.type == links.OPT_OUT else MIRROR_PAGE
            headers = [("Location", self._signed(tag, page)), _UNSEEN]
        else:
            return NOT_FOUND
        requester = brought.requester or cookies.new_requester()
        if not brought.refused:
            headers += self._cookies.message(tag.broad_log_id, tag.delivery_id)
            if not brought.requester:
                headers.append(self._cookies.requester(requester))
        self._note(environ, TAG, tag, query, requester)
        return "302 Found", headers, b""

    def _expired(self, address: str) -> Answer:
        if not address:
            return GONE
        return "302 Found", [("Location", links.ascii_only(address)), _UNSEEN], b""

    # -- pages of ours

    def _page(self, environ: Mapping[str, Any], path: str, query: str) -> Answer:
        tag = self._read(path, query)
        if tag is None:
            return NOT_FOUND
        try:
            known = self._links.of(tag.delivery_id, tag.link)
        except links.Away:
            # Who wants to leave is not kept waiting for the database; the page itself needs it.
            known = None
        if known is not None and tag.link in known.links:
            self._note(environ, TAG, tag, query, self._requester(environ))
        return "302 Found", [("Location", f"{self._pages.address}{path}?{query}"), _UNSEEN], b""

    def _leave(self, environ: Mapping[str, Any], query: str) -> Answer:
        """Take a one-click unsubscription (RFC 8058). Its tag says all; whoever has it may leave, always."""
        tag = self._read(UNSUBSCRIBE, query)
        if tag is None:
            return NOT_FOUND
        self._note(environ, LEAVES, tag, query, self._requester(environ))
        return "200 OK", [_UNSEEN, _TEXT], b"You are unsubscribed.\n"

    # -- pages of others

    def _web(self, environ: Mapping[str, Any], path: str, query: str) -> Answer:
        tag = web_tags.read(query)
        if tag is None:
            return NOT_FOUND
        script = path.endswith(".js") or "javascript" in environ.get("HTTP_ACCEPT", "")
        headers, body = (_SCRIPT, b"") if script else (_GIF, GIF)
        brought = cookies.read(environ.get("HTTP_COOKIE", ""))
        if brought.refused:
            return "200 OK", headers, body
        requester = brought.requester or cookies.new_requester()
        if not brought.requester:
            headers = [*headers, self._cookies.requester(requester)]
        self._write(
            environ,
            WEB,
            delivery=tag.delivery,
            requester=requester,
            extra=tag.extra(session=brought.session, last=brought.last),
        )
        return "200 OK", headers, body

    def _test(self) -> Answer:
        local = os.uname().nodename
        said = (
            f"<redir status='OK' date='{clock.now():%Y-%m-%d %H:%M:%S}Z' build='{__version__}'"
            f" host='{self._host}' localHost='{local}'/>\n"
        )
        return "200 OK", [_UNSEEN, ("Content-Type", "text/xml; charset=utf-8")], said.encode()

    # -- what they share

    def _read(self, path: str, query: str) -> Tag | None:
        return self._tags.read(f"{path}?{query}") if query.isascii() else None

    def _signed(self, tag: Tag, page: str) -> str:
        form = "h" if tag.html else "t"
        ids = (f"{tag.broad_log_id:x}", f"{tag.delivery_id:x}", f"{tag.link:x}")
        return self._pages.make(form, *ids, tag.params, path=page)

    def _requester(self, environ: Mapping[str, Any]) -> str:
        return cookies.read(environ.get("HTTP_COOKIE", "")).requester

    def _note(self, environ: Mapping[str, Any], kind: int, tag: Tag, query: str, requester: str) -> None:
        self._write(
            environ,
            kind,
            broad_log=tag.broad_log_id,
            delivery=tag.delivery_id,
            link=tag.link,
            html=tag.html,
            requester=requester,
            # As they came: &p1=…&p2=…, between the numbers and the signature.
            params=query[query.find("&") + 1 : query.rfind("&s=")] if tag.params else "",
        )

    def _write(self, environ: Mapping[str, Any], kind: int, **said: Any) -> None:
        if environ["REQUEST_METHOD"] == "HEAD":
            return  # a look at an address is no visit
        now = clock.now()
        agent = environ.get("HTTP_USER_AGENT", "")
        address = self._trusted.address(environ)
        self._segments().append(
            lambda log_id, segment: line(
                log_id, now, kind, segment=segment, agent=agent, address=address, **said
            )
        )
