"""The mail sink of a demonstration: a server on loopback that takes, puts off and refuses as providers do.

What an address answers hangs on the address alone (`services.sink.fates`), so the demonstration is the same
each time. What it takes is shown in the console; bounces, automatic replies and complaints come back seconds
later, to `inmail`.
"""

import asyncio
import contextlib
import heapq
import itertools
import mailbox
import os
import re
import signal
import smtplib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from envoi.kernel import clock
from envoi.kernel.errors import Refused
from envoi.packages.delivery.services.sink import Fate, Fates, Mails, fates, letters

LARGEST = 10_000_000
CONNECTIONS = 60
_IDLE = 300.0
_PATH = re.compile(rb"(?:MAIL FROM|RCPT TO):\s*<([^<>\s]*)>", re.I)
_LOOK = 0.2

Back = Callable[[str, bytes], None]
"""Takes (return address, mail)."""


def into_maildir(folder: Path) -> Back:
    """Return what brings mail back into a Maildir."""

    def bring(_to: str, content: bytes) -> None:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mailbox.Maildir(folder, create=True).add(content)

    return bring


def by_smtp(host: str, port: int) -> Back:
    """Return what brings mail back to a server."""

    def bring(to: str, content: bytes) -> None:
        with smtplib.SMTP(host, port, timeout=10) as server:
            server.sendmail("", [to], content)

    return bring


@dataclass
class Sink:
    """The server. `back` gets what comes back; None: nothing does."""

    mails: Mails
    back: Back | None = None
    answers: Fates = field(default_factory=Fates)
    connections: int = CONNECTIONS
    taken: int = 0
    open: int = 0
    _later: list[tuple[float, int, str, str, bytes, Fate]] = field(default_factory=list)
    _count: "itertools.count[int]" = field(default_factory=itertools.count)

    async def serve(self, host: str, port: int, ready: Callable[[int], None] = lambda _port: None) -> None:
        """Serve until the task is cancelled; `ready` is told the port."""
        server = await asyncio.start_server(self._talk, host, port, limit=2**20)
        try:
            ready(int(server.sockets[0].getsockname()[1]))
            await self._bring_back()
        finally:
            server.close()

    async def _bring_back(self) -> None:
        while True:
            while self._later and self._later[0][0] <= clock.monotonic():
                _when, _number, address, to, original, fate = heapq.heappop(self._later)
                found = letters.letter(fate, address, to, original, clock.now())
                if found is not None and self.back is not None:
                    # Nobody listens, or not yet: a bounce that is lost does happen.
                    with contextlib.suppress(OSError, smtplib.SMTPException):
                        await asyncio.to_thread(self.back, to, found)
            await asyncio.sleep(_LOOK)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            if self.open > self.connections:
                writer.write(b"421 4.7.0 Too many connections from your address, try again later\r\n")
                await writer.drain()
                return
            writer.write(b"220 sink.example ESMTP\r\n")
            await self._session(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, OSError):
                await writer.wait_closed()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender: str | None = None
        recipients: list[str] = []
        while True:
            async with asyncio.timeout(_IDLE):
                line = await reader.readline()
            if not line:
                return
            verb = line[:4].upper().rstrip()
            path = _PATH.match(line)
            reply = "250 2.0.0 OK"
            if verb in (b"EHLO", b"HELO"):
                reply = f"250-sink.example\n250-PIPELINING\n250-SIZE {LARGEST}\n250-8BITMIME\n250-SMTPUTF8\n"
                reply = reply + "250 ENHANCEDSTATUSCODES" if verb == b"EHLO" else "250 sink.example"
                sender, recipients = None, []
            elif verb == b"MAIL":
                if path is None:
                    reply = "501 5.1.7 Bad sender address syntax"
                else:
                    sender, recipients = path[1].decode("utf-8", "replace"), []
                    reply = "250 2.1.0 OK"
            elif verb == b"RCPT":
                if sender is None or path is None:
                    reply = "503 5.5.1 Need MAIL first" if sender is None else "501 5.1.3 Bad recipient"
                else:
                    address = path[1].decode("utf-8", "replace")
                    reply = self.answers.reply(address, sender) or "250 2.1.5 OK"
                    if reply.startswith("250"):
                        recipients.append(address)
            elif verb == b"DATA":
                if sender is None or not recipients:
                    reply = "503 5.5.1 No valid recipients"
                else:
                    writer.write(b"354 Go ahead\r\n")
                    await writer.drain()
                    reply = self._take(sender, recipients, await self._data(reader))
                    sender, recipients = None, []
            elif verb == b"RSET":
                sender, recipients = None, []
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                await writer.drain()
                return
            elif verb not in (b"NOOP", b"VRFY"):
                reply = "502 5.5.2 Command not recognized"
            writer.write(reply.replace("\n", "\r\n").encode() + b"\r\n")
            await writer.drain()
            if reply.startswith("421"):
                return

    async def _data(self, reader: asyncio.StreamReader) -> bytes | None:
        """Return a message; None when it is too large. Raises ConnectionError when it breaks off."""
        lines: list[bytes] = []
        size = 0
        while True:
            async with asyncio.timeout(_IDLE):
                line = await reader.readline()
            if line == b".\r\n":
                return b"".join(lines) if size <= LARGEST else None
            if not line:
                raise ConnectionError
            line = line[1:] if line.startswith(b".") else line
            size += len(line)
            if size <= LARGEST:
                lines.append(line)

    def _take(self, sender: str, recipients: list[str], content: bytes | None) -> str:
        if content is None:
            return "552 5.3.4 Message too big"
        for address in recipients:
            fate = self.answers.of(address)
            if fate is Fate.SPAM:
                return fates.words(fate, address)
            self.mails.put(address, sender, content, clock.now())
            self.taken += 1
            if sender and fate in (Fate.BOUNCES, Fate.AWAY, Fate.COMPLAINS):
                due = clock.monotonic() + fates.delay(address)
                heapq.heappush(self._later, (due, next(self._count), address, sender, content, fate))
        return f"250 2.0.0 Ok: queued as {self.taken:010X}"


def run(home: Path, where: str, bounces: str) -> None:
    """Run the sink at host:port until SIGTERM. `bounces`: host:port of a server, or the folder of a Maildir.

    Raises Refused for a place that is not this machine.
    """
    host, port = place(where)
    if re.fullmatch(r"[^/]+:\d+", bounces):
        back = by_smtp(*place(bounces))
    else:
        back = into_maildir(Path(bounces))
    sink = Sink(Mails(home), back)

    async def work() -> None:
        task = asyncio.ensure_future(sink.serve(host, port))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    os.umask(0o077)
    asyncio.run(work())


def place(text: str) -> tuple[str, int]:
    """Return host and port of an address on this machine. Raises Refused for any other."""
    host, _colon, port = text.rpartition(":")
    if host.strip("[]") not in ("127.0.0.1", "::1", "localhost") or not port.isdigit():
        raise Refused(f"The mail sink is for this machine only: write 127.0.0.1:PORT, not {text!r}.")
    return host.strip("[]"), int(port)
