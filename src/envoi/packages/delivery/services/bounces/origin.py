"""Which mail of ours a mail is about: by the address that it came to, or by the Message-ID that it quotes.

Each mail leaves with a return address of its own (VERP) and a Message-ID, both made from the number of its
log row. What they look like is the sender's matter, so whoever asks brings the reader.
"""

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from envoi.packages.delivery.services.bounces.letters import ADDRESSES, SEGMENT
from envoi.packages.delivery.services.bounces.parse import Fields, Mail, parse, readable

T = TypeVar("T")

_ARRIVED_AT = ("x-original-to", "delivered-to", "envelope-to", "x-envelope-to", "x-rcpt-to", "to", "cc")
_SENT_FROM = ("return-path", "x-postfix-sender", "sender", "from")
_QUOTED = ("message-id", "x-message-id", "resent-message-id")
_ANSWERED = ("in-reply-to", "references")
_ID = re.compile(r"<([^<>\s]{1,256}@[^<>\s]{1,256})>")
_ID_FIELD = re.compile(
    r"^[> \t]*(?:original-)?message-id:[ \t]*<?([^<>\s]{1,256}@[^<>\s]{1,256})>?", re.I | re.M
)


def by_return_address(mail: Mail | bytes, read: Callable[[str], T | None]) -> T | None:
    """Return what `read` makes of the first return address that it knows, or None.

    `read` gets addresses as they stand, case kept; it must check that an address is ours. First the addresses
    that the mail came to are tried, then those from which the mail went that it is about.
    """
    mail = parse(mail) if isinstance(mail, bytes) else mail
    return _first_known(_return_addresses(mail), read)


def by_message_id(mail: Mail | bytes, read: Callable[[str], T | None]) -> T | None:
    """Return what `read` makes of the first Message-ID that it knows, or None.

    `read` gets ids without angle brackets: those of the mail that came back, of the report, of the text.
    """
    mail = parse(mail) if isinstance(mail, bytes) else mail
    return _first_known(_message_ids(mail), read)


def _return_addresses(mail: Mail) -> Iterator[str]:
    yield from _addresses(mail.headers, _ARRIVED_AT)
    for block in mail.blocks:
        yield from _addresses(block, _SENT_FROM)
    yield from _addresses(mail.feedback, ("original-mail-from",))
    yield from _addresses(mail.original, _SENT_FROM)


def _message_ids(mail: Mail) -> Iterator[str]:
    for fields, names in ((mail.original, _QUOTED), (mail.headers, _ANSWERED), (mail.feedback, _QUOTED)):
        for name in names:
            for value in fields.get(name, ()):
                yield from _ID.findall(value)
    for block in mail.blocks:
        for value in (*block.get("original-message-id", ()), *block.get("x-original-message-id", ())):
            yield from _ID.findall(value)
    yield from _ID_FIELD.findall(mail.text[: 10 * SEGMENT])


def _addresses(fields: Fields, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        for value in fields.get(name, ()):
            yield from ADDRESSES.findall(readable(value))


def _first_known(values: Iterator[str], read: Callable[[str], T | None]) -> T | None:
    for value in values:
        known = read(value)
        if known is not None:
            return known
    return None
