"""DKIM signatures, checked by a second reading of RFC 6376 that shares nothing with the first."""

import base64
import hashlib
import re
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from envoi.kernel.errors import Invalid
from envoi.packages.delivery.services.sending import dkim
from envoi.packages.delivery.services.sending.mime import Head, Skeleton

RSA = dkim.read_key("example.org", "s1", dkim.new_key("rsa"))
ED25519 = dkim.read_key("Mail.Example.org", "S2", dkim.new_key("ed25519"))
HEAD = Head(
    message_id="1@example.org",
    date=datetime(2026, 11, 26, tzinfo=UTC),
    from_name="Größe",
    from_address="news@example.org",
    to_name="",
    to_address="ana@there.example",
    subject="a  subject \t with blanks " + "word " * 30,
    unsubscribe="https://e.example/u",
)
BODIES = ["", "x", "a  b\t c \n\n\n", "\n\n", "two\n\n\nend\n\n", "line \n\tline", "é" * 200]


def messages() -> list[bytes]:
    made = [Skeleton(text=True, html=True).build(HEAD, text=body, html=f"<p>{body}") for body in BODIES]
    head = b"From:  A <a@example.org>\r\nSUBJECT : odd\r\n \t folded \r\nTo: x@y.z\r\n\r\n"
    return made + [head + body.replace("\n", "\r\n").encode() for body in BODIES]


def verify(message: bytes, records: dict[str, str]) -> list[str]:
    """Return the domains whose signature holds. Raises InvalidSignature or AssertionError."""
    head, _, body = message.partition(b"\r\n\r\n")
    lines: list[list[str]] = []
    for line in head.decode("latin-1").split("\r\n"):
        if line[0] in " \t":
            lines[-1][1] += line
        else:
            lines.append(line.split(":", 1))

    def canonical(name: str, value: str) -> str:
        return name.strip().lower() + ":" + re.sub(r"[ \t]+", " ", value).strip(" ")

    holds = []
    for number, (name, value) in enumerate(lines):
        if name.lower() != "dkim-signature":
            continue
        tags = dict(part.strip().split("=", 1) for part in value.split(";"))
        tags = {key: re.sub(r"\s", "", text) for key, text in tags.items()}
        assert tags["c"] == "relaxed/relaxed"
        reduced = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
        while reduced and not reduced[-1]:
            reduced.pop()
        whole = b"".join(line + b"\r\n" for line in reduced)
        assert base64.b64decode(tags["bh"]) == hashlib.sha256(whole).digest(), "body"
        rest = [line for place, line in enumerate(lines) if place != number]
        content = ""
        for wanted in tags["h"].split(":"):
            found = next((line for line in reversed(rest) if line[0].strip().lower() == wanted), None)
            if found:
                rest.remove(found)
                content += canonical(*found) + "\r\n"
        content += canonical(name, re.sub(r"b=[A-Za-z0-9+/=\s]+$", "b=", value))
        record = dict(
            part.strip().split("=", 1) for part in records[f"{tags['s']}._domainkey.{tags['d']}"].split(";")
        )
        public = base64.b64decode(record["p"])
        signature = base64.b64decode(tags["b"])
        if record["k"] == "rsa":
            key = serialization.load_der_public_key(public)
            assert isinstance(key, rsa.RSAPublicKey)
            key.verify(signature, content.encode("latin-1"), padding.PKCS1v15(), hashes.SHA256())
        else:
            digest = hashlib.sha256(content.encode("latin-1")).digest()
            ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, digest)
        holds.append(tags["d"])
    return holds


def records() -> dict[str, str]:
    return {record.name: "".join(record.strings) for record in map(dkim.record, (RSA, ED25519))}


def test_both_kinds_of_signature_hold() -> None:
    for message in messages():
        signed = dkim.sign(message, [RSA, ED25519], at=1_700_000_000)
        assert signed.endswith(message)
        assert verify(signed, records()) == ["example.org", "mail.example.org"]
        assert max(map(len, signed.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "change",
    [
        (b"ana@there", b"eve@there"),
        (b"https://e.example/u", b"https://e.example/v"),
        (b"One-Click", b"Two-Click"),
        (b"Subject:", b"From: eve@example.org\r\nSubject:"),
    ],
)
def test_what_is_signed_cannot_be_changed(change: tuple[bytes, bytes]) -> None:
    signed = dkim.sign(messages()[1], [ED25519], at=1)
    assert change[0] in signed
    with pytest.raises(InvalidSignature):
        verify(signed.replace(*change), records())


def test_a_changed_body_is_seen() -> None:
    signed = dkim.sign(messages()[1], [RSA], at=1)
    with pytest.raises(AssertionError, match="body"):
        verify(signed.replace(b"<p>x", b"<p>y"), records())


def test_the_dns_record_fits_in_its_strings() -> None:
    record = dkim.record(RSA)
    assert record.name == "s1._domainkey.example.org"
    assert len(record.strings) == 2
    assert max(map(len, record.strings)) == 255
    assert record.line.startswith('s1._domainkey.example.org. IN TXT "v=DKIM1; k=rsa; p=')


def test_keys_that_sign_nothing_are_refused() -> None:
    locked = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"x"),
    )
    for domain, selector, pem in (
        ("example.org", "s", b"nothing"),
        ("example.org", "s", locked),
        ("example.org;", "s", dkim.new_key("ed25519")),
        ("example.org", "s\r\n", dkim.new_key("ed25519")),
    ):
        with pytest.raises(Invalid):
            dkim.read_key(domain, selector, pem)
    with pytest.raises(Invalid):
        dkim.new_key("dsa")
    with pytest.raises(Invalid, match="without From"):
        dkim.sign(b"To: x@y.z\r\n\r\nx\r\n", [RSA], at=1)
    assert "private" not in repr(RSA)
