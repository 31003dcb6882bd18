"""Control rules of the product: what is looked at in a delivery before anybody gets it (delivery.md §2.6).

A check takes what there is to look at and returns what it finds; nothing found means that the rule holds.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from envoi.packages.delivery.models import Channel, Delivery, DeliveryRun, JobLevel, Kind
from envoi.packages.delivery.services import content, routing
from envoi.packages.delivery.services.deliveries import sending, waves
from envoi.packages.delivery.services.typologies.links import Link, links

MOST_PROOFS = 100
"""Greatest target of a proof."""
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<%.*?%>", re.DOTALL)
_OPT_OUT = re.compile(r"unsubscri|opt-?out|d[ée]sabonn|d[ée]sinscri|list-manage", re.IGNORECASE)
_SENDER = set('<>@,;:"\\[]()')
_ALONE = re.compile(r"&(?!#?\w{1,31};)")
_SHOWN = 3
# 3GPP TS 23.038, and what takes two places in it.
_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE = set("^{}\\[~]|€\f")


@dataclass(frozen=True)
class Look:
    """What there is to look at. `count`: the target, or once messages are written those to deliver."""

    delivery: Delivery
    run: DeliveryRun
    count: int


@dataclass(frozen=True)
class Found:
    """What is not right, as a line of the log of deliveries. `level` where it is worse than the rule."""

    code: str
    detail: Mapping[str, Any]
    level: JobLevel | None = None


def _characters(look: Look) -> Iterator[Found]:
    delivery = look.delivery
    for code, text, further in (
        ("special_subject", delivery.subject, set[str]()),
        ("special_sender", delivery.from_name, _SENDER),
    ):
        strange = sorted({each for each in _TEMPLATE.sub("", text) if each in further or _is_special(each)})
        if strange:
            yield Found(code, {"found": " ".join(_named(each) for each in strange)})
    address = _TEMPLATE.sub("", delivery.from_address)
    if strange := sorted({each for each in address if each in _SENDER - {"@"} or not "!" <= each <= "~"}):
        yield Found("special_address", {"found": " ".join(_named(each) for each in strange)})


def _is_special(character: str) -> bool:
    """Return whether mail programs show a character badly: control, direction, private use, unassigned."""
    return unicodedata.category(character) in {"Cc", "Co", "Cn", "Cs", "Zl", "Zp"} or (
        unicodedata.category(character) == "Cf" and character not in "\u200d\u00ad"
    )


def _named(character: str) -> str:
    return character if character.isprintable() else f"U+{ord(character):04X}"


def _labels(look: Look) -> Iterator[Found]:
    bare = [each for each in links(look.delivery.html_source) if each.goes_out and not each.label]
    if bare:
        yield Found("unlabelled", {"found": _shown(bare)})


def _ampersands(look: Look) -> Iterator[Found]:
    alone = [
        each for each in links(look.delivery.html_source) if _ALONE.search(_TEMPLATE.sub("", each.source))
    ]
    if alone:
        yield Found("ampersand", {"found": _shown(alone)})


def _shown(found: list[Link]) -> str:
    more = " …" if len(found) > _SHOWN else ""
    return ", ".join(each.source[:80] for each in found[:_SHOWN]) + more


def _opt_out(look: Look) -> Iterator[Found]:
    sources = content.written(look.delivery)
    html, text = sources["html"], sources["text"]
    if html.strip() and not any(_OPT_OUT.search(each.source) for each in links(html)):
        yield Found("no_opt_out_html", {})
    if text.strip() and not _OPT_OUT.search(text):
        yield Found("no_opt_out_text", {})


def _sms(look: Look) -> Iterator[Found]:
    length, parts = sms_parts(_TEMPLATE.sub("", look.delivery.text_source))
    if parts > 1:
        yield Found("sms_long", {"length": length, "parts": parts})


def sms_parts(text: str) -> tuple[int, int]:
    """Return how many places a text takes, and how many SMS (delivery.md §2.15)."""
    if all(each in _GSM or each in _GSM_TWICE for each in text):
        length = len(text) + sum(each in _GSM_TWICE for each in text)
        alone, joined = 160, 153
    else:
        length, alone, joined = len(text.encode("utf-16-le")) // 2, 70, 67
    return length, 1 if length <= alone else -(-length // joined)


def _proof(look: Look) -> Iterator[Found]:
    if look.delivery.fcp and look.count > MOST_PROOFS:
        yield Found("proof", {"count": look.count, "most": MOST_PROOFS})


def _validity(look: Look) -> Iterator[Found]:
    said, start, end = _times(look)
    if end <= start:
        yield Found("validity_over", {"until": end.isoformat()}, JobLevel.ERROR)
    elif end - start < said.retry_period:
        yield Found("validity_short", {"until": end.isoformat()})


def _last_wave(look: Look) -> Iterator[Found]:
    said, start, end = _times(look)
    last = waves.last_start(said, look.count, start)
    if last is not None and last >= end:
        yield Found("wave_late", {"start": last.isoformat(), "until": end.isoformat()})


def _times(look: Look) -> tuple[sending.Sending, datetime, datetime]:
    """Return how it is sent, when that begins, and until when messages are tried."""
    delivery = look.delivery
    said = sending.read(delivery.sending, channel=Channel(delivery.message_type))
    start = max(delivery.contact_date or look.run.started_at, look.run.started_at)
    # A continuous delivery is valid anew each time it is confirmed.
    end = None if Kind(delivery.kind) is Kind.CONTINUOUS else delivery.validity
    return said, start, end or said.end(start)


def _sender(look: Look) -> Iterator[Found]:
    domain, found = routing.weak(look.delivery.from_address)
    if found:
        yield Found("weak_sender", {"domain": domain, "found": ", ".join(found)})


CHECKS: Mapping[str, Callable[[Look], Iterator[Found]]] = {
    "subjectCharacters": _characters,
    "urlLabels": _labels,
    "urlAmpersand": _ampersands,
    "smsLength": _sms,
    "validityPeriod": _validity,
    "proofSize": _proof,
    "lastWave": _last_wave,
    "optOut": _opt_out,
    "senderAlignment": _sender,
}
"""Name that a rule of the product calls it by -> the check."""
