"""Mail that comes by SMTP and LMTP, well or badly meant."""

import datetime
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.inbound import receiver as module
from envoi.packages.delivery.services.inbound.receiver import Receiver

TO = "b-1-2-0123456789@bounces.example.org"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    found = Receiver("127.0.0.1:0", tmp_path / "spool", domain="bounces.example.org")
    found.start()
    yield found
    found.stop()


def kept(receiver: Receiver) -> list[bytes]:
    return [path.read_bytes() for path in sorted((receiver.folder / "new").iterdir())]


class Raw:
    """A client that says whatever it likes."""

    def __init__(self, receiver: Receiver) -> None:
        self.line = socket.create_connection(("127.0.0.1", receiver.port), timeout=10)
        self.file = self.line.makefile("rb")

    def say(self, text: bytes, replies: int = 1) -> list[bytes]:
        if text:
            self.line.sendall(text)
        return [self.file.readline() for _each in range(replies)]

    def close(self) -> None:
        self.file.close()
        self.line.close()


@pytest.fixture
def raw(receiver: Receiver) -> Iterator[Raw]:
    client = Raw(receiver)
    client.say(b"")
    yield client
    client.close()


def test_a_mail_is_on_the_disk_when_it_is_answered_for(receiver: Receiver) -> None:
    told: list[bool] = []
    receiver.arrived = lambda: told.append(True)
    with smtplib.SMTP("127.0.0.1", receiver.port, timeout=10) as client:
        client.sendmail("", [TO], "Subject: back\n\n.dot\n..two\nlast\n")
        assert told == [True]
        assert kept(receiver) == [
            f"Return-Path: <>\r\nDelivered-To: {TO}\r\n".encode()
            + b"Subject: back\r\n\r\n.dot\r\n..two\r\nlast\r\n"
        ]
        client.sendmail("", [TO], "Subject: second\n\n" + "long " * 5_000)
    assert len(kept(receiver)) == 2
    assert b"long " * 5_000 in kept(receiver)[1]
    assert not list((receiver.folder / "tmp").iterdir())


def test_it_is_no_relay(receiver: Receiver) -> None:
    with smtplib.SMTP("127.0.0.1", receiver.port, timeout=10) as client:
        for to in ("somebody@example.com", "x@sub.bounces.example.org", "x@bounces.example.org@example.com"):
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("me@example.com", [to], "hi")
    assert kept(receiver) == []


def test_lmtp_answers_for_each_recipient(raw: Raw, receiver: Receiver) -> None:
    raw.say(b"LHLO me\r\n", 6)
    raw.say(f"MAIL FROM:<>\r\nRCPT TO:<{TO}>\r\nRCPT TO:<other@bounces.example.org>\r\nDATA\r\n".encode(), 4)
    assert [each[:3] for each in raw.say(b"Subject: x\r\n\r\nhi\r\n.\r\n", 2)] == [b"250", b"250"]
    assert kept(receiver)[0].count(b"Delivered-To:") == 2


