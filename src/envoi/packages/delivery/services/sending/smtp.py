"""SMTP as a client speaks it: from the connection to the reply to the final dot.

RFC 5321 with PIPELINING (2920), SIZE (1870), 8BITMIME (6152), STARTTLS (3207), SMTPUTF8 (6531) and AUTH
(4954), each only where the server offers it. Many messages go over one session. With PIPELINING the body of a
message, its dot and the envelope of the next leave in one write; a body waits for the 354, so that never more
than one dot of a session is without its reply.
"""

import asyncio
import base64
import re
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import cast

from envoi.packages.delivery.services.sending.outcomes import (
    Message,
    Outcome,
    Stage,
    State,
    outcome,
    refused,
)
from envoi.packages.delivery.services.sending.replies import BadReplyError, Reply, ReplyReader

_LOOK_AHEAD = 65_536  # bytes; a longer message is written alone, so that it is known whether all of it left
_MAILBOX = re.compile(r"[^\x00-\x20\x7f<>]+@[!-;=?A-~]+")
_ENVELOPE = (Stage.MAIL, Stage.RCPT, Stage.DATA)


class Tls(StrEnum):
    """How much a destination must encrypt."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    """Where offered, with any certificate; in clear when it is not offered or fails."""
    REQUIRED = "required"
    """Encrypted or not at all, with any certificate."""
    VERIFIED = "verified"
    """Encrypted, with a certificate for the host's name (an MTA-STS policy that is enforced)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds (delivery.md §3.3, MX rules): to connect; for the reply to a command; to DATA and the dot."""

    connect: float = 10.0
    command: float = 60.0
    data: float = 240.0


@dataclass(frozen=True, slots=True)
class Login:
    """Name and password of a relay; the password is not shown."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to speak to and how.

    `address` is what is connected to, `host` the name that certificates must bear; `helo` our own name;
    `source` the local address to speak from; `implicit` TLS from the first byte; `authorities` a context for
    certificates in place of the system's.
    """

    address: str
    port: int
    host: str
    helo: str
    source: str | None = None
    tls: Tls = Tls.OPPORTUNISTIC
    implicit: bool = False
    login: Login | None = None
    timeouts: Timeouts = Timeouts()
    authorities: ssl.SSLContext | None = None


