"""A mail server in a thread that says what a test wants, and a sender that runs until something is true."""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from django.db import connection

from envoi.app import boot
from envoi.kernel.testing import admin_actor
from envoi.packages.delivery.models import BroadLogRcp, Delivery, DeliveryPart, Recipient
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.services.mta.process import Pace, Process
from envoi.packages.delivery.testing import make_recipients

QUICK = Pace(settle=0.05, poll=0.05, look=0.2, reload=5.0, again=0.2, drain=0.5)
CONTENT = {
    "subject": "Hello {{ recipient.firstName }}",
    "html_source": '<p>Dear {{ recipient.firstName }}</p><a href="https://shop.example/unsubscribe">leave</a>',
    "text_source": "Dear {{ recipient.firstName }}\nhttps://shop.example/unsubscribe\n",
    "from_name": "Shop",
    "from_address": "news@shop.example",
}
DROP = b"DROP"


@dataclass
class Got:
    """One message that the server took."""

    recipient: str
    sender: str
    data: bytes

    @property
    def mail(self) -> EmailMessage:
        found = message_from_bytes(self.data, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class Sink:
    """`rcpt` and `dot`: replies by address, each used once from the left, then the usual one. DROP takes the
    message and closes the connection.

    `gate`: as long as it is shut, no dot gets a reply.
    """

    rcpt: dict[str, deque[bytes]] = field(default_factory=dict)
    dot: dict[str, deque[bytes]] = field(default_factory=dict)
    got: list[Got] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    port: int = 0
    loop: Any = None
    gate: Any = None
    end: Any = None

    def count(self) -> Counter[str]:
        return Counter(each.recipient for each in self.got)

    def shut(self) -> None:
        self.loop.call_soon_threadsafe(self.gate.clear)

    def open(self) -> None:
        self.loop.call_soon_threadsafe(self.gate.set)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = recipient = ""
        try:
            writer.write(b"220 sink ESMTP\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                reply = b"250 2.0.0 ok"
                if verb == b"EHLO":
                    reply = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES"
                elif verb == b"MAIL":
                    sender = line.decode().partition("<")[2].partition(">")[0]
                elif verb == b"RCPT":
                    recipient = line.decode().partition("<")[2].partition(">")[0]
                    self.asked[recipient] += 1
                    reply = self._next(self.rcpt, recipient)
                elif verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    data = await _body(reader)
                    self.waiting += 1
                    await self.gate.wait()
                    self.waiting -= 1
                    reply = self._next(self.dot, recipient)
                    if reply == DROP or reply.startswith(b"2"):
                        self.got.append(Got(recipient, sender, data))
                    if reply == DROP:
                        return
                elif verb == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                writer.write(reply + b"\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    def _next(self, replies: dict[str, deque[bytes]], recipient: str) -> bytes:
        return replies[recipient].popleft() if replies.get(recipient) else b"250 2.1.5 ok"


async def _body(reader: asyncio.StreamReader) -> bytes:
    lines: list[bytes] = []
    while (line := await reader.readline()) != b".\r\n":
        if not line:
            raise ConnectionError
        lines.append(line.removeprefix(b".") if line.startswith(b".") else line)
    return b"".join(lines)


@contextmanager
def listening() -> Iterator[Sink]:
    """Let a mail server listen that takes everything unless it is told otherwise."""
    found = Sink()
    ready = threading.Event()

    async def serve() -> None:
        found.loop = asyncio.get_running_loop()
        found.gate, found.end = asyncio.Event(), asyncio.Event()
        found.gate.set()
        tasks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            tasks.add(task)
            with suppress(asyncio.CancelledError):
                await found.talk(reader, writer)

        server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=2**20)
        found.port = server.sockets[0].getsockname()[1]
        ready.set()
        await found.end.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(5)
    try:
        yield found
    finally:
        found.loop.call_soon_threadsafe(found.end.set)
        thread.join(5)


def config(sink: Sink, **more: Any) -> Any:
    found = boot.current().config
    sending = replace(found.sending, sink=f"127.0.0.1:{sink.port}", bounce_domain="bounces.example", **more)
    return replace(found, sending=sending)


def send(
    sink: Sink, until: Callable[[], bool], *, seconds: float = 20, pace: Pace = QUICK, **more: Any
) -> None:
    """Let a sender run in this process until something is true, then stop it."""
    process = Process(config(sink, **more), pace)
    over = threading.Event()

    def watch() -> bool:
        try:
            deadline = time.monotonic() + seconds
            while not over.is_set() and time.monotonic() < deadline:
                if until():
                    return True
                over.wait(0.02)
            return False
        finally:
            connection.close()
            if not over.is_set():
                loop.call_soon_threadsafe(process.stop)

    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as pool:
        came_true = pool.submit(watch)
        try:
            loop.run_until_complete(process.run())
        finally:
            over.set()
            wait_for([came_true])
            loop.close()
    assert came_true.result(), "it did not come true"


def people(count: int, **columns: Any) -> list[int]:
    """Make recipients a0@one.example, a1@one.example, …"""
    ids = list(make_recipients(count, black_list=0, black_list_email=0, email_format=0, **columns))
    for number, each in enumerate(ids):
        Recipient.objects.filter(pk=each).update(email=f"a{number}@one.example")
    return ids


def confirmed(**columns: Any) -> Delivery:
    """Make a delivery to everybody, analysed and confirmed."""
    actor = admin_actor()
    made = deliveries.create(
        deliveries.find("mail", actor=actor), actor=actor, targeting={"filter": "@id > 0"}
    )
    Delivery.objects.filter(pk=made.pk).update(**{**CONTENT, **columns})
    made.refresh_from_db()
    analysis.work(analysis.start(made, actor=actor, queue=False).pk, actor=actor)
    made.refresh_from_db()
    deliveries.confirm(made, actor=actor)
    made.refresh_from_db()
    return made


def state_is(delivery: Delivery, state: int) -> Callable[[], bool]:
    return lambda: Delivery.objects.filter(pk=delivery.pk, state=state).exists()


def statuses(delivery: Delivery) -> Counter[int]:
    return Counter(BroadLogRcp.objects.filter(delivery_id=delivery.pk).values_list("status", flat=True))


def parts(delivery: Delivery) -> int:
    return DeliveryPart.objects.filter(delivery=delivery).count()


def wait(until: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, f"not true after {seconds} s"
        time.sleep(0.02)
