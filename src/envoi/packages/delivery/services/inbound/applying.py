"""What mails that came in do: to messages, figures, addresses and profiles (delivery.md §3.5).

A batch is one transaction: the row that says that a mail was handled and everything that it does come
together, so that a mail that is read again after a crash does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection, transaction

from envoi.packages.delivery.models import (
    Channel,
    FailureReason,
    FailureType,
    InboundKind,
    InboundOutcome,
)
from envoi.packages.delivery.services import qualification, quarantine
from envoi.packages.delivery.services.bounces.rules import OTHER_RESPONSES, Rules
from envoi.packages.delivery.services.inbound import forwarding, logs, optout
from envoi.packages.delivery.services.inbound.letter import HEAD, Letter, read
from envoi.packages.delivery.services.inbound.logs import HELD, SEED, Sent
from envoi.packages.delivery.services.qualification import rule_sets
from envoi.packages.delivery.services.qualification.rule_sets import TYPES
from envoi.packages.delivery.services.quarantine import Failure
from envoi.packages.delivery.services.sending.identity import Identity

_WITH_CONTENT = (InboundKind.REPLY, InboundKind.UNREADABLE, InboundKind.OTHER)
_FAILS = (FailureType.SOFT, FailureType.HARD)
_FAILED, _PENDING = 2, 6
_ARRIVED = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class Received:
    """A mail as it came. `waited`: it was left once because its message was not settled yet."""

    raw: bytes = field(repr=False)
    source: str = ""
    waited: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What an instance does with mails: where it forwards them, and whether a bare address is believed."""

    errors_to: str = ""
    forward_to: str = ""
    trust_addresses: bool = False


@dataclass(slots=True)
class _Case:
    """A mail on its way through."""

    letter: Letter
    received: Received
    sent: Sent | None = None
    row_id: int = 0
    outcome: int = InboundOutcome.NOTHING
    failure_type: int = FailureType.UNDEFINED
    failure_reason: int = FailureReason.NONE
    rule: str = ""


def handle(mails: Sequence[Received], identity: Identity, settings: Settings, *, now: datetime) -> list[bool]:
    """Do what a batch of mails asks for, in a transaction of its own; tell of each whether it is done with.

    One that is not comes again: its message has not been settled by the sender yet. One that was handled
    before is done with and does nothing.
    """
    rules = rule_sets.current()
    letters = [read(each.raw, identity, rules) for each in mails]
    with transaction.atomic():
        sent = logs.find({letter.log for letter in letters if letter.log})
        cases: dict[str, _Case] = {}
        early: set[str] = set()
        for letter, received in zip(letters, mails, strict=True):
            message = sent.get(letter.log) if letter.log else None
            if message and _too_early(message, letter, received):
                early.add(letter.digest)
            elif letter.digest not in cases:
                cases[letter.digest] = _Case(letter, received, message)
        new = _written(list(cases.values()), now)
        _apply(new, rules, settings, now)
        for case in new:
            goes = forwarding.forward(case.letter, case.outcome, settings.errors_to, settings.forward_to)
            if case.letter.kind is InboundKind.REPLY:
                case.outcome = InboundOutcome.FORWARDED if goes else InboundOutcome.KEPT
        _noted(new)
    return [letter.digest not in early for letter in letters]


def unreadable(received: Received, digest: str, reason: str, *, now: datetime) -> None:
    """Keep a mail that cannot be handled, so that it holds nobody up. In a transaction of its own."""
    letter = Letter(digest, InboundKind.UNREADABLE, "", "", reason[:1_000])
    with transaction.atomic():
        _written([_Case(letter, received, outcome=InboundOutcome.KEPT)], now)


def _too_early(sent: Sent, letter: Letter, received: Received) -> bool:
    """Tell whether the sender has not written down yet that the message left."""
    return (
        letter.kind is InboundKind.BOUNCE
        and sent.status == _PENDING
        and not sent.flags & HELD
        and not received.waited
    )


def _apply(cases: list[_Case], rules: Rules, settings: Settings, now: datetime) -> None:
    failed: list[tuple[_Case, qualification.Verdict]] = []
    failures: list[Failure] = []
    out: list[Sent] = []
    bounced = [case for case in cases if case.letter.kind is InboundKind.BOUNCE and _says(case)]
    for case, verdict in zip(bounced, _qualified(bounced, rules), strict=True):
        case.failure_type, case.failure_reason = verdict.failure_type, verdict.failure_reason
        if case.sent is None:
            if settings.trust_addresses:
                failures += _bare(case, verdict, now)
            continue
        case.outcome = InboundOutcome.APPLIED
        if all(case.sent is not other.sent for other, _verdict in failed):
            failed.append((case, verdict))
    for case in cases:
        if case.letter.kind is InboundKind.COMPLAINT:
            case.failure_type, case.failure_reason = FailureType.HARD, FailureReason.REFUSED
            failures += _complained(case, settings, now)
        elif case.letter.kind is InboundKind.UNSUBSCRIPTION and case.sent:
            case.outcome = InboundOutcome.APPLIED
            out.append(case.sent)
        elif case.letter.kind is InboundKind.AUTO_REPLY:
            case.failure_type, case.failure_reason = FailureType.IGNORED, FailureReason.UNREACHABLE
        elif case.sent is None and case.letter.kind is not InboundKind.REPLY:
            case.outcome = InboundOutcome.UNKNOWN
        if case.sent is None and case.letter.kind is InboundKind.BOUNCE and not case.outcome:
            case.outcome = InboundOutcome.UNKNOWN
        spoken = case.letter.spoken
        case.rule = spoken.rule if spoken else ""
    told = [
        (case.sent, verdict.failure_reason, verdict.msg_id)
        for case, verdict in failed
        if case.sent is not None
    ]
    logs.fail(told, now=now)
    failures += [
        Failure(
            case.sent.address, Channel.EMAIL, case.sent.counted_for, verdict.failure_type,
            verdict.failure_reason, _said(case), now,
        )
        for case, verdict in failed
        if case.sent is not None and case.sent.status != _FAILED and not case.sent.flags & SEED
    ]  # fmt: skip
    known = failures + optout.opt_out(out, now=now)
    logs.count(told, quarantine.note(known, now=now))


