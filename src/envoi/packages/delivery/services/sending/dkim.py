"""DKIM signatures (RFC 6376; Ed25519: RFC 8463), relaxed/relaxed, as many as there are keys."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from envoi.kernel.errors import Invalid

SIGNED = (
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
)
_ONCE_MORE = ("from", "to", "subject")
"""Signed also in their absence (RFC 6376 §5.4.2), so that nobody can add a second one."""

_KEPT = 4096
_PADDING, _HASH = padding.PKCS1v15(), hashes.SHA256()
_BLANKS = re.compile(rb"[ \t]{2,}|\t")
_END_BLANKS = re.compile(rb"[ \t]+\r\n")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", re.I)


@dataclass(frozen=True, slots=True)
class Key:
    """A private key and where its public half is found: `selector._domainkey.domain`."""

    domain: str
    selector: str
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """The name for `a=`."""
        return "rsa-sha256" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519-sha256"


@dataclass(frozen=True, slots=True)
class Record:
    """A DNS record of type TXT. `strings` are its pieces, none longer than 255."""

    name: str
    strings: tuple[str, ...]

    @property
    def line(self) -> str:
        """The record as a line of a zone file."""
        return f"{self.name}. IN TXT " + " ".join(f'"{piece}"' for piece in self.strings)


def new_key(kind: str) -> bytes:
    """Return a new private key in PEM (PKCS 8, not encrypted); `kind` is "rsa" (2048) or "ed25519"."""
    if kind == "rsa":
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    elif kind == "ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        raise Invalid(f"{kind!r} is not a kind of key: rsa, ed25519.")
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(domain: str, selector: str, pem: bytes) -> Key:
    """Return the key in a PEM. Raises Invalid when it is none that signs mail, or a name is none."""
    for what, name in (("domain", domain), ("selector", selector)):
        if not _NAME.fullmatch(name):
            raise Invalid(f"DKIM: {name!r} is not the name of a {what}.")
    where = f"DKIM key {selector} of {domain}"
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(f"{where}: not a private key in PEM without password.") from error
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size < 1024:
            raise Invalid(f"{where}: RSA keys shorter than 1024 bits are not accepted (RFC 8301).")
    elif not isinstance(private, ed25519.Ed25519PrivateKey):
        raise Invalid(f"{where}: only RSA and Ed25519 keys sign mail.")
    return Key(domain.lower(), selector.lower(), private)


def record(key: Key) -> Record:
    """Return the DNS record that has to be published for a key."""
    public = key.private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        kind = "rsa"
        encoded = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        kind = "ed25519"
        encoded = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    text = f"v=DKIM1; k={kind}; p={base64.b64encode(encoded).decode('ascii')}"
    pieces = tuple(text[start : start + 255] for start in range(0, len(text), 255))
    return Record(f"{key.selector}._domainkey.{key.domain}", pieces)


def sign(message: bytes, keys: Sequence[Key], *, at: int) -> bytes:
    """Return a message with one signature a key above it; `at` is in seconds since 1970.

    The message has CRLF lines. Raises Invalid when it has no From.
    """
    head, _, body = message.partition(b"\r\n\r\n")
    return signatures(fields(head), relaxed_body(body), keys, at=at) + message


def fields(head: bytes) -> list[bytes]:
    """Return the fields above a body, each with all its lines."""
    return [each + b"\r\n" for each in re.split(rb"\r\n(?![ \t])", head) if each]


def signatures(head: Iterable[bytes], body: bytes, keys: Sequence[Key], *, at: int) -> bytes:
    """Return the fields that sign a message, given its own and its body in its relaxed form.

    Raises Invalid when there is no From.
    """
    found: dict[str, bytes] = {}
    for each in head:
        name, canonical = _relaxed_fields[each]
        # Several of a name are taken from the bottom up (RFC 6376 §5.4.2).
        found[name] = canonical + found[name] if name in found else canonical
    if "from" not in found:
        raise Invalid("A message without From cannot be signed.")
    names = tuple(name for name in SIGNED if name in found)
    content = b"".join([found[name] for name in names])
    names_listed = tuple(name for name in names for _once in range(found[name].count(b"\n")))
    body_hash = base64.b64encode(hashlib.sha256(body).digest())
    return b"".join([_signature(key, names_listed, body_hash, content, at) for key in keys])


class _RelaxedFields(dict[bytes, tuple[str, bytes]]):
    """Field with all its lines -> its name, and its relaxed form; an empty name for one that is not signed.
    Most fields are the same in many messages.
    """

    def __missing__(self, whole: bytes) -> tuple[str, bytes]:
        if len(self) >= _KEPT:
            self.clear()
        said, _, value = whole.partition(b":")
        name = said.strip().lower().decode("ascii", "replace")
        canonical = name.encode("ascii", "replace") + b":" + relaxed_value(value) + b"\r\n"
        made = self[whole] = (name, canonical) if name in SIGNED else ("", b"")
        return made


_relaxed_fields = _RelaxedFields()


@lru_cache(maxsize=256)
def _begin(key: Key, names: tuple[str, ...], at: int) -> tuple[bytes, bytes]:
    """Return the value of a signature up to the hash of the body, and the same relaxed."""
    every = (*names, *_ONCE_MORE)
    listed = ":\r\n\t".join(":".join(every[start : start + 6]) for start in range(0, len(every), 6))
    value = (
        f" v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};\r\n\ts={key.selector}; t={at};"
        f"\r\n\th={listed};\r\n\tbh="
    ).encode("ascii")
    return value, b"dkim-signature:" + relaxed_value(value)


def _signature(key: Key, names: tuple[str, ...], body_hash: bytes, content: bytes, at: int) -> bytes:
    value, relaxed = _begin(key, names, at)
    content = b"%b%b%b; b=" % (content, relaxed, body_hash)
    private = key.private
    if isinstance(private, rsa.RSAPrivateKey):
        made = private.sign(content, _PADDING, _HASH)
    else:
        # RFC 8463 §3: what is signed is the SHA-256 of the content.
        made = private.sign(hashlib.sha256(content).digest())
    text = base64.b64encode(made)
    lines = b"\r\n\t".join([text[start : start + 72] for start in range(0, len(text), 72)])
    return b"DKIM-Signature:%b%b;\r\n\tb=%b\r\n" % (value, body_hash, lines)


def relaxed_body(body: bytes) -> bytes:
    """Return a body as RFC 6376 §3.4.4 says; most need nothing, which is seen at once."""
    return relaxed_end(relaxed_piece(body))


def relaxed_piece(piece: bytes) -> bytes:
    """Return whole lines of a body, or a line, with its blanks as they are signed."""
    if b"  " in piece or b"\t" in piece:
        piece = _BLANKS.sub(b" ", piece)
    if b" \r\n" in piece:
        piece = _END_BLANKS.sub(b"\r\n", piece)
    return piece


def relaxed_end(body: bytes) -> bytes:
    """Return a body without empty lines at its end, and with an end to its last line."""
    if body.endswith(b"\r\n\r\n") or body == b"\r\n":
        body = body.rstrip(b"\r\n") + b"\r\n"
    elif body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return b"" if body == b"\r\n" else body


def relaxed_value(value: bytes) -> bytes:
    """Return a field's value as RFC 6376 §3.4.2 says: unfolded, blanks as one, none at the ends."""
    value = value.replace(b"\r\n", b"")
    if b"  " in value or b"\t" in value:
        value = _BLANKS.sub(b" ", value)
    return value.strip(b" \t")
