"""HTTP/1.1 for readers (RFC 9112): as much of it as links, pixels and one form need, and strictly.

What could be read in two ways is refused and the connection closed, so that a proxy before us and we never
disagree where a request ends. There is one thread: a request that has to wait for the database waits in a
task of its own, and nobody else with it.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, cast

from envoi.kernel.errors import Broken

log = logging.getLogger(__name__)

LONGEST_HEAD: Final = 16 * 1024
LONGEST_BODY: Final = 64 * 1024
HEAD_SECONDS: Final = 15.0
"""How long a request may take to come in whole."""
IDLE_SECONDS: Final = 75.0
CONNECTIONS: Final = 10_000
_END: Final = b"\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00\r\n]*")


class Request:
    """One request. `path` and `query` are as they came, not decoded; `head` ends with the last header."""

    __slots__ = ("_low", "body", "head", "method", "path", "peer", "query")

    def __init__(
        self, method: str, path: str, query: str, head: bytes, low: bytes, peer: str, body: bytes = b""
    ) -> None:
        self.method, self.path, self.query = method, path, query
        self.head, self._low, self.peer, self.body = head, low, peer, body

    def header(self, name: bytes) -> str:
        """Return the last header of a name, empty when there is none; `\\r\\nname:` in small letters."""
        place = self._low.rfind(name)
        if place < 0:
            return ""
        place += len(name)
        return self.head[place : self.head.find(b"\r\n", place)].decode("latin-1").strip()


class Waiting(Exception):  # noqa: N818 no error
    """The answer takes something that has to be waited for."""


class Site(Protocol):
    """What answers requests, each with the bytes of a response."""

    def answer(self, request: Request) -> bytes:
        """Return the answer at once, or raise Waiting."""
        ...

    def later(self, request: Request, waiting: Waiting) -> Awaitable[bytes]:
        """Return the answer that had to be waited for."""
        ...

    def flush(self) -> None:
        """Write what must be written before answers go out. Raises Broken when it cannot."""
        ...

    def away(self) -> bytes:
        """Return the answer to all when it could not."""
        ...


class Front:
    """All connections. Answers of one turn of the loop go out together, after one write of their lines.

    `soon` calls a function at the end of the turn.
    """

    def __init__(self, site: Site, soon: Callable[[Callable[[], None]], object]) -> None:
        self.site, self._soon = site, soon
        self.connections: set[Connection] = set()
        self._pending: list[tuple[asyncio.Transport, bytes, bool]] = []

    def put(self, transport: asyncio.Transport, answer: bytes, keep: bool) -> None:
        """Let an answer go out, and its connection be closed after it unless it is kept."""
        self._pending.append((transport, answer, keep))
        if len(self._pending) == 1:
            self._soon(self.flush)

    def flush(self) -> None:
        """Let the answers go out."""
        pending, self._pending = self._pending, []
        try:
            self.site.flush()
        except Broken as problem:
            log.error("readers are not answered: %s", problem)
            away = self.site.away()
            pending = [(transport, away, keep) for transport, _, keep in pending]
        for transport, answer, keep in pending:
            if not transport.is_closing():
                transport.write(answer)
                if not keep:
                    transport.close()

    def wait(self, seconds: float) -> None:
        """Note that so many seconds have passed: connections that say nothing are closed."""
        for each in list(self.connections):
            each.wait(seconds)

    def finish(self) -> bool:
        """Close connections that wait for no answer; returns whether that were all."""
        self.flush()
        return not [each for each in self.connections if not each.finish()]


class Connection(asyncio.Protocol):
    """One connection of a reader, or of a proxy before us."""

    def __init__(self, front: Front) -> None:
        self._front, self._site = front, front.site
        self._transport: asyncio.Transport
        self._peer = ""
        self._buffer: bytes = b""
        self._task: asyncio.Task[None] | None = None
        self._full = self._over = self._continued = False
        self._quiet = 0.0

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._front.connections) >= CONNECTIONS:
            self._transport.abort()
            return
        self._front.connections.add(self)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """End; what was asked is answered to nobody."""
        self._front.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Answer no more until what was answered is taken."""
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._transport.resume_reading()
        self.data_received(b"")

    # -- what the front calls

    def wait(self, seconds: float) -> None:
        """Note that so many seconds have passed; close if nothing whole has come for too long."""
        self._quiet += seconds
        if self._task is None and self._quiet > (HEAD_SECONDS if self._buffer else IDLE_SECONDS):
            self._transport.close()

    def finish(self) -> bool:
        """Close unless an answer is on its way; returns whether it was closed."""
        if self._task is not None:
            return False
        self._transport.close()
        return True

    # -- requests

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        begun = not self._buffer
        if self._buffer:
            data = self._buffer + data
        while data and self._task is None and not self._full and not self._over:
            end = data.find(_END)
            if end < 0 or end > LONGEST_HEAD:
                if len(data) > LONGEST_HEAD:
                    return self._refuse("431 Request Header Fields Too Large")
                break
            head = data[: end + 2]
            low = head.lower()
            first = head[: head.find(b"\r\n")].split(b" ")
            if len(first) != 3 or (first[2] != b"HTTP/1.1" and first[2] != b"HTTP/1.0"):
                return self._refuse(BAD)
            target, keep = first[1], first[2] == b"HTTP/1.1"
            if keep and b"\r\nhost:" not in low:
                return self._refuse(BAD)
            size = 0
            # Where a head says nothing of its end, that is the empty line, however its other lines look.
            if b"content-length" in low or b"transfer-encoding" in low or b"\r\nexpect:" in low:
                size = _size(low)
                if size < 0:
                    return self._refuse("411 Length Required" if size == CHUNKED else BAD)
                if size > LONGEST_BODY:
                    return self._refuse("413 Content Too Large")
                if len(data) < end + 4 + size:
                    if not self._continued and b"\r\nexpect: 100-continue\r\n" in low:
                        self._transport.write(_CONTINUE)
                        self._continued = True
                    break
            if target[:1] != b"/":
                target = _origin(target)
                if not target:
                    return self._refuse(BAD)
            if (place := low.find(b"\r\nconnection:")) >= 0:
                said = low[place + 13 : low.find(b"\r\n", place + 2)]
                keep = b"close" not in said if keep else b"keep-alive" in said
            path, _, query = target.decode("latin-1").partition("?")
            body = data[end + 4 : end + 4 + size] if size else b""
            request = Request(first[0].decode("latin-1"), path, query, head, low, self._peer, body)
            data = data[end + 4 + size :]
            self._continued, begun = False, True
            try:
                answer = self._site.answer(request)
            except Waiting as waiting:
                self._transport.pause_reading()
                self._task = asyncio.get_running_loop().create_task(self._later(request, waiting, keep))
                break
            except Exception:
                log.exception("a request could not be answered")
                return self._refuse("500 Internal Server Error")
            self._answer(answer, keep)
        if begun:
            self._quiet = 0.0
        self._buffer = data
        return None

    async def _later(self, request: Request, waiting: Waiting, keep: bool) -> None:
        try:
            answer = await self._site.later(request, waiting)
        except Exception:
            log.exception("a request could not be answered")
            return self._refuse("500 Internal Server Error")
        self._task = None
        self._answer(answer, keep)
        if not self._full:
            self._transport.resume_reading()
        return self.data_received(b"")

    def _answer(self, answer: bytes, keep: bool) -> None:
        self._over = not keep
        self._front.put(self._transport, answer, keep)

    def _refuse(self, status: str) -> None:
        self._buffer = b""
        self._answer(made(status, [("Connection", "close")], f"{status}\n".encode()), keep=False)


BAD: Final = "400 Bad Request"
CHUNKED: Final = -2


def _size(low: bytes) -> int:
    """Return the size of the body that a head announces; negative when it cannot be relied upon."""
    size = 0
    seen = False
    for line in low.split(b"\r\n")[1:-1]:
        if _FIELD.fullmatch(line) is None:
            return -1
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        if name == b"transfer-encoding":
            return CHUNKED
        if name == b"content-length":
            if seen or not value.isdigit() or len(value) > 18:
                return -1
            size, seen = int(value), True
    return size


def _origin(target: bytes) -> bytes:
    """Return path and query of an absolute target, empty for one that is none."""
    low = target.lower()
    if not low.startswith((b"http://", b"https://")):
        return b""
    _, slash, rest = target.partition(b"://")[2].partition(b"/")
    return slash + rest


def made(status: str, headers: "list[tuple[str, str]]", body: bytes) -> bytes:
    """Return a response."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def without_body(response: bytes) -> bytes:
    """Return the answer to HEAD for a response to GET."""
    return response[: response.index(_END) + 4]
