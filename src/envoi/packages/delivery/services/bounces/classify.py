"""What a mail that came in means for the addresses it is about (delivery.md §3.3, §3.5)."""

import re
from dataclasses import dataclass, replace

from envoi.packages.delivery.services.bounces import kinds, letters, notifications
from envoi.packages.delivery.services.bounces.normalise import factorised, plain, relayed
from envoi.packages.delivery.services.bounces.parse import Fields, Mail, first, parse, unix
from envoi.packages.delivery.services.bounces.rules import (
    ABOUT_ADDRESS,
    AUTO_REPLIES,
    BEFORE_ADDRESS,
    FEEDBACK_LOOP,
    HARD,
    NO_FAILURE,
    OTHER_RESPONSES,
    REASONS,
    REFUSED_CONNECTION,
    UNSUBSCRIPTION,
    Rule,
    Rules,
    shipped,
)

BOUNCE, COMPLAINT, AUTO_REPLY, OTHER = "bounce", "complaint", "auto-reply", "other"
FORWARDED = 3
"""How deep bounces inside forwarded mails are looked for."""

MAILS = 1_000
"""Mails of one mailbox file that are looked at."""

_MBOX = re.compile(rb"\n\n(?=From \S+ +[A-Z][a-z]{2} [A-Z][a-z]{2} )")
_STATUS = re.compile(r"(?<![\w.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_BEFORE_ADDRESS = re.compile(
    r"\b(?:after|reply to|response to|our|rejected)\s+(?:pipelined\s+|the\s+)?"
    r"(?:MAIL(?: FROM|:| command)|initial connection|HELO\b|EHLO\b)"
    r"|\bmy name was rejected|^>>> (?:MAIL|EHLO|HELO)[^\n]*\n\s*<<< [45]",
    re.IGNORECASE | re.MULTILINE,
)
_DELAY = re.compile(
    r"warning message only|this is a warning|has been delayed|will be retried|not yet been delivered"
    r"|still being retried|temporary failure report|delivery attempts will continue",
    re.IGNORECASE,
)
_AT_CONNECTION = re.compile(r"\brefused to talk to me\b|\bafter initial connection\b", re.IGNORECASE)
_VAGUE = frozenset(("Unreachable_system", "Unreachable_temporary", "Probably_unreachable"))
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_REPLY = re.compile(r"(?<![\w.])([45]\d\d)(?=[ -])")
_ARRIVED = frozenset(("delivered", "relayed", "expanded", "deliverable"))
_COMPLAINTS = frozenset(("abuse", "fraud", "opt-out", "opt-out-list", "virus", "other", "complaint", ""))


