"""The whole way to postfix's smtp-sink: composed, signed, journalled, sent."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from envoi.packages.delivery.services.sending import dkim, journal
from envoi.packages.delivery.services.sending.identity import Identity
from envoi.packages.delivery.services.sending.journal import BEGUN, Journal
from envoi.packages.delivery.services.sending.mime import Head, Skeleton
from envoi.packages.delivery.services.sending.mx import Relay, RelayRoutes
from envoi.packages.delivery.services.sending.outcomes import Message, Outcome, State
from envoi.packages.delivery.services.sending.sender import Item, Sender
from envoi.packages.delivery.services.sending.throttle import Source, Throttle

IDENTITY = Identity("bounces.example.org", b"secret")


@contextmanager
def sink(*options: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin")
    assert program
    process = subprocess.Popen([program, "-u", "nobody", *options, f"inet:127.0.0.1:{port}", "100"])
    try:
        for _try in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("options", [(), ("-p",), ("-8", "-E"), ("-e",)])
def test_postfix_takes_every_message(tmp_path: Path, options: tuple[str, ...]) -> None:
    """With pipelining and without (-p), with HELO only (-e), without ENHANCEDSTATUSCODES and 8BITMIME."""
    key = dkim.read_key("example.org", "s", dkim.new_key("ed25519"))
    skeleton = Skeleton(text=True, html=True)

    def compose(item: Item) -> Message:
        head = Head(
            message_id=IDENTITY.message_id(item.run, item.id),
            date=datetime.now(UTC),
            from_name="Größe",
            from_address="news@example.org",
            to_name="Ana",
            to_address=item.recipient,
            subject="Grüße",
        )
        data = dkim.sign(skeleton.build(head, text="a\n.\nb", html="<p>é</p>"), [key], at=1)
        return Message(item.id, item.run, IDENTITY.return_address(item.run, item.id), item.recipient, data)

    outcomes: list[Outcome] = []
    written = Journal(tmp_path)
    with sink(*options) as port:
        sender = Sender(
            RelayRoutes(Relay("127.0.0.1", port)), Throttle(), written, [Source("", 0, "me.example")]
        )
        items = (Item(number, 1, f"u{number}@there.example") for number in range(300))
        asyncio.run(sender.run(items, compose, outcomes.append))
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    assert sorted(outcome.id for outcome in outcomes) == list(range(300))
    entries, _end = journal.read(written.path)
    assert sum(entry.kind == BEGUN for entry in entries) == 300
    written.close()