def test_a_bare_line_feed_ends_no_mail(raw: Raw, receiver: Receiver) -> None:
    raw.say(b"EHLO me\r\n", 6)
    raw.say(f"MAIL FROM:<>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode(), 3)
    smuggled = b"Subject: x\r\n\r\nhi\n.\nMAIL FROM:<>\n.\r\nRCPT TO:<x@y>\r\n\r.\r\nend\r\n.\r\n"
    assert raw.say(smuggled)[0].startswith(b"250")
    assert raw.say(b"NOOP\r\n")[0].startswith(b"250")
    assert len(kept(receiver)) == 1
    assert b"MAIL FROM:<>" in kept(receiver)[0]


def test_what_is_too_much_is_refused_and_the_next_mail_is_taken(
    raw: Raw, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 100_000)
    raw.say(b"EHLO me\r\n", 6)
    begin = f"MAIL FROM:<>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode()
    assert raw.say(b"MAIL FROM:<> SIZE=50000000\r\n")[0].startswith(b"552")
    raw.say(begin, 3)
    assert raw.say(b"Subject: big\r\n\r\n" + b"x" * 200_000 + b"\r\n.\r\n")[0].startswith(b"552 5.3.4")
    raw.say(begin, 3)
    loop = b"Received: from a by b\r\n" * 60 + b"\r\nhi\r\n.\r\n"
    assert raw.say(loop)[0].startswith(b"554 5.4.6")
    raw.say(begin, 3)
    assert raw.say(b"Subject: fine\r\n\r\nhi\r\n.\r\n")[0].startswith(b"250")
    assert [b"fine" in each for each in kept(receiver)] == [True]


@pytest.mark.parametrize(
    "said",
    [
        b"DATA\r\n", b"RCPT TO:<x@bounces.example.org>\r\n", b"MAIL FROM:<>\r\n", b"\x00\xff\r\n", b"\r\n",
        b"EHLO\r\n", b"STARTTLS\r\n", b"HELO me\r\nMAIL FROM:<a b@c>\r\n",
        b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<x\rInjected: yes@bounces.example.org>\r\n",
    ],
)  # fmt: skip
def test_what_makes_no_sense_gets_an_error_and_nothing_else(raw: Raw, said: bytes) -> None:
    answers = raw.say(said, said.count(b"\r\n"))
    assert answers[-1][:1] == b"5"
    assert raw.say(b"NOOP\r\n")[0].startswith(b"250")


def test_a_client_that_only_makes_errors_or_endless_lines_has_to_go(raw: Raw, receiver: Receiver) -> None:
    answers = raw.say(b"NONSENSE\r\n" * 30, 21)
    assert answers[-1].startswith(b"421")
    assert raw.file.readline() == b""
    other = Raw(receiver)
    other.say(b"")
    other.line.sendall(b"x" * 10_000)
    assert other.file.readline().startswith(b"500")
    other.close()


def test_a_client_that_goes_in_the_middle_leaves_nothing(raw: Raw, receiver: Receiver) -> None:
    raw.say(b"EHLO me\r\n", 6)
    raw.say(f"MAIL FROM:<>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode(), 3)
    raw.line.sendall(b"Subject: half\r\n\r\nonly")
    raw.close()
    deadline = time.monotonic() + 10
    while list((receiver.folder / "tmp").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not list((receiver.folder / "tmp").iterdir())
    assert kept(receiver) == []


def test_a_place_where_nothing_can_listen_is_told(tmp_path: Path, receiver: Receiver) -> None:
    taken = Receiver(f"127.0.0.1:{receiver.port}", tmp_path / "other", domain="bounces.example.org")
    with pytest.raises(Invalid, match="nothing can listen"):
        taken.start()
    with pytest.raises(Invalid, match="host:port"):
        Receiver("here", tmp_path, domain="x").start()


def both(file: Path) -> Path:
    """Make a certificate with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_starttls_is_offered_and_nothing_from_before_it_counts(tmp_path: Path) -> None:
    found = Receiver(
        "127.0.0.1:0", tmp_path / "spool", "bounces.example.org", certificate=str(both(tmp_path / "both.pem"))
    )
    found.start()
    try:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with smtplib.SMTP("127.0.0.1", found.port, timeout=10) as client:
            client.ehlo("me")
            client.mail("<>")
            client.starttls(context=context)
            assert client.docmd("RCPT", f"TO:<{TO}>")[0] == 503
            assert not client.has_extn("starttls") or client.ehlo("me")[0] == 250
            client.sendmail("", [TO], "Subject: secret\n\nhi")
        assert b"secret" in kept(found)[0]
        injected = Raw(found)
        injected.say(b"")
        injected.say(b"EHLO me\r\n", 7)
        injected.line.sendall(b"STARTTLS\r\nEHLO evil\r\n")
        assert injected.file.readline().startswith(b"220")
        assert injected.file.readline() == b""
        injected.close()
    finally:
        found.stop()
    with pytest.raises(Invalid, match="PEM"):
        Receiver("127.0.0.1:0", tmp_path / "x", "example.org", certificate=str(tmp_path / "none")).start()
