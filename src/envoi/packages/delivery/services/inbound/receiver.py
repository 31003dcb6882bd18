"""Takes mail of the bounce domain by SMTP or LMTP (RFC 5321, RFC 2033) and puts it into a Maildir.

Small on purpose: no relay, no sign-in, nothing is looked up. A mail is answered for once its file is on the
disk; whatever a client sends costs one connection at most.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from envoi.kernel import clock
from envoi.kernel.errors import Invalid

LARGEST: Final = 20 << 20
"""Bytes of a mail; a larger one is refused."""
CONNECTIONS: Final = 100
RECIPIENTS: Final = 100
ERRORS: Final = 20
"""Commands that made no sense, after which a client has to go."""
HOPS: Final = 50
"""Received headers of a mail, after which it runs in a circle."""
IDLE_S: Final = 60.0
MAIL_S: Final = 300.0
"""How long a client may take for one mail."""
_LINE: Final = 4_096
_PATH = re.compile(r"^(FROM|TO):\s*<([^<>\s\x00-\x20\x7f]{0,320})>((?:\s+[!-~]+)*)\s*$", re.IGNORECASE)
_SIZE = re.compile(r"\bSIZE=(\d{1,15})", re.IGNORECASE)

logger = logging.getLogger(__name__)


@dataclass
class Receiver:
    """Listens in a thread of its own. `listen` is host:port; `arrived` is called when a mail is there.

    `port` is known once `start` has returned: 0 in `listen` lets the system choose.
    """

    listen: str
    folder: Path
    domain: str
    certificate: str = ""
    arrived: Callable[[], Any] = lambda: None
    port: int = 0
    _loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    _ending: asyncio.Event | None = field(default=None, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)
    _sessions: set["asyncio.Task[Any]"] = field(default_factory=set["asyncio.Task[Any]"], repr=False)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count, repr=False)

    def start(self) -> None:
        """Begin to listen. Raises Invalid when it cannot."""
        host, colon, port = self.listen.rpartition(":")
        if not colon or not port.isdecimal():
            raise Invalid(f"[inbound] listen is host:port, such as 127.0.0.1:2525, not {self.listen!r}.")
        for name in ("tmp", "new", "cur"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        _swept(self.folder / "tmp")
        tls = self._tls()
        ready: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
        serving = self._serve(host.strip("[]"), int(port), tls, ready.put)
        self._thread = threading.Thread(target=asyncio.run, args=(serving,), name="receiver", daemon=True)
        self._thread.start()
        if (error := ready.get()) is not None:
            self._thread.join()
            raise Invalid(f"[inbound] listen: nothing can listen at {self.listen} ({error}).")
        logger.info("mail of %s is taken at port %s", self.domain, self.port)

    def stop(self) -> None:
        """Close every connection and end."""
        if self._thread is not None and self._thread.is_alive() and self._loop and self._ending:
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()

    async def _serve(
        self, host: str, port: int, tls: ssl.SSLContext | None, ready: Callable[[OSError | None], None]
    ) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        try:
            server = await asyncio.start_server(
                lambda reader, writer: self._session(reader, writer, tls), host, port, limit=_LINE
            )
        except OSError as error:
            ready(error)
            return
        self.port = server.sockets[0].getsockname()[1]
        ready(None)
        await self._ending.wait()
        server.close()
        for each in self._sessions:
            each.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _tls(self) -> ssl.SSLContext | None:
        if not self.certificate:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.certificate)
        except OSError as error:  # SSLError is one
            raise Invalid(
                f"[inbound] certificate: {self.certificate} cannot be used ({error}). It must hold a "
                "certificate and its key in PEM form."
            ) from error
        return context

    async def _session(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 a callback of a server runs as one
        if len(self._sessions) >= CONNECTIONS:
            writer.write(b"421 4.3.2 too many connections, come back later\r\n")
            writer.close()
            return
        self._sessions.add(task)
        try:
            await _Session(self, reader, writer, tls).run()
        except (OSError, EOFError, TimeoutError, ssl.SSLError, asyncio.LimitOverrunError):
            pass  # the client has gone, or is to go
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                writer.write(b"421 4.3.2 closing down\r\n")
        except Exception:
            logger.exception("a session with a mail server failed")
        finally:
            self._sessions.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    def name(self) -> str:
        """Return a name for a file that no other has."""
        return f"{int(clock.now().timestamp() * 1e6)}.{os.getpid()}_{next(self._numbers)}.{_host()}"


def _swept(folder: Path) -> None:
    """Remove what receivers left that died: nobody has been told that it is kept."""
    for each in folder.iterdir():
        with contextlib.suppress(OSError):
            if clock.now().timestamp() - each.stat().st_mtime > 2 * MAIL_S:
                each.unlink()


def _host() -> str:
    return socket.gethostname().replace("/", "_").replace(":", "_")


class _Session:
    def __init__(
        self,
        receiver: Receiver,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.receiver, self.reader, self.writer, self.tls = receiver, reader, writer, tls
        self.greeted = self.lmtp = self.secure = False
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.errors = 0

    async def run(self) -> None:
        self.say("220 mail of bounces is taken here")
        while True:
            await self.writer.drain()
            line = await asyncio.wait_for(self.command(), IDLE_S)
            if line is None:
                return
            word, _space, rest = line.partition(" ")
            done = await self.obey(word.upper(), rest.strip())
            if not done:
                await self.writer.drain()
                return

    def say(self, text: str) -> None:
        self.writer.write(text.encode("ascii", "replace") + b"\r\n")

    async def command(self) -> str | None:
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            self.say("500 5.5.6 line too long")
            return None
        except asyncio.IncompleteReadError:
            return None
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def wrong(self, text: str) -> bool:
        self.errors += 1
        if self.errors > ERRORS:
            self.say("421 4.7.0 too many errors")
            return False
        self.say(text)
        return True

    async def obey(self, word: str, rest: str) -> bool:
        match word:
            case "EHLO" | "HELO" | "LHLO":
                return self.hello(word, rest)
            case "MAIL" | "RCPT":
                return self.mail(rest) if word == "MAIL" else self.rcpt(rest)
            case "DATA":
                return await self.data()
            case "STARTTLS" if self.tls is not None and not self.secure:
                return await self.encrypt()
            case "RSET" | "NOOP":
                if word == "RSET":
                    self.reset()
                self.say("250 2.0.0 ok")
                return True
            case "VRFY":
                self.say("252 2.5.0 send it and see")
                return True
            case "QUIT":
                self.say("221 2.0.0 goodbye")
                return False
            case _:
                return self.wrong("500 5.5.2 unknown command")

    def reset(self) -> None:
        self.sender, self.recipients = None, []

    def hello(self, word: str, rest: str) -> bool:
        if not rest:
            return self.wrong("501 5.5.4 say who you are")
        self.reset()
        self.greeted, self.lmtp = True, word == "LHLO"
        name = self.receiver.domain
        if word == "HELO":
            self.say(f"250 {name}")
            return True
        offers = ["PIPELINING", f"SIZE {LARGEST}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self.tls is not None and not self.secure:
            offers.append("STARTTLS")
        for text in (name, *offers[:-1]):
            self.say(f"250-{text}")
        self.say(f"250 {offers[-1]}")
        return True

    async def encrypt(self) -> bool:
        assert self.tls is not None  # noqa: S101 asked by the caller
        self.say("220 2.0.0 go ahead")
        await self.writer.drain()
        if getattr(self.reader, "_buffer", b""):
            return False  # what came in clear must never be taken for what came under TLS
        await asyncio.wait_for(self.writer.start_tls(self.tls), IDLE_S)
        self.secure, self.greeted = True, False
        self.reset()
        return True

    def mail(self, rest: str) -> bool:
        found = _PATH.match(rest)
        if not self.greeted or self.sender is not None:
            return self.wrong("503 5.5.1 not now")
        if found is None or found[1].upper() != "FROM":
            return self.wrong("501 5.1.7 MAIL FROM:<address>")
        size = _SIZE.search(found[3])
        if size and int(size[1]) > LARGEST:
            return self.wrong("552 5.3.4 too large")
        self.sender = found[2]
        self.say("250 2.1.0 ok")
        return True

    def rcpt(self, rest: str) -> bool:
        found = _PATH.match(rest)
        if self.sender is None:
            return self.wrong("503 5.5.1 not now")
        if found is None or found[1].upper() != "TO" or "@" not in found[2]:
            return self.wrong("501 5.1.3 RCPT TO:<address>")
        if found[2].rpartition("@")[2].lower() != self.receiver.domain:
            return self.wrong("550 5.7.1 mail of this domain is not taken here")
        if len(self.recipients) >= RECIPIENTS:
            return self.wrong("452 4.5.3 too many recipients")
        self.recipients.append(found[2])
        self.say("250 2.1.5 ok")
        return True

    async def data(self) -> bool:
        if not self.recipients:
            return self.wrong("503 5.5.1 no recipient yet")
        self.say("354 end with a dot on a line of its own")
        await self.writer.drain()
        async with asyncio.timeout(MAIL_S):
            answer = await self.store()
        if answer.startswith("4") or answer.startswith("5"):
            self.errors += 1
        for _each in self.recipients if self.lmtp else ("",):
            self.say(answer)
        self.reset()
        return True

    async def store(self) -> str:
        """Write a mail to the Maildir and return the answer; the file is there once it says 250."""
        name = self.receiver.name()
        part = self.receiver.folder / "tmp" / name
        head = [f"Return-Path: <{self.sender}>", *(f"Delivered-To: {each}" for each in self.recipients)]
        size = hops = 0
        problem, in_head, fresh = "", True, True
        try:
            with part.open("xb") as file:
                file.write("".join(f"{line}\r\n" for line in head).encode("utf-8", "replace"))
                while True:
                    line = await self.line()
                    if fresh and line == b".\r\n":
                        break
                    if fresh and line.startswith(b"."):
                        line = line[1:]
                    size += len(line)
                    if fresh and in_head:
                        in_head = line != b"\r\n"
                        hops += line[:9].lower() == b"received:"
                    fresh = line.endswith(b"\r\n")
                    if not problem and size > LARGEST:
                        problem = "552 5.3.4 too large"
                    elif not problem and hops > HOPS:
                        problem = "554 5.4.6 it runs in a circle"
                    if not problem:
                        file.write(line)
                if problem:
                    return problem
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            part.rename(self.receiver.folder / "new" / name)
            await asyncio.to_thread(_synced, self.receiver.folder / "new")
        except ConnectionError:
            raise
        except OSError as error:
            logger.error("a mail cannot be kept: %s", error)
            # Its end may not have been read: what follows is no command.
            raise ConnectionAbortedError("the disk does not take it") from error
        finally:
            part.unlink(missing_ok=True)
        self.receiver.arrived()
        return "250 2.0.0 kept"

    async def line(self) -> bytes:
        """Return the next line with its CRLF, or a piece of a long one. A bare LF ends none."""
        try:
            return await self.reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError as error:
            return await self.reader.readexactly(max(error.consumed, 1))


def _synced(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