@dataclass(frozen=True, slots=True)
class Recipient:
    """What a mail says about one address.

    `address`: as the mail writes it, "" when it shows none. `sent_to`: the address that was written to where
    the mail tells that it was forwarded, else the same. `status`: enhanced status (RFC 3463), x.0.0 when the
    mail only tells whether it is final, "" for mails that are no failure. `reason_code`: as in delivery.md
    §3.2, None for no failure. `rule`: which rule decided. `text`: what the server said.
    """

    address: str
    sent_to: str
    status: str
    error_type: str
    reason_code: int | None
    rule: str
    text: str = ""
    delayed: bool = False
    """The server goes on trying: a notice, not an outcome."""

    @property
    def normalised(self) -> str:
        """What the server said, as it is kept once for all mails that say it."""
        return factorised(self.text)

    @property
    def reason(self) -> str | None:
        """The name of the reason, in English."""
        return None if self.reason_code is None else REASONS[self.reason_code]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a mail is, and what it says about whom. `kind`: bounce, complaint, auto-reply or other.

    A bounce has one recipient at least. Other has none, except for notices of success and reports about
    authentication, whose recipients are ignored.
    """

    kind: str
    recipients: tuple[Recipient, ...] = ()


def classify(data: bytes, rules: Rules | None = None) -> Verdict:
    """Return what the bytes of a mail mean. Never raises: what cannot be read is `other`."""
    rules = rules or shipped()
    data = unix(data)
    if data.startswith(b"From ") and len(mails := _MBOX.split(data, MAILS)) > 1:
        return _together([_classify(each, rules) for each in mails])
    return _classify(data, rules)


def _classify(data: bytes, rules: Rules) -> Verdict:
    best = Verdict(OTHER)
    for _depth in range(FORWARDED):
        mail = parse(data)
        verdict = _verdict(mail, rules)
        if any(each.address for each in verdict.recipients):
            return verdict
        best = verdict if best.kind == OTHER else best
        if not mail.inner or not _forwards(mail):
            break
        data = mail.inner
    return best


def _together(verdicts: list[Verdict]) -> Verdict:
    """Join what the mails of one mailbox file say."""
    kinds_found = [each.kind for each in verdicts if each.kind != OTHER] or [OTHER]
    return Verdict(kinds_found[0], tuple(one for each in verdicts for one in each.recipients))


def _verdict(mail: Mail, rules: Rules) -> Verdict:
    notice = letters.separate(mail)
    if mail.feedback or kinds.is_complaint(mail):
        return _complaint(mail)
    if kinds.is_unsubscription(mail):
        return _written_by(mail, COMPLAINT, UNSUBSCRIPTION)
    if notification := notifications.read(notice):
        return _notified(mail, notification, rules)
    about = [block for block in mail.blocks if _recipient_of(block)]
    if about:
        return _reported(mail, about, notice, rules)
    if mail.receipt:
        return Verdict(OTHER)
    if kinds.is_report(mail):
        return _written(mail, notice, rules)
    answer = kinds.is_answer(mail, notice)
    if kinds.is_failure(mail, notice) and not (answer and kinds.has_answer_subject(mail)):
        return _written(mail, notice, rules)
    return _written_by(mail, AUTO_REPLY, AUTO_REPLIES) if answer else Verdict(OTHER)


def _reported(mail: Mail, blocks: list[Fields], notice: str, rules: Rules) -> Verdict:
    """Read a delivery report (RFC 3464)."""
    recipients: dict[str, Recipient] = {}
    named = [final for block in blocks if (both := _recipient_of(block)) and (final := both[0])]
    arrived = True
    for block in blocks:
        final, sent_to = _recipient_of(block) or ("", "")
        if not final and len(blocks) == 1 and len(others := letters.failed(mail, notice)) == 1:
            final = sent_to = others[0].address
        action = first(block, "action").split(maxsplit=1)[:1]
        given = _STATUS.search(first(block, "status"))
        status = given[1] if given else ""
        if (action and action[0].lower() in _ARRIVED) or (not action and status.startswith("2")):
            one = Recipient(final, sent_to, status or "2.0.0", NO_FAILURE.error_type, None, NO_FAILURE.name)
        else:
            arrived = False
            delayed = bool(action) and action[0].lower() == "delayed"
            diagnostic = first(block, "diagnostic-code").partition(";")[2] or first(block, "diagnostic-code")
            comment = first(block, "status").partition("(")[2]
            around = letters.segment(final, notice, named) or letters.segment(sent_to, notice, named)
            if len(blocks) == 1:
                around = around + "\n" + notice[: letters.SEGMENT]
            texts = [text for text in (relayed(diagnostic), comment, around) if text.strip()]
            one = _judged(final, sent_to, status, texts, delayed, rules)
        recipients.setdefault(final.lower(), one)
    return Verdict(OTHER if arrived else BOUNCE, tuple(recipients.values()))


def _notified(mail: Mail, notification: notifications.Notification, rules: Rules) -> Verdict:
    if notification.kind == notifications.COMPLAINT:
        return _complained(
            FEEDBACK_LOOP, COMPLAINT, [first(block, "final-recipient") for block in notification.blocks]
        )
    return _reported(mail, notification.blocks, "", rules)


def _written(mail: Mail, notice: str, rules: Rules) -> Verdict:
    """Read a notice that was written for people."""
    found = letters.failed(mail, notice)
    delayed = bool(_DELAY.search(notice[: kinds.HEAD]))
    judged = [_judged(each.address, each.address, "", list(each.texts), delayed, rules) for each in found]
    if not found[0].stated and judged[0].rule == rules.last().name:
        judged = [
            replace(each, error_type=OTHER_RESPONSES.error_type, rule=OTHER_RESPONSES.name) for each in judged
        ]
    return Verdict(BOUNCE, tuple(judged))


class _Plains:
    """Texts in the form that rules are compared with; each is brought into it when it is asked first."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.plains: dict[int, str] = {}

    def ask(self, rules: Rules, kind: str, which: slice = slice(None)) -> Rule | None:
        """Return the first rule of a kind that fits the first text that one fits."""
        for number in range(*which.indices(len(self.texts))):
            if number not in self.plains:
                self.plains[number] = plain(self.texts[number])
            if rule := rules.by_text(self.plains[number], kind):
                return rule
        return None


