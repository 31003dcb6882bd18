"""SMTP with servers that misbehave: what is known of every message afterwards."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, Stage, State
from envoi.packages.delivery.services.sending.replies import BadReplyError, Reply, ReplyReader
from envoi.packages.delivery.services.sending.smtp import (
    Login,
    Peer,
    SessionError,
    Timeouts,
    Tls,
    connect,
)

DATA = b"Subject: x\r\n\r\nhello\r\n"
DROP, HANG = b"DROP", b"HANG"
QUICK = Timeouts(connect=2, command=0.4, data=0.4)
PATIENT: dict[str, Any] = {"timeouts": Timeouts(connect=10, command=10, data=10)}


def message(number: int, data: bytes = DATA, to: str = "") -> Message:
    return Message(number, 1, "bounce@sender.example", to or f"u{number}@there.example", data)


async def send(
    messages: list[Message], port: int, *, address: str = "127.0.0.1", **peer: Any
) -> tuple[list[Outcome], list[int], SessionError | None]:
    """Send over one session; return outcomes, the ids whose dot was announced, and how it ended."""
    ends: list[Outcome] = []
    dots: list[int] = []
    left = iter(messages)
    try:
        session = await connect(Peer(address, port, "localhost", "me.example", **{"timeouts": QUICK} | peer))
    except SessionError as error:
        return ends, dots, error
    try:
        await session.deliver(lambda: next(left, None), lambda each: dots.append(each.id), ends.append)
    except SessionError as error:
        return ends, dots, error
    finally:
        await session.quit()
    return ends, dots, None


def states(ends: list[Outcome]) -> str:
    """Return the outcomes by number of message, as the letters of their states."""
    return "".join(end.state for end in sorted(ends, key=lambda end: end.id))


Serve = Callable[..., Any]


@pytest.mark.parametrize("offers", [("PIPELINING", "SIZE 0"), ()])
def test_many_messages_go_over_one_session(mail_server: Serve, offers: tuple[str, ...]) -> None:
    async def run() -> None:
        async with mail_server(offers=offers) as server:
            ends, dots, error = await send(
                [message(n, b"Subject: %d\r\n\r\nx\r\n" % n) for n in range(7)], server.port
            )
            assert error is None
            assert states(ends) == "s" * 7
            assert dots == list(range(7))
            assert [end.reply for end in ends] == [Reply(250, "queued", "2.0.0")] * 7
            assert server.messages == [b"Subject: %d\r\n\r\nx\r\n" % n for n in range(7)]
            assert server.connections == 1

    asyncio.run(run())


def test_a_refused_address_costs_the_next_message_nothing(mail_server: Serve) -> None:
    refusals = [b"550-5.1.1 There is no\r\n550 5.1.1 such user", b"250 ok", b"451 4.7.1 later"]

    async def run() -> None:
        for offers in (("PIPELINING",), ()):
            for data_replies in ([b"554 no valid recipients"], []):
                replies = {"RCPT": refusals, "DATA": data_replies}
                async with mail_server(replies=replies, offers=offers) as server:
                    ends, dots, error = await send([message(n) for n in range(4)], server.port)
                    assert error is None
                    expected = "fsds"
                    if not offers and data_replies:
                        # Without pipelining DATA is not said for the first: its refusal meets the second.
                        expected = "ffds"
                    assert states(ends) == expected
                    first = next(end for end in ends if end.id == 0)
                    assert first.stage is Stage.RCPT
                    assert first.reply == Reply(550, "There is no\nsuch user", "5.1.1")
                    assert dots == [1, 3] or dots == [3]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("replies", "after", "expected", "doubted"),
    [
        ({"DOT": [b"250 ok", DROP]}, None, "s?u", [1]),
        ({"DOT": [b"250 ok", HANG]}, None, "s?u", [1]),
        ({"DOT": [b"421 4.3.2 closing"]}, None, "du", []),
        ({"DOT": [b"421 4.7.0 slow down"]}, None, "du", []),
        ({"DOT": [b"451 4.3.0 later", b"552 5.2.2 full"]}, None, "dfs", []),
        ({"MAIL": [b"250 ok", b"421 4.7.0 enough"]}, None, "su", []),
        ({"RCPT": [HANG]}, None, "u", []),
        ({"DATA": [DROP]}, None, "u", []),
        ({"DATA": [b"250 ok", b"354 go on"]}, None, "d", []),
        ({"MAIL": [b"hello you"]}, None, "u", []),
    ],
)
def test_a_message_is_in_doubt_only_after_its_dot(
    mail_server: Serve, replies: dict[str, list[bytes]], after: int | None, expected: str, doubted: list[int]
) -> None:
    async def run() -> None:
        async with mail_server(replies=replies, after=after) as server:
            ends, dots, _error = await send([message(n) for n in range(3)], server.port)
            assert states(ends)[: len(expected)] == expected
            assert [end.id for end in ends if end.state is State.IN_DOUBT] == doubted
            assert len({end.id for end in ends}) == len(ends), "an outcome twice"
            for end in ends:
                assert end.id in dots or end.state is not State.SENT

    asyncio.run(run())


def test_a_long_message_that_never_left_is_not_in_doubt(mail_server: Serve) -> None:
    long = b"Subject: x\r\n\r\n" + b"y" * 70 + b"\r\n"
    long += (b"z" * 70 + b"\r\n") * 400_000

    async def run() -> None:
        async with mail_server(after=100_000, offers=("PIPELINING",)) as server:
            ends, dots, error = await send([message(1, long)], server.port, **PATIENT)
            assert dots == [1]
            assert states(ends) == "u"
            assert error is not None

    asyncio.run(run())


def test_dots_are_stuffed(mail_server: Serve) -> None:
    data = b".first\r\n\r\n.\r\n..\r\n.x\r\nend.\r\n"

    async def run() -> None:
        async with mail_server() as server:
            ends, _dots, _error = await send([message(1, data), message(2)], server.port)
            assert states(ends) == "ss"
            assert server.messages == [data, DATA]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (message(1, b"a\nb\r\n"), "5.6.0"),
        (message(1, b"a\r\n.\rb\r\n"), "5.6.0"),
        (message(1, b"no end"), "5.6.0"),
        (message(1, to="a@b.example>\r\nRCPT TO:<x@y.example"), "5.1.3"),
        (message(1, to="nobody"), "5.1.3"),
        (message(1, "ä\r\n".encode()), "5.6.3"),
        (message(1, to="jörg@there.example"), "5.6.7"),
        (message(1, b"x" * 900 + b"\r\n"), "5.3.4"),
    ],
)
def test_what_a_server_cannot_get_is_not_sent(mail_server: Serve, bad: Message, status: str) -> None:
    async def run() -> None:
        async with mail_server(offers=("PIPELINING", "SIZE 500")) as server:
            ends, dots, error = await send([bad, message(2)], server.port)
            assert error is None
            assert states(ends) == "fs"
            assert dots == [2]
            assert [end.reply.enhanced for end in ends if end.id == 1] == [status]
            assert len([line for line in server.commands if line.startswith("MAIL")]) == 1

    asyncio.run(run())


def test_extensions_are_used_where_offered(mail_server: Serve) -> None:
    async def run() -> None:
        async with mail_server() as server:
            wide = message(1, "Subject: ä\r\n\r\nä\r\n".encode(), "jörg@there.example")
            ends, _dots, _error = await send([wide], server.port)
            assert states(ends) == "s"
            mail = next(line for line in server.commands if line.startswith("MAIL"))
            assert mail == "MAIL FROM:<bounce@sender.example> SIZE=19 BODY=8BITMIME SMTPUTF8"

    asyncio.run(run())


def test_an_old_server_is_greeted_by_helo(mail_server: Serve) -> None:
    async def run() -> None:
        async with mail_server(replies={"EHLO": [b"502 what"], "HELO": [b"250 hello"]}) as server:
            ends, _dots, error = await send([message(1)], server.port)
            assert (states(ends), error) == ("s", None)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("greeting", "code"), [(b"554 5.7.1 go away", 554), (b"421 4.7.0 busy", 421), (HANG, 0), (DROP, 0)]
)
def test_a_server_that_does_not_greet(mail_server: Serve, greeting: bytes, code: int) -> None:
    async def run() -> None:
        async with mail_server(replies={"GREETING": [greeting]}) as server:
            ends, _dots, error = await send([message(1)], server.port)
            assert not ends
            assert error is not None
            assert (error.stage, error.reply.code) == (Stage.GREETING, code)

    asyncio.run(run())


def test_nobody_listens_and_ipv6_and_source(mail_server: Serve) -> None:
    async def run() -> None:
        async with mail_server() as server:
            _ends, _dots, error = await send([message(1)], server.port, source="127.0.0.9")
            assert error is None
            assert server.peers == ["127.0.0.9"]
        _ends, _dots, error = await send([message(1)], server.port)
        assert error is not None
        assert error.stage is Stage.CONNECT
        async with mail_server(address="::1") as server:
            ends, _dots, error = await send([message(1)], server.port, address="::1")
            assert (states(ends), error) == ("s", None)

    try:
        asyncio.run(run())
    except OSError as error:
        if "::1" not in str(error):
            raise
        pytest.skip("this machine has no IPv6")


def test_words_in_clear_before_tls_are_not_believed(mail_server: Serve) -> None:
    async def run() -> None:
        injected = {"STARTTLS": [b"220 go\r\n250 sink"]}
        async with mail_server(replies=injected, offers=("STARTTLS",)) as server:
            ends, _dots, error = await send([message(1)], server.port, tls=Tls.REQUIRED)
            assert not ends
            assert error is not None
            assert error.stage is Stage.TLS
            assert "spoke between" in error.reply.text

    asyncio.run(run())


def test_a_raise_before_the_dot_keeps_it_from_being_written(mail_server: Serve) -> None:
    async def run() -> None:
        async with mail_server() as server:
            session = await connect(Peer("127.0.0.1", server.port, "localhost", "me.example"))
            ends: list[Outcome] = []
            left = iter([message(1), message(2)])

            def dot(_message: Message) -> None:
                raise OSError("disk full")

            with pytest.raises(OSError, match="disk full"):
                await session.deliver(lambda: next(left, None), dot, ends.append)
            session.abort()
            assert states(ends) == "uu"
        assert not server.messages

    asyncio.run(run())


# --- TLS and passwords, with aiosmtpd


class Keeper:
    """What aiosmtpd calls; keeps the messages."""

    def __init__(self) -> None:
        self.got: list[tuple[bool, bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.got.append((session.ssl is not None, envelope.original_content))
        return "250 kept"


@asynccontextmanager
async def aiosmtpd(keeper: Keeper, certificate: Path | None, **options: Any) -> AsyncIterator[int]:
    """Let aiosmtpd listen; give its port."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(keeper, tls_context=context, loop=loop, **options), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.05)