class SessionError(Exception):
    """The session cannot go on; `reply.code` is 0 when the server did not say why."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        super().__init__(f"{stage}: {reply}")
        self.stage = stage
        self.reply = reply


class _LostError(Exception):
    """The connection is gone, or nothing came in time. Says how in English."""


async def connect(peer: Peer) -> "Session":
    """Open a session, ready for messages. Raises SessionError.

    With opportunistic TLS a handshake that fails is followed by a second connection in clear.
    """
    try:
        return await _connect(peer, peer.tls)
    except SessionError as error:
        if error.stage is not Stage.TLS or peer.tls is not Tls.OPPORTUNISTIC or peer.implicit:
            raise
    return await _connect(peer, Tls.NONE)


async def _connect(peer: Peer, tls: Tls) -> "Session":
    loop = asyncio.get_running_loop()
    session = Session(peer)
    implicit = peer.implicit
    try:
        async with asyncio.timeout(peer.timeouts.connect):
            await loop.create_connection(
                lambda: session,
                peer.address,
                peer.port,
                local_addr=(peer.source, 0) if peer.source else None,
                ssl=_context(peer, tls) if implicit else None,
                server_hostname=peer.host if implicit else None,
                ssl_handshake_timeout=peer.timeouts.command if implicit else None,
            )
    except ssl.SSLError as error:
        raise SessionError(Stage.TLS, Reply(0, f"TLS failed: {error.reason or error}")) from error
    except TimeoutError as error:
        raise SessionError(
            Stage.CONNECT, Reply(0, f"no connection in {peer.timeouts.connect:g} s")
        ) from error
    except OSError as error:
        raise SessionError(Stage.CONNECT, Reply(0, error.strerror or str(error))) from error
    try:
        await session.begin(tls)
    except BaseException:
        session.abort()
        raise
    return session


class Session(asyncio.Protocol):
    """One connection to a server. Made by `connect`."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.encrypted = peer.implicit
        self.messages = 0
        """How many messages came to their dot over it."""
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience = self._deadline = 0.0
        self._lost: str | None = None
        self._unwritten = False
        self._offers: dict[str, str] = {}
        self._open_transaction = False

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # With limits of 0 `pause_writing` says exactly that something has not gone to the kernel yet.
        self._transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.extend(self._reader.feed(data))
        except BadReplyError as error:
            self._lose(f"the server broke the protocol ({error})")
            return
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(f"connection lost ({exc})" if exc else "the server closed the connection")

    def pause_writing(self) -> None:
        self._unwritten = True

    def resume_writing(self) -> None:
        self._unwritten = False

    # --- the session

    async def begin(self, tls: Tls) -> None:
        """Greet, encrypt, sign in. Raises SessionError."""
        peer = self.peer
        await self._expect(Stage.GREETING, b"", 220)
        await self._hello()
        if not self.encrypted and tls is not Tls.NONE:
            if "STARTTLS" in self._offers:
                await self._encrypt(tls)
                await self._hello()
            elif tls is not Tls.OPPORTUNISTIC:
                raise SessionError(Stage.TLS, Reply(0, "the server offers no STARTTLS, which is required"))
        if peer.login:
            await self._sign_in(peer.login)

    async def deliver(
        self,
        take: Callable[[], Message | None],
        dot: Callable[[Message], None],
        end: Callable[[Outcome], None],
    ) -> None:
        """Send messages until `take` gives None; then the session is open for more, or to be quit.

        `dot` is called right before the bytes that hold a message's final dot are written, and raises to keep
        them from being written; `end` is called once for each message taken, as soon as its outcome is known.
        Raises SessionError when the session is over; every message taken has then had its `end`.
        """
        current: Message | None = None
        following: Message | None = None
        written = False
        try:
            while current is not None or (current := self._take(take, end)) is not None:
                answers = None if self._accepted_at_once(current) else await self._envelope(current)
                refusal = next((each for each in answers or () if not _accepted(*each)), None)
                if answers is not None and refusal is not None:
                    stage, reply = refusal
                    if reply.ends_session:
                        raise SessionError(stage, reply)
                    known, current = refused(current, stage, reply), None
                    end(known)
                    if answers[-1][0] is Stage.DATA and answers[-1][1].code == 354:
                        # RFC 2920 §3.1: DATA was accepted though nobody is to get it; nothing follows.
                        self._write(b".\r\n")
                        await self._reply(self.peer.timeouts.data)
                        self._open_transaction = False
                    continue
                if answers is not None and current.verify:
                    # Nothing was promised to the server but an envelope; the next one begins with RSET.
                    known, current = outcome(current, State.SENT, *answers[-1]), None
                    end(known)
                    continue
                following = self._look_ahead(current, take, end)
                framed = (current.data, b".\r\n") if current.dotted is False else (frame(current.data),)
                # Behind the dot nothing is open.
                self._open_transaction = False
                announced = b"" if following is None else self._commands(following)
                dot(current)
                written = True
                self.messages += 1
                self._write(b"".join((*framed, announced)))
                reply = await self._reply(self.peer.timeouts.data)
                written = False
                if reply.good:
                    known = outcome(current, State.SENT, Stage.DOT, reply)
                else:
                    known = refused(current, Stage.DOT, reply)
                current, following = following, None
                end(known)
                if reply.ends_session:
                    raise SessionError(Stage.DOT, reply)
        except _LostError as error:
            reply = Reply(0, str(error))
            if current is not None:
                doubt = written and not (self._never_left and following is None)
                end(outcome(current, State.IN_DOUBT if doubt else State.UNSENT, Stage.DOT, reply))
                current = None
            raise SessionError(Stage.DOT if written else Stage.MAIL, reply) from error
        except SessionError as error:
            if current is not None:
                end(outcome(current, State.UNSENT, error.stage, error.reply))
                current = None
            raise
        finally:
            # Also when `dot` or `end` raised, or the task was cancelled.
            if current is not None:
                state = State.IN_DOUBT if written else State.UNSENT
                end(outcome(current, state, Stage.DOT, Reply(0, "the session was given up")))
            if following is not None:
                end(outcome(following, State.UNSENT, Stage.MAIL, Reply(0, "the session ended before")))

    async def quit(self) -> None:
        """Say goodbye and close; never raises."""
        try:
            if self._lost is None:
                self._write(b"QUIT\r\n")
                await self._reply(min(5.0, self.peer.timeouts.command))
        except (_LostError, asyncio.CancelledError):
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport:
            self._transport.abort()

    # --- commands

    async def _hello(self) -> None:
        name = self.peer.helo.encode("ascii")
        reply = await self._ask(Stage.EHLO, b"EHLO " + name + b"\r\n")
        self._offers = {}
        if reply.code in (500, 501, 502, 504, 550):
            await self._expect(Stage.EHLO, b"HELO " + name + b"\r\n", 250)
            return
        if reply.code != 250:
            raise SessionError(Stage.EHLO, reply)
        for line in reply.text.split("\n")[1:]:
            word, _, rest = line.strip().partition(" ")
            self._offers[word.upper()] = rest

    async def _encrypt(self, tls: Tls) -> None:
        await self._expect(Stage.TLS, b"STARTTLS\r\n", 220)
        if self._replies or self._reader.halfway:
            # Said in clear before TLS is up: it could come from anybody on the way (CVE-2011-0411).
            raise SessionError(Stage.TLS, Reply(0, "the server spoke between STARTTLS and TLS"))
        assert self._transport is not None  # noqa: S101 for the type checker
        try:
            secured = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                _context(self.peer, tls),
                server_hostname=self.peer.host,
                ssl_handshake_timeout=self.peer.timeouts.command,
            )
        except (OSError, ssl.SSLError) as error:
            text = getattr(error, "verify_message", "") or getattr(error, "reason", None) or str(error)
            raise SessionError(Stage.TLS, Reply(0, f"TLS failed: {text}")) from error
        if secured is None or self._lost is not None:
            raise SessionError(Stage.TLS, Reply(0, "TLS failed: the connection was closed"))
        self._transport = secured
        self.encrypted = True

    async def _sign_in(self, login: Login) -> None:
        if not self.encrypted and self.peer.tls is not Tls.NONE:
            raise SessionError(Stage.AUTH, Reply(0, "a password is not sent over a connection in clear"))
        ways = self._offers.get("AUTH", "").upper().split()
        name, password = login.name.encode(), login.password.encode()
        if "PLAIN" in ways:
            token = base64.b64encode(b"\0" + name + b"\0" + password)
            await self._expect(Stage.AUTH, b"AUTH PLAIN " + token + b"\r\n", 235)
        elif "LOGIN" in ways:
            await self._expect(Stage.AUTH, b"AUTH LOGIN\r\n", 334)
            await self._expect(Stage.AUTH, base64.b64encode(name) + b"\r\n", 334)
            await self._expect(Stage.AUTH, base64.b64encode(password) + b"\r\n", 235)
        else:
            raise SessionError(Stage.AUTH, Reply(0, "the server offers neither AUTH PLAIN nor LOGIN"))

    def _accepted_at_once(self, message: Message) -> bool:
        """Take the replies to an envelope that was announced, when all are here and say yes, as mostly."""
        replies = self._replies
        if not self._announced or self._reset_announced or message.verify or len(replies) < len(_ENVELOPE):
            return False
        if not (replies[0].good and replies[1].good and replies[2].code == 354):
            return False
        for _stage in _ENVELOPE:
            replies.popleft()
        self._announced, self._open_transaction = False, True
        return True

    async def _envelope(self, message: Message) -> list[tuple[Stage, Reply]]:
        """Return the replies to MAIL, RCPT and DATA; up to the first refusal where each waits its turn."""
        answers: list[tuple[Stage, Reply]] = []
        seconds = self.peer.timeouts.command
        if "PIPELINING" in self._offers:
            if not self._announced:
                self._write(self._commands(message))
            self._announced = False
            if self._reset_announced:
                self._reset_announced = False
                await self._reset_reply()
            for stage in _stages(message):
                limit = self.peer.timeouts.data if stage is Stage.DATA else seconds
                answers.append((stage, await self._reply(limit)))
                if answers[-1][1].ends_session:
                    break
        else:
            if self._open_transaction:
                self._write(b"RSET\r\n")
                await self._reset_reply()
            for stage, command in zip(_stages(message), self._lines(message), strict=False):
                self._write(command)
                limit = self.peer.timeouts.data if stage is Stage.DATA else seconds
                answers.append((stage, await self._reply(limit)))
                if not _accepted(*answers[-1]):
                    break
        self._open_transaction = True
        return answers

    _announced = False
    _reset_announced = False

    def _commands(self, message: Message) -> bytes:
        self._announced = True
        self._reset_announced = self._open_transaction
        commands = b"".join(self._lines(message)[: len(_stages(message))])
        return b"RSET\r\n" + commands if self._open_transaction else commands

    async def _reset_reply(self) -> None:
        reply = await self._reply(self.peer.timeouts.command)
        if not reply.good:
            raise SessionError(Stage.MAIL, reply)
        self._open_transaction = False

    def _lines(self, message: Message) -> tuple[bytes, bytes, bytes]:
        extras = ""
        if "SIZE" in self._offers:
            extras += f" SIZE={len(message.data)}"
        if not message.data.isascii():
            extras += " BODY=8BITMIME"
        if _needs_utf8(message):
            extras += " SMTPUTF8"
        return (
            f"MAIL FROM:<{message.sender}>{extras}\r\n".encode(),
            f"RCPT TO:<{message.recipient}>\r\n".encode(),
            b"DATA\r\n",
        )

    def _take(self, take: Callable[[], Message | None], end: Callable[[Outcome], None]) -> Message | None:
        """Return the next message that this server can get; those that it cannot get are ended here."""
        while (message := take()) is not None:
            objection = self._objection(message)
            if objection is None:
                return message
            end(outcome(message, State.FAILED, Stage.MAIL, objection))
        return None

    def _look_ahead(
        self, current: Message, take: Callable[[], Message | None], end: Callable[[Outcome], None]
    ) -> Message | None:
        if "PIPELINING" not in self._offers or len(current.data) > _LOOK_AHEAD:
            return None
        return self._take(take, end)

    def _objection(self, message: Message) -> Reply | None:
        data = message.data
        if message.dotted is None:
            if not is_mailbox(message.recipient):
                return Reply(0, "the address is not one", "5.1.3")
            if message.sender and not is_mailbox(message.sender):
                return Reply(0, "the return address is not one", "5.1.7")
            if not _has_whole_lines(data):
                return Reply(0, "the message has lines that do not end in CRLF", "5.6.0")
        if _needs_utf8(message) and "SMTPUTF8" not in self._offers:
            return Reply(0, "the server takes no addresses beyond ASCII (SMTPUTF8)", "5.6.7")
        if not data.isascii() and "8BITMIME" not in self._offers:
            return Reply(0, "the server takes 7-bit text only (8BITMIME)", "5.6.3")
        most = self._offers.get("SIZE", "")
        if most.isdigit() and 0 < int(most) < len(data):
            return Reply(0, f"{len(data)} bytes; the server takes {most}", "5.3.4")
        return None

    # --- bytes

    async def _expect(self, stage: Stage, command: bytes, code: int) -> Reply:
        reply = await self._ask(stage, command)
        if reply.code != code:
            raise SessionError(stage, reply)
        return reply

    async def _ask(self, stage: Stage, command: bytes) -> Reply:
        try:
            if command:
                self._write(command)
            return await self._reply(self.peer.timeouts.command)
        except _LostError as error:
            raise SessionError(stage, Reply(0, str(error))) from error

    def _write(self, data: bytes) -> None:
        if self._lost is not None or self._transport is None:
            raise _LostError(self._lost or "not connected")
        self._transport.write(data)

    async def _reply(self, seconds: float) -> Reply:
        """Return the next reply, also one that came before the connection was lost. Raises _LostError."""
        while not self._replies:
            if self._lost is not None:
                raise _LostError(self._lost)
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self._limit(loop, seconds)
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._replies.popleft()

    def _limit(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Let a reply be overdue after so long. One timer goes on from reply to reply: to set one for each is
        dearer than to have it look now and then.
        """
        self._patience, self._deadline = seconds, loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_at(self._deadline, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._look, loop)
        else:
            self._lose(f"no reply in {self._patience:g} s")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _lose(self, how: str) -> None:
        if self._lost is None:
            self._lost = how
            # Below TLS there is one more buffer, of which nothing is known.
            self._never_left = self._unwritten and not self.encrypted
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._transport is not None:
                self._transport.abort()
        self._wake()

    _never_left = False


def frame(data: bytes) -> bytes:
    """Return a message of CRLF lines as it goes after DATA: dot-stuffed and with its final dot."""
    if data.startswith(b"."):
        data = b"." + data
    return data.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def is_mailbox(address: str) -> bool:
    """Return whether an address can stand in a command: no blanks, no brackets, a domain in ASCII."""
    return _MAILBOX.fullmatch(address) is not None


def _has_whole_lines(data: bytes) -> bool:
    """A bare CR or LF would be an end of the message to some servers (SMTP smuggling)."""
    lines = data.count(b"\r\n")
    return data.endswith(b"\r\n") and data.count(b"\n") == lines and data.count(b"\r") == lines


def _needs_utf8(message: Message) -> bool:
    return not (message.recipient.isascii() and message.sender.isascii())


def _stages(message: Message) -> tuple[Stage, ...]:
    return _ENVELOPE[:2] if message.verify else _ENVELOPE


def _accepted(stage: Stage, reply: Reply) -> bool:
    return reply.code == 354 if stage is Stage.DATA else reply.good


def _context(peer: Peer, tls: Tls) -> ssl.SSLContext:
    if tls is Tls.VERIFIED or peer.implicit or peer.login:
        return peer.authorities or _checking()
    return _trusting()


@cache
def _checking() -> ssl.SSLContext:
    return ssl.create_default_context()


@cache
def _trusting() -> ssl.SSLContext:
    """Encryption against listeners only: mail servers have certificates of all kinds (RFC 7435)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
