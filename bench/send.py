"""Messages to the wire: composed, signed, journalled and sent by one process, next to postfix's smtp-source.

PostgreSQL has no part in it yet: items come from memory and outcomes stay in the journal. Until it has, no
line here says that a target is reached.
"""

import asyncio
import hmac
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import frame

CONNECTIONS = 20
SIZE = 10_000
NOT_YET = "; ours without PostgreSQL, which has no part in this bench yet"


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure with and without signatures; the receiver is smtp-sink on the loopback."""
    from envoi.packages.delivery.services.sending import dkim

    count = 2_000 if params.quick else 20_000
    key = dkim.read_key("example.org", "bench", dkim.new_key("rsa"))
    made: list[frame.Line] = []
    with _sink() as port:
        if params.wants("plain"):
            made.append(
                frame.against(
                    "plain",
                    "messages/s",
                    lambda: _ours(port, count, []),
                    lambda: _source(port, count),
                    what=f"smtp-source, {CONNECTIONS} open connections, as many bytes" + NOT_YET,
                    params=params,
                )
            )
        if params.wants("rsa"):
            made.append(
                frame.against(
                    "rsa",
                    "messages/s",
                    lambda: _ours(port, count, [key]),
                    lambda: _signatures(key, count // 10),
                    what="RSA-2048 signatures by cryptography in one process" + NOT_YET,
                    params=params,
                )
            )
    return made


TEXT = "Dear {first} {last},\n\nyour card {card} has {points} points.\n\n" + "Some words to read. " * 90
ROW = '<tr><td style="padding: 4px">{product} é</td><td><a href="{link}">{price} €</a></td></tr>\n'
PAGE = (
    "<!DOCTYPE html><html><body><h1>{first} {last}</h1><p>{city}, {points}</p><table>\n{rows}</table>"
    + '<p class="small">The small print, in as many words as it takes.</p>\n' * 85
    + "</body></html>"
)


def _texts(number: int) -> tuple[str, str]:
    """Render as a template would: ten fields, a loop of five, links that are signed."""
    fields = {
        "first": f"Ana{number}",
        "last": "Müller",
        "card": number,
        "points": number % 999,
        "city": "Köln",
    }
    rows = []
    for line in range(5):
        link = f"https://t.example.org/r/?id=h{number:x},1,{line}"
        tag = hmac.digest(b"key", link.encode(), "sha256").hex()[:24]
        rows.append(ROW.format(product=f"Product {line}", price=number % 77, link=f"{link}&amp;s=1{tag}"))
    return TEXT.format(**fields), PAGE.format(**fields, rows="".join(rows))


def _ours(port: int, count: int, keys: list[Any]) -> float:
    from envoi.packages.delivery.services.sending import dkim
    from envoi.packages.delivery.services.sending.identity import Identity
    from envoi.packages.delivery.services.sending.journal import Journal
    from envoi.packages.delivery.services.sending.mime import Head, Skeleton
    from envoi.packages.delivery.services.sending.mx import Relay, RelayRoutes
    from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, State
    from envoi.packages.delivery.services.sending.sender import Item, Sender
    from envoi.packages.delivery.services.sending.throttle import Rule, Source, Throttle

    identity = Identity("bounces.example.org", b"secret")
    skeleton = Skeleton(text=True, html=True)
    when = datetime.now(UTC)
    sizes: list[int] = []

    def compose(item: Item) -> Message:
        text, html = _texts(item.id)
        address = identity.return_address(item.run, item.id)
        head = Head(
            message_id=identity.message_id(item.run, item.id),
            date=when,
            from_name="Shop",
            from_address="news@example.org",
            to_name=f"Ana{item.id} Müller",
            to_address=item.recipient,
            subject=f"Ana{item.id}, your points",
            unsubscribe=f"https://t.example.org/u?id={item.id}",
        )
        data = skeleton.build(head, text=text, html=html)
        if keys:
            data = dkim.sign(data, keys, at=int(when.timestamp()))
        if not sizes:
            sizes.append(len(data))
        return Message(item.id, item.run, address, item.recipient, data)

    sent = 0

    def report(outcome: Outcome) -> None:
        nonlocal sent
        sent += outcome.state is State.SENT

    with tempfile.TemporaryDirectory(prefix="envoi-bench-") as folder:
        journal = Journal(Path(folder))
        rule = Rule("*", connections=CONNECTIONS, messages_per_connection=10**9)
        sender = Sender(
            RelayRoutes(Relay("127.0.0.1", port)), Throttle([rule]), journal, [Source("", 0, "bench")]
        )
        items = (Item(number, 1, f"u{number}@there.example") for number in range(count))
        started = time.perf_counter()
        asyncio.run(sender.run(items, compose, report))
        seconds = time.perf_counter() - started
        journal.close()
    if sent != count:
        raise RuntimeError(f"{count - sent} of {count} messages were not taken by smtp-sink")
    if not 0.8 * SIZE < sizes[0] < 1.3 * SIZE:
        raise RuntimeError(f"a message has {sizes[0]} bytes, not about {SIZE}")
    return count / seconds


def _source(port: int, count: int) -> float:
    command = [_program("smtp-source"), "-d", "-s", str(CONNECTIONS), "-m", str(count), "-l", str(SIZE)]
    started = time.perf_counter()
    subprocess.run(
        [*command, "-f", "b@example.org", "-t", "u@there.example", f"inet:127.0.0.1:{port}"], check=True
    )
    return count / (time.perf_counter() - started)


def _signatures(key: Any, count: int) -> float:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    started = time.perf_counter()
    for number in range(count):
        key.private.sign(b"%d" % number, padding.PKCS1v15(), hashes.SHA256())
    return count / (time.perf_counter() - started)


@contextmanager
def _sink() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([_program("smtp-sink"), "-u", "nobody", f"inet:127.0.0.1:{port}", "1000"])
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"bench send needs {name} of postfix: apt install postfix")
    return found