def test_tls_policies(certificate: Callable[[str], Path]) -> None:
    own = certificate("localhost")
    keeper = Keeper()
    trusted = ssl.create_default_context(cafile=str(own))

    async def run() -> None:
        async with aiosmtpd(keeper, own) as offering, aiosmtpd(keeper, None) as clear:
            cases: list[tuple[int, dict[str, Any], bool | str]] = [
                (offering, {"tls": Tls.OPPORTUNISTIC}, True),
                (offering, {"tls": Tls.NONE}, False),
                (offering, {"tls": Tls.REQUIRED}, True),
                (offering, {"tls": Tls.VERIFIED}, "self"),
                (offering, {"tls": Tls.VERIFIED, "authorities": trusted}, True),
                (clear, {"tls": Tls.OPPORTUNISTIC}, False),
                (clear, {"tls": Tls.REQUIRED}, "no STARTTLS"),
            ]
            for port, how, expected in cases:
                keeper.got.clear()
                ends, _dots, error = await send([message(1), message(2)], port, **PATIENT | how)
                if isinstance(expected, str):
                    assert not keeper.got
                    assert error is not None
                    assert error.stage is Stage.TLS
                    assert expected in error.reply.text
                else:
                    assert error is None, (how, error)
                    assert states(ends) == "ss"
                    assert keeper.got == [(expected, DATA)] * 2

    asyncio.run(run())


