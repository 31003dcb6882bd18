"""Find failed addresses in what mail servers write for people: formats that no standard describes.

Nearly all of them put the address at the start of a line and the reason behind or below it. Where they do
not, words near the address tell, then the header that some servers add, then the mail that came back.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envoi.packages.delivery.services.bounces.parse import (
    Fields,
    Mail,
    blocks_of,
    first,
    read_fields,
    readable,
)

ADDRESS = r"(?:\"[^\"\n@]{1,64}\"|[^\s<>()\[\]\"',;:@|“”«»]{1,64})@(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}"
ADDRESSES = re.compile(ADDRESS)
SEGMENT = 1_500
"""Characters below an address that may speak about it."""
RECIPIENTS = 200
"""Addresses of one mail that are looked at."""

_LEADING = r"^[ \t>*|•·+-]{0,20}(?:\d{1,3}[.)][ \t]{1,4})?(?:(?:[245]\d\d[ -]){1,3}(?:\d\.\d\.\d )?)?"
_ALONE = re.compile(
    rf"{_LEADING}[\"'<(\[]{{0,3}}({ADDRESS})[\"'>)\]]{{0,3}}(?=[ \t]*(?:$|[:;(\[,=]|\.\.\.|--?\s|<mailto:"
    r"|on (?:mon|tue|wed|thu|fri|sat|sun)|[ \t]{2,}\S|:?[ \t]*\d{3}\s|delivery |failed|is |was |has |does "
    r"|not |unknown |\Wfailed))",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED = re.compile(
    r"(?:\b(?:recipients?|rcpt(?:[ _]to)?|addressed to|addressee|e-?mail address|delivered? to"
    r"|(?:deliver(?:y|ing)?|delivered) (?:your )?(?:mail |message )?to|(?:message|mail|e-?mail) to|sent to"
    r"|send to|undeliverable to|reach|errors?|destinataires?|empfänger|destinatarios?"
    r"|宛先|收件人|получател\w+)\b"
    rf"[^\n@<]{{0,40}}?[\s:<\"'\[(]+)({ADDRESS})",
    re.IGNORECASE,
)
_TO = re.compile(rf"^[ \t]*to:[ \t]+(?:[^\n@<]{{0,60}}[ \t<\"(])?({ADDRESS})", re.IGNORECASE | re.MULTILINE)
_SENDER = re.compile(
    rf"(?:\bmail from\s*:?|\bfrom:|\bsent by|\breceived from)\s*<?({ADDRESS})", re.IGNORECASE
)
_BLOCK = re.compile(r"^(?:[A-Za-z][\w-]*:(?:[ \t].*)?\n(?:[ \t]+\S.*\n)*){3,}", re.MULTILINE)
_BLOCK_MARKS = frozenset(
    ("received", "return-path", "message-id", "dkim-signature", "x-received", "x-mailer")
)
_REPORT_MARKS = frozenset(("final-recipient", "original-recipient", "reporting-mta"))
_REPORT_LINE = re.compile(r"^(?:final|original)-recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)
_QUOTED = re.compile(
    r"^([ \t]+|>[ \t]?)(?:Return-Path:|Received:|From \S+@|Final-Recipient:)", re.MULTILINE | re.IGNORECASE
)
_PARAGRAPHS = re.compile(r"\n[ \t]*\n")
_FOR = re.compile(rf"\bfor <?({ADDRESS})")
_NEXT_LINE = re.compile(r"\n(?![ \t]+\S)")
_ANNOUNCED = re.compile(
    r"\b(?:original|copy of|copied|returned|unsent|headers?)\b.{0,60}"
    r"(?:message|mail|follow|below|enclosed|headers?)"
    r"|\bmessage (?:\w+ )?follows?\b|-{4,}",
    re.IGNORECASE,
)
_FRAME = " \t\n<>()[]:\"'.,;-*"
_OFFICES = frozenset(
    [
        "postmaster",
        "mailer-daemon",
        "mailerdaemon",
        "post_master",
        "mdaemon",
        "abuse",
        "support",
        "help",
        "helpdesk",
        "noreply",
        "no-reply",
        "root",
    ]
)


@dataclass(frozen=True, slots=True)
class Found:
    """A failed address, or "" when none shows, with the texts that speak about it, the nearest first.

    `stated`: the notice names the address; else it was taken from the mail that came back.
    """

    address: str
    texts: tuple[str, ...]
    stated: bool = True


def separate(mail: Mail) -> str:
    """Return the readable text without the mail that it quotes; that and report blocks go into `mail`."""
    text = _unquoted(mail.text)
    for block in _BLOCK.finditer(text if text.endswith("\n") else text + "\n"):
        fields = read_fields(block[0])
        if fields.keys() & _REPORT_MARKS or not fields.keys() & _BLOCK_MARKS:
            continue
        if not mail.original:
            mail.original = fields
            mail.inner = text[block.start() :].encode("utf-8", "replace")
        text = text[: block.start()]
        break
    text = _without_announcement(text) if mail.original else text
    if not mail.blocks and _REPORT_LINE.search(text):
        paragraphs = [(bool(_REPORT_LINE.search(each)), each) for each in _PARAGRAPHS.split(text)]
        mail.blocks += blocks_of("\n\n".join(each for is_report, each in paragraphs if is_report))
        text = "\n\n".join(each for is_report, each in paragraphs if not is_report)
    return text


def _without_announcement(text: str) -> str:
    """Return a text without the last line, where that says that the mail itself comes now."""
    text = text.rstrip()
    start = text.rfind("\n") + 1
    return text[:start] if _ANNOUNCED.search(text, start) and "@" not in text[start:] else text


def _unquoted(text: str) -> str:
    """Return a text without what a mail program put before each line of the mail that it quotes."""
    if not (quoted := _QUOTED.search(text)):
        return text
    mark = quoted[1].strip()
    return re.sub(rf"^(?:{mark}[ \t]?)+" if mark else rf"^{quoted[1]}", "", text, flags=re.MULTILINE)


def failed(mail: Mail, notice: str) -> list[Found]:
    """Return the addresses that a notice says have failed, each with its part of the notice."""
    named = _addresses(mail.headers.get("x-failed-recipients", ()))
    chosen = _placed(named, notice) if named else _chosen(mail, notice)
    if not chosen:
        return [Found(each, (notice,), False) for each in _of_original(mail) or [""]]
    chosen = chosen[:RECIPIENTS]
    found: list[Found] = []
    ends = [start for start, _address in chosen[1:]] + [len(notice)]
    before = 0
    for (start, address), end in zip(chosen, ends, strict=True):
        text = notice[start : min(end, start + SEGMENT)]
        line = _NEXT_LINE.split(text.partition(address)[2], maxsplit=1)[0]
        texts = [text]
        if len(line.strip(_FRAME)) > 5:
            texts.insert(0, line)
        if len(text.replace(address, "").strip(_FRAME)) < 4:
            texts = [notice[max(before, start - SEGMENT) : end]]  # the reason stands above the address
        if len(chosen) == 1:
            texts.append(notice)
        found.append(Found(address, tuple(texts)))
        before = end
    return found


def segment(address: str, notice: str, others: Iterable[str]) -> str:
    """Return what a notice says behind an address, up to the next of the others; it may be nothing."""
    at = notice.find(address) if address else -1
    if at < 0:
        return ""
    behind = at + len(address)
    ends = [end for other in others if (end := notice.find(other, behind)) >= 0 and other != address]
    return notice[at : min([at + SEGMENT, *ends])]


def _chosen(mail: Mail, notice: str) -> list[tuple[int, str]]:
    senders = _senders(mail, notice)
    for look in (_ALONE, _NAMED, _TO, ADDRESSES):
        matches = [(match.start(), match[match.re.groups]) for match in look.finditer(notice)]
        if chosen := _distinct(matches, senders):
            return chosen
    if originals := _distinct(
        _placed((each for each in _of_original(mail) if each in notice), notice), frozenset()
    ):
        return originals
    return _distinct([(match.start(), match[1]) for match in _ALONE.finditer(notice)], frozenset())


def _distinct(matches: Iterable[tuple[int, str]], excluded: frozenset[str]) -> list[tuple[int, str]]:
    seen: set[str] = set()
    kept: list[tuple[int, str]] = []
    for start, address in matches:
        address = address.strip(".")
        lower = address.lower()
        if lower in seen or lower in excluded or lower.partition("@")[0] in _OFFICES:
            continue
        seen.add(lower)
        kept.append((start, address))
    return kept


def _placed(addresses: Iterable[str], notice: str) -> list[tuple[int, str]]:
    """Put addresses in the order in which a notice names them; one that it does not name comes first."""
    return sorted((max(notice.find(address), 0), address) for address in addresses)


def _senders(mail: Mail, notice: str) -> frozenset[str]:
    """Return, in lower case, the addresses that are parties to the notice rather than its subject."""
    values = [
        *(
            mail.headers.get(name, [""])[0]
            for name in ("to", "from", "delivered-to", "x-original-to", "reply-to")
        ),
        *(mail.original.get(name, [""])[0] for name in ("from", "return-path", "sender", "reply-to")),
    ]
    return frozenset(
        address.lower()
        for address in (*_addresses(values), *(match[1] for match in _SENDER.finditer(notice)))
    )


def _of_original(mail: Mail) -> list[str]:
    """Return to whom the mail went that came back, when it went to one address only."""
    to = _addresses(mail.original.get("x-envelope-to", mail.original.get("to", ())))
    to += _addresses(mail.original.get("cc", ()))
    if len(to) == 1:
        return to
    served = {match[1] for value in mail.original.get("received", ()) for match in _FOR.finditer(value)}
    return list(served) if not to and len(served) == 1 else []


def _addresses(values: Iterable[str]) -> list[str]:
    return list(_each(values))


def _each(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        for match in ADDRESSES.finditer(readable(value)):
            yield match[0]


def addresses(fields: Fields, name: str) -> list[str]:
    """Return the addresses in a header."""
    return _addresses([first(fields, name)])
