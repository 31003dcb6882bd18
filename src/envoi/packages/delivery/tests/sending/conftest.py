"""A mail server that does what a test tells it, on a real socket."""

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

DROP, HANG = b"DROP", b"HANG"
OFFERS = ("PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
USUAL = {
    "GREETING": b"220 sink ESMTP",
    "MAIL": b"250 2.1.0 ok",
    "RCPT": b"250 2.1.5 ok",
    "DATA": b"354 go on",
    "DOT": b"250 2.0.0 queued",
    "RSET": b"250 2.0.0 ok",
    "QUIT": b"221 2.0.0 bye",
}


@dataclass
class MailServer:
    """Answers each command with the next of its replies, then with the usual one.

    DROP closes the connection in place of a reply, HANG never answers; `after` closes it after that many
    bytes of a message.
    """

    replies: dict[str, Iterable[bytes]] = field(default_factory=dict)
    offers: tuple[str, ...] = OFFERS
    after: int | None = None
    most: int = 1000
    port: int = 0
    address: str = "127.0.0.1"
    commands: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    peers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = {verb: deque(replies) for verb, replies in self.replies.items()}

    def reply(self, verb: str) -> bytes:
        if self.left.get(verb):
            return self.left[verb].popleft()
        if verb == "EHLO":
            return b"\r\n".join(b"250-" + line.encode() for line in ("sink", *self.offers)) + b"\r\n250 HELP"
        return USUAL.get(verb, b"502 5.5.1 no")

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.peers.append(writer.get_extra_info("peername")[0])
        if self.open > self.most:
            self.left.setdefault("GREETING", deque()).appendleft(b"421 4.7.0 too many connections")
        try:
            if await self.say("GREETING", writer):
                while line := await reader.readline():
                    self.commands.append(line.decode().rstrip())
                    verb = line.split(b" ")[0].strip().upper().decode()
                    if not await self.say(verb, writer):
                        break
                    if verb == "DATA" and self.last.startswith(b"354"):
                        if self.after is not None:
                            await reader.readexactly(self.after)
                            break
                        self.messages.append(await body(reader))
                        if not await self.say("DOT", writer):
                            break
                    if verb == "QUIT":
                        break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort() if self.last == DROP or self.after else writer.close()

    last = b""

    async def say(self, verb: str, writer: asyncio.StreamWriter) -> bool:
        reply = self.last = self.reply(verb)
        if reply == DROP:
            return False
        if reply == HANG:
            await asyncio.sleep(3600)
        # In two pieces, as the network may bring it.
        writer.write(reply[:2])
        await writer.drain()
        writer.write(reply[2:] + b"\r\n")
        await writer.drain()
        return not reply.startswith(b"421")


async def body(reader: asyncio.StreamReader) -> bytes:
    lines = []
    while (line := await reader.readline()) != b".\r\n":
        if not line:
            raise ConnectionError
        lines.append(line.removeprefix(b".") if line.startswith(b".") else line)
    return b"".join(lines)


@asynccontextmanager
async def listening(server: MailServer) -> AsyncIterator[MailServer]:
    tasks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await server.talk(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()

    listener = await asyncio.start_server(talk, server.address, server.port, limit=2**20)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def mail_server() -> Callable[..., Any]:
    """Give `mail_server(**what)`, an asynchronous context in which a MailServer listens."""
    return lambda **what: listening(MailServer(**what))


class NameServer(asyncio.DatagramProtocol):
    """A DNS server on UDP. `zone`: (name, type) -> records as text, or a code; None: no answer at all."""

    def __init__(self, zone: dict[tuple[str, str], list[str] | str | None]) -> None:
        self.zone = zone
        self.asked: list[tuple[str, str]] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        found = self.zone.get((name, kind), "NOTHING")
        if found is None:
            return
        answer = dns.message.make_response(query)
        if isinstance(found, list):
            answer.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *found))
        elif found != "NOTHING":
            answer.set_rcode(dns.rcode.from_text(found))
        elif not any(known == name for known, _kind in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def answering(
    zone: dict[tuple[str, str], list[str] | str | None],
) -> AsyncIterator[tuple[dns.asyncresolver.Resolver, NameServer]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(zone), ("127.0.0.1", 0)
    )
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    resolver.timeout, resolver.lifetime = 0.3, 0.6
    try:
        yield resolver, server
    finally:
        transport.close()


@pytest.fixture
def name_server() -> Callable[..., Any]:
    """Give `name_server(zone)`, a context that gives a resolver and the server that it asks."""
    return answering


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give `certificate(host)`: a file with a key and a certificate that is its own authority."""

    # This file is read before there are settings.
    from envoi.kernel.testing import make_certificate

    def make(host: str) -> Path:
        return make_certificate(tmp_path_factory.mktemp("tls") / "both.pem", host)

    return make


@contextmanager
def web(certificate: Path, answers: list[tuple[int, bytes]]) -> Iterator[int]:
    """Let a web server listen over TLS; it gives its answers in turn."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/.well-known/mta-sts.txt"
            status, body = answers.pop(0)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web_server() -> Callable[..., Any]:
    """Give `web_server(certificate, answers)`, a context in which a web server listens on a port."""
    return web