def test_a_relay_that_wants_a_password(certificate: Callable[[str], Path]) -> None:
    own = certificate("localhost")
    keeper = Keeper()

    def check(_server: Any, _session: Any, _envelope: Any, _how: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"me", b"secret"), handled=False)

    async def run() -> None:
        options = {"authenticator": check, "auth_required": True, "auth_require_tls": True}
        async with aiosmtpd(keeper, own, **options) as port:
            trusted = ssl.create_default_context(cafile=str(own))
            how = PATIENT | {"tls": Tls.REQUIRED, "authorities": trusted}
            ends, _dots, error = await send([message(1)], port, login=Login("me", "secret"), **how)
            assert (states(ends), error) == ("s", None)
            _ends, _dots, error = await send([message(1)], port, login=Login("me", "other"), **how)
            assert error is not None
            assert (error.stage, error.reply.code) == (Stage.AUTH, 535)

    asyncio.run(run())
    assert "secret" not in repr(Login("me", "secret"))


# --- replies


def test_replies_arrive_in_any_pieces() -> None:
    stream = b"250-first\r\n250-second\r\n250 \xff third\r\n354\r\n550 5.1.1 no\r\n250 5.1.1 odd\n"
    whole = ReplyReader().feed(stream)
    assert whole == [
        Reply(250, "first\nsecond\n\ufffd third"),
        Reply(354),
        Reply(550, "no", "5.1.1"),
        Reply(250, "5.1.1 odd"),
    ]
    reader = ReplyReader()
    assert [reply for byte in stream for reply in reader.feed(bytes([byte]))] == whole
    assert not reader.halfway


@pytest.mark.parametrize(
    "bad", [b"hello\r\n", b"99 x\r\n", b"250x\r\n", b"x" * 70_000, b"250-x\r\n" * 14_000]
)
def test_what_is_no_reply_is_refused(bad: bytes) -> None:
    with pytest.raises(BadReplyError):
        ReplyReader().feed(bad)
