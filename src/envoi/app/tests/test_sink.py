"""The mail sink: real mail to it, what its addresses answer, what comes back."""

import asyncio
import contextlib
import mailbox
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from envoi.app import sink as app_sink
from envoi.app.programs import programs
from envoi.app.sink import Sink, into_maildir, place
from envoi.kernel.config import Config, InstanceConfig, SendingConfig
from envoi.kernel.errors import NotFound, Refused
from envoi.packages.delivery.services.bounces import classify
from envoi.packages.delivery.services.sink import Fate, Fates, Mails, Rates, letters, mails

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
MAIL = (
    "From: =?utf-8?q?Caf=C3=A9?= <news@us.example>\r\nTo: {to}\r\nSubject: Hello {to}\r\n"
    "Message-ID: <b-1-2-aaaaaaaaaa@us.example>\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/alternative; boundary="x"\r\n\r\n'
    "--x\r\nContent-Type: text/plain\r\n\r\nplain words\r\n.dot\r\n"
    "--x\r\nContent-Type: text/html\r\n\r\n<p>rich words</p>\r\n--x--\r\n"
)
RETURN = "b-1-2-aaaaaaaaaa@us.example"


def address(fate: Fate, domain: str = "mail.example") -> str:
    fates = Fates()
    return next(found for n in range(5000) if fates.of(found := f"p{n}@{domain}") is fate)


@contextlib.contextmanager
def serving(sink: Sink) -> Iterator[int]:
    """Run a sink in a thread; gives its port."""
    found: list[int] = []
    there = threading.Event()
    loop = asyncio.new_event_loop()

    def ready(port: int) -> None:
        found.append(port)
        there.set()

    task = loop.create_task(sink.serve("127.0.0.1", 0, ready))

    def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert there.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


def send(server: smtplib.SMTP, to: str) -> tuple[int, str]:
    """Send one mail; returns the reply that ended it."""
    try:
        server.sendmail(RETURN, [to], MAIL.format(to=to))
    except smtplib.SMTPRecipientsRefused as refused:
        code, text = refused.recipients[to]
        return code, text.decode()
    except smtplib.SMTPDataError as refused:
        return refused.smtp_code, str(refused.smtp_error)
    return 250, ""


def test_addresses_answer_as_providers_do_and_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_sink.fates, "delay", lambda _address: 0.0)
    box = tmp_path / "bounces"
    sink = Sink(Mails(tmp_path), into_maildir(box))
    with serving(sink) as port, smtplib.SMTP("127.0.0.1", port) as server:
        assert send(server, address(Fate.TAKEN)) == (250, "")
        code, text = send(server, address(Fate.UNKNOWN))
        assert (code, text.count("\n"), "5.1.1 The email account" in text) == (550, 3, True)
        assert send(server, address(Fate.UNKNOWN, "orange.example"))[1].endswith("OFR_416 [416]")
        assert send(server, address(Fate.FULL_FOR_GOOD, "post.example"))[0] == 552
        assert "Greylisted" in send(server, address(Fate.GREYLISTED))[1]
        assert send(server, address(Fate.GREYLISTED)) == (250, ""), "the second attempt is taken"
        assert [send(server, address(Fate.BUSY))[0] for _ in range(3)] == [450, 450, 250]
        assert [send(server, address(Fate.FULL, "free.example"))[0] for _ in range(4)] == [452, 452, 452, 250]
        assert send(server, address(Fate.SPAM))[0] == 550
        for fate in (Fate.BOUNCES, Fate.AWAY, Fate.COMPLAINS):
            assert send(server, address(fate)) == (250, "")
        deadline = time.monotonic() + 10
        while not box.exists() or len(mailbox.Maildir(box)) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    kinds = Counter(str(classify(each.as_bytes()).kind) for each in mailbox.Maildir(box))
    assert len(kinds) == 3, kinds
    found, count = Mails(tmp_path).latest("", 100)
    assert count == sink.taken == 7
    assert found[0].to == address(Fate.COMPLAINS)
    assert found[0].name == "Café <news@us.example>"
    opened = mails.read(Mails(tmp_path).content(found[0].number))
    assert opened.text.split() == ["plain", "words", ".dot"], "dots are taken off"
    assert opened.html.strip() == "<p>rich words</p>"
    assert ("Subject", f"Hello {found[0].to}") in opened.headers
    assert Mails(tmp_path).latest(f"hello {address(Fate.AWAY)}", 5)[1] == 1
    assert [each.number for each in Mails(tmp_path).latest("", 2, before=found[0].number)[0]] == [
        each.number for each in found[1:3]
    ]


def test_a_busy_server_of_yahoo_ends_the_session_and_connections_are_limited(tmp_path: Path) -> None:
    sink = Sink(Mails(tmp_path), connections=1)
    with serving(sink) as port, smtplib.SMTP("127.0.0.1", port) as server:
        with pytest.raises(smtplib.SMTPConnectError, match="Too many connections"):
            smtplib.SMTP("127.0.0.1", port)
        server.ehlo()
        server.docmd("MAIL", f"FROM:<{RETURN}>")
        code, text = server.docmd("RCPT", f"TO:<{address(Fate.BUSY, 'yahoo.example')}>")
        assert (code, b"TSS04" in text) == (421, True)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            server.docmd("NOOP")


def test_the_mix_of_fates_is_that_of_the_rates() -> None:
    fates = Fates(rates=Rates(unknown=100, bounces=0))
    found = Counter(fates.of(f"p{n}@orange.example") for n in range(20_000))
    assert 1850 < found[Fate.UNKNOWN] < 2150
    assert found[Fate.BOUNCES] == 0
    assert found[Fate.TAKEN] > 16_000
    assert letters.letter(Fate.TAKEN, "a@b.example", RETURN, b"", NOW) is None


def test_the_oldest_mails_make_room(tmp_path: Path) -> None:
    box = Mails(tmp_path, largest=1000)
    for n in range(30):
        box.put(f"p{n}@mail.example", RETURN, b"Subject: x\r\n\r\n" + b"y" * 86, NOW)
    found, count = box.latest("", 100)
    assert 8 <= count <= 10
    assert found[0].to == "p29@mail.example"
    assert len(list((tmp_path / "sink").glob("*.eml"))) == count
    for number in ("../index", "0" * 16 + "-0000"):
        with pytest.raises(NotFound):
            box.content(number)
    box.empty()
    assert Mails(tmp_path).latest("", 1) == ([], 0)


def test_a_sink_listens_on_this_machine_only() -> None:
    assert place("127.0.0.1:2525") == ("127.0.0.1", 2525)
    with pytest.raises(Refused, match="this machine"):
        place("0.0.0.0:25")


def test_only_a_demonstration_runs_a_sink(tmp_path: Path, run_envoi: Callable[..., Any]) -> None:
    demo = Config(
        home=tmp_path, instance=InstanceConfig(demo=True), sending=SendingConfig(sink="127.0.0.1:1")
    )
    assert "sink" in [each.name for each in programs(tmp_path, demo)]
    assert "sink" not in [each.name for each in programs(tmp_path, replace(demo, instance=InstanceConfig()))]
    (tmp_path / "envoi.toml").write_text('[sending]\nsink = "127.0.0.1:1"\n')
    assert "no demonstration" in run_envoi("sink", home=tmp_path, code=3).err
    (tmp_path / "envoi.toml").write_text("")
    assert "sends its mail to the world" in run_envoi("sink", home=tmp_path, code=3).err