def _judged(
    address: str, sent_to: str, status: str, texts: list[str], delayed: bool, rules: Rules
) -> Recipient:
    """Qualify a failure by its texts, the nearest first, then by its codes."""
    said = texts[0] if texts else ""
    stated = next((found[1] for text in texts[:2] if (found := _STATUS.search(text))), "")
    if stated and not (stated.endswith(".0.0") and status):
        status = stated
    reply = next((found for text in texts[:2] if (found := _REPLY.search(text))), None)
    code = reply[1] if reply else ""
    parts = list(texts)
    if reply and reply.string is said and reply.start() > 0:
        # What the server said, without who says that it said it.
        parts.insert(0, _BLANK_LINE.split(said[reply.start() :], maxsplit=1)[0])
    plains = _Plains(parts)
    rule = (
        plains.ask(rules, "text", slice(1))
        or rules.by_code(status, "status")
        or plains.ask(rules, "text", slice(1, None))
        or plains.ask(rules, "vague")
        or plains.ask(rules, "hint")
        or (rules.by_code(code, "reply") if code else None)
        or rules.last()
    )
    if rule.reason in ABOUT_ADDRESS and any(_BEFORE_ADDRESS.search(text) for text in texts[:2]):
        rule = BEFORE_ADDRESS
    elif code and rule.name in _VAGUE and any(_AT_CONNECTION.search(text) for text in texts[:2]):
        rule = REFUSED_CONNECTION
    error_type = rule.error_type
    if delayed and error_type == HARD:
        rule, error_type = rules.last(), rules.last().error_type
    if not status:
        status = "4.0.0" if delayed or code.startswith("4") else "5.0.0"
    return Recipient(address, sent_to, status, error_type, rule.reason, rule.name, said.strip(), delayed)


def reply_rule(text: str, status: str = "", rules: Rules | None = None) -> Rule | None:
    """Return the rule that recognises what a server answered, None when none does.

    `text`: the answer without its codes; `status`: its enhanced status or "". A bare reply code is not
    enough: servers give 550 for everything.
    """
    rules = rules or shipped()
    said = plain(text)
    return (
        rules.by_text(said)
        or (rules.by_code(status, "status") if status else None)
        or rules.by_text(said, "vague")
        or rules.by_text(said, "hint")
    )


def _complaint(mail: Mail) -> Verdict:
    """Read a feedback report (RFC 5965), or a complaint in a form of a provider's own."""
    kind = first(mail.feedback, "feedback-type").lower()
    complained = kind in _COMPLAINTS
    rule: Rule = FEEDBACK_LOOP if complained else NO_FAILURE
    addresses: list[str] = []
    for fields, name in (
        (mail.feedback, "original-rcpt-to"),
        (mail.feedback, "removal-recipient"),
        (mail.headers, "x-hmxmroriginalrecipient"),
        (mail.original, "x-hmxmroriginalrecipient"),
        (mail.original, "x-original-to"),
        (mail.original, "delivered-to"),
        (mail.original, "to"),
    ):
        for value in fields.get(name, ()):
            addresses += [each for each in letters.ADDRESSES.findall(value) if each not in addresses]
        if addresses:
            break
    return _complained(rule, COMPLAINT if complained else OTHER, addresses)


def _complained(rule: Rule, kind: str, addresses: list[str]) -> Verdict:
    return Verdict(
        kind,
        tuple(
            Recipient(each, each, "", rule.error_type, rule.reason, rule.name) for each in addresses or [""]
        ),
    )


def _written_by(mail: Mail, kind: str, rule: Rule) -> Verdict:
    """Return what a mail means for the one who wrote it."""
    address = (letters.addresses(mail.headers, "from") or [""])[0]
    return Verdict(kind, (Recipient(address, address, "", rule.error_type, rule.reason, rule.name),))


def _recipient_of(block: Fields) -> tuple[str, str] | None:
    """Return the final and the original address of a report block; None when it is not about a recipient."""
    named = [
        _address(first(block, name))
        for name in ("final-recipient", "original-recipient", "x-actual-recipient")
    ]
    if not any(name in block for name in ("final-recipient", "original-recipient")):
        return None
    final = named[0] or named[1] or named[2]
    return final, named[1] or final


def _address(value: str) -> str:
    """Return the address of `rfc822; user@host`, without what some servers wrap around it."""
    found = letters.ADDRESSES.search(value.partition(";")[2] or value)
    return found[0].strip(".") if found else ""


def _forwards(mail: Mail) -> bool:
    """Tell whether the mail inside is a notice of a server that someone, or a program, passed on."""
    return bool(kinds.from_daemon(parse(mail.inner)))