def _says(case: _Case) -> bool:
    """Tell whether a bounce says that something failed for good, and is sure of it."""
    spoken = case.letter.spoken
    return spoken is not None and not spoken.delayed and spoken.error_type in ("hard", "soft")


def _qualified(cases: list[_Case], rules: Rules) -> list[qualification.Verdict]:
    """Return what the texts mean: what was decided about a text, else what the rule says of the mail."""
    sure = {rule.name for kind, each in rules.by_kind.items() if kind != "end" for rule in each}
    spoken = [case.letter.spoken for case in cases]

    def recognised(at: int) -> qualification.Found:
        one = spoken[at]
        if one is None or one.rule not in sure or one.rule == OTHER_RESPONSES.name:
            return qualification.Found(_said(cases[at]))
        return qualification.Found(_said(cases[at]), TYPES[one.error_type], one.reason_code or 0, one.rule)

    kept = qualification.keep([_said(case) for case in cases], recognised)
    return [
        qualification.Verdict(each.msg_id, TYPES[one.error_type], one.reason_code or 0)
        if one is not None and each.failure_type == FailureType.UNDEFINED.value
        else each
        for one, each in zip(spoken, kept, strict=True)
    ]


def _said(case: _Case) -> str:
    spoken = case.letter.spoken
    return (spoken.text if spoken else "") or case.letter.subject or "-"


def _bare(case: _Case, verdict: qualification.Verdict, now: datetime) -> list[Failure]:
    """Return failures of addresses that a mail names without a message of ours, where they are believed."""
    named = logs.known_addresses([one.sent_to or one.address for one in case.letter.about])
    if named:
        case.outcome = InboundOutcome.APPLIED
    return [
        Failure(each, Channel.EMAIL, None, verdict.failure_type, verdict.failure_reason, _said(case), now)
        for each in named
    ]


def _complained(case: _Case, settings: Settings, now: datetime) -> list[Failure]:
    addresses: list[str] = []
    if case.sent is not None:
        addresses = [case.sent.address]
    elif settings.trust_addresses:
        addresses = logs.known_addresses([one.sent_to or one.address for one in case.letter.about])
    if not addresses:
        case.outcome = InboundOutcome.UNKNOWN
        return []
    case.outcome = InboundOutcome.APPLIED
    delivery_id = case.sent.counted_for if case.sent else None
    return [
        Failure(
            each, Channel.EMAIL, delivery_id, FailureType.HARD, FailureReason.REFUSED,
            case.letter.subject or "-", now, complaint=True,
        )
        for each in addresses
    ]  # fmt: skip


def _written(cases: list[_Case], now: datetime) -> list[_Case]:
    """Write that these mails are handled, and return those that were not before, with their rows."""
    if not cases:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_inbound_mail (digest, source, kind, outcome, sender, subject, address,
                 delivery_id, run_id, broad_log_id, excerpt, content, received_at)
               SELECT *, %s::timestamptz FROM unnest(%s::text[], %s::text[], %s::smallint[], %s::smallint[],
                 %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[],
                 %s::bytea[])
               ORDER BY 1
               ON CONFLICT (digest) DO NOTHING RETURNING digest, inbound_mail_id""",
            [
                now,
                [case.letter.digest for case in cases],
                [case.received.source[:64] for case in cases],
                [int(case.letter.kind) for case in cases],
                [int(case.outcome) for case in cases],
                [case.letter.sender for case in cases],
                [case.letter.subject for case in cases],
                [_about(case) for case in cases],
                [case.sent.delivery_id if case.sent else None for case in cases],
                [case.sent.run_id if case.sent else None for case in cases],
                [case.sent.id if case.sent else None for case in cases],
                [case.letter.excerpt for case in cases],
                [case.received.raw[:HEAD] if case.letter.kind in _WITH_CONTENT else None for case in cases],
            ],
        )
        rows: dict[str, int] = dict(cursor.fetchall())
    new = [case for case in cases if case.letter.digest in rows]
    for case in new:
        case.row_id = rows[case.letter.digest]
    return new


def _about(case: _Case) -> str:
    if case.sent is not None:
        return case.sent.address
    spoken = case.letter.spoken
    return (spoken.sent_to or spoken.address)[:254].replace("\x00", "") if spoken else ""


def _noted(cases: list[_Case]) -> None:
    """Write what came of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_inbound_mail m SET outcome = d.outcome, failure_type = d.type,
                 failure_reason = d.reason, rule = d.rule
               FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[], %s::smallint[], %s::text[])
                 AS d (id, outcome, type, reason, rule)
               WHERE m.inbound_mail_id = d.id""",
            [
                [case.row_id for case in cases],
                [int(case.outcome) for case in cases],
                [int(case.failure_type) for case in cases],
                [int(case.failure_reason) for case in cases],
                [case.rule for case in cases],
            ],
        )
