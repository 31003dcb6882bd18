"""One mail, read: what it is, which message of ours it is about, what it says (delivery.md §3.5).

Without a database. Whatever the bytes are, reading them ends: only the beginning of a mail is looked at.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from envoi.packages.delivery.models import InboundKind
from envoi.packages.delivery.services import bounces
from envoi.packages.delivery.services.bounces.classify import AUTO_REPLY, BOUNCE, COMPLAINT
from envoi.packages.delivery.services.bounces.kinds import from_daemon
from envoi.packages.delivery.services.bounces.letters import ADDRESSES
from envoi.packages.delivery.services.bounces.parse import Mail, first, parse, readable, unix
from envoi.packages.delivery.services.bounces.rules import UNSUBSCRIPTION, Rules
from envoi.packages.delivery.services.sending.identity import Identity, Log

HEAD: Final = 1 << 20
"""Bytes of a mail that are looked at."""
EXCERPT: Final = 4_000
_ARRIVED_AT: Final = ("x-original-to", "delivered-to", "envelope-to", "x-rcpt-to", "to", "cc")
_SENT: Final = ("return-path", "message-id")
_ANSWERED: Final = ("in-reply-to", "references")
_FORM = re.compile(
    r"\b[bu]-_?[0-9a-z]{1,13}-_?[0-9a-z]{1,13}-[0-9a-f]{10}@[^\s<>()\[\],;:\"@]{1,255}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail, read. `log`: the message of ours that it is about, None when it is about none.

    `about`: what it says of whom, as `bounces.classify` has it; `foreign`: it names a message in our form
    that is not ours, of another instance or made up.
    """

    digest: str
    kind: InboundKind
    sender: str
    subject: str
    excerpt: str
    log: Log | None = None
    about: tuple[bounces.Recipient, ...] = ()
    foreign: bool = False
    automatic: bool = False
    """No person wrote it."""

    @property
    def spoken(self) -> bounces.Recipient | None:
        """Return what it says of the one that our message went to: final before passing, worst first."""
        worth = {"hard": 0, "soft": 1, "ignored": 2}
        ordered = sorted(self.about, key=lambda one: (one.delayed, worth.get(one.error_type, 3)))
        return ordered[0] if ordered else None


def digest(raw: bytes) -> str:
    """Return what a mail is known by, however its lines end."""
    return hashlib.sha256(unix(raw)).hexdigest()


def read(raw: bytes, identity: Identity, rules: Rules | None = None) -> Letter:
    """Return what the bytes of a mail are. Never raises, like what it asks."""
    head = raw[:HEAD].replace(b"\x00", b"")
    mail = parse(head)
    named = _named(mail)
    wants_out = _first(named, identity.unsubscribes)
    verdict = bounces.classify(head, rules)
    log = (
        wants_out
        or _first(named, identity.read)
        or bounces.by_return_address(mail, identity.read)
        or bounces.by_message_id(mail, identity.read)
    )
    kind = InboundKind.UNSUBSCRIPTION if wants_out else _kind(mail, verdict)
    said = next((one.text for one in verdict.recipients if one.text), "")
    return Letter(
        digest=digest(raw),
        kind=kind,
        sender=_clean((ADDRESSES.findall(readable(first(mail.headers, "from"))) or [""])[0])[:254],
        subject=_clean(readable(first(mail.headers, "subject")))[:255],
        excerpt=_clean(said if kind is InboundKind.BOUNCE else mail.text.strip(), lines=True)[:EXCERPT],
        log=log,
        about=verdict.recipients,
        foreign=log is None and bool(named),
        automatic=_automatic(mail),
    )


def _kind(mail: Mail, verdict: bounces.Verdict) -> InboundKind:
    if verdict.kind == COMPLAINT:
        out = any(one.rule == UNSUBSCRIPTION.name for one in verdict.recipients)
        return InboundKind.UNSUBSCRIPTION if out else InboundKind.COMPLAINT
    if verdict.kind == BOUNCE:
        return InboundKind.BOUNCE
    if verdict.kind == AUTO_REPLY:
        return InboundKind.AUTO_REPLY
    if verdict.recipients or _automatic(mail) or not mail.headers:
        return InboundKind.OTHER
    return InboundKind.REPLY


def _automatic(mail: Mail) -> bool:
    submitted = first(mail.headers, "auto-submitted").strip().lower()
    return (
        submitted not in ("", "no")
        or first(mail.headers, "return-path").strip() == "<>"
        or first(mail.headers, "precedence").strip().lower() in ("bulk", "junk", "list")
        or from_daemon(mail)
        or mail.receipt
    )


def _named(mail: Mail) -> list[str]:
    """Return the addresses and ids in our form that its headers bear, whose domain may have no dot."""
    return [
        found
        for fields, names in ((mail.headers, _ARRIVED_AT), (mail.original, _SENT), (mail.headers, _ANSWERED))
        for name in names
        for value in fields.get(name, ())[:20]
        for found in _FORM.findall(value[:20_000])[:20]
    ]


def _first(values: Iterable[str], ask: Callable[[str], Log | None]) -> Log | None:
    return next((found for value in values if (found := ask(value)) is not None), None)


def _clean(text: str, *, lines: bool = False) -> str:
    """Return a text that the database can keep and a page can show."""
    kept = "".join(each for each in text if each.isprintable() or (lines and each in "\n\t") or each == " ")
    return kept.encode("utf-8", "replace").decode("utf-8").strip()
