"""Answers of servers become rows of `nms_broad_log_msg`, and rows become verdicts (delivery.md §3.3)."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connection

from envoi.kernel import clock, options
from envoi.kernel.rights import INTERNAL, Actor
from envoi.packages.delivery.models import FailureReason, FailureType, Qualification
from envoi.packages.delivery.services import bounces
from envoi.packages.delivery.services.bounces.rules import ABOUT_ADDRESS, Rules
from envoi.packages.delivery.services.qualification import rule_sets

MOST: Final = 100_000
"""Occurrences are counted up to here."""
OPTION: Final = "NmsBroadcast_RegexRules"
LONGEST: Final = 4_000

_READER: Final = Actor(0, INTERNAL)
"""Options are read by all: no need to look the operator up for each batch."""
_GREYLISTED = re.compile(r"gr[ae]y[ -]?list", re.IGNORECASE)
_BEFORE_ADDRESS = frozenset({"connect", "greeting", "ehlo", "tls", "auth", "mail"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What a server answered. `code` is 0 where we decided ourselves; `enhanced` is "5.1.1" or "".

    `stage`: to what it was the answer, a value of `sending.outcomes.Stage`.
    """

    text: str
    code: int = 0
    enhanced: str = ""
    stage: str = "rcpt"

    @property
    def whole(self) -> str:
        """The answer in one line, with its codes."""
        return " ".join(filter(None, (str(self.code or ""), self.enhanced, self.text.replace("\n", " "))))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means: the row that keeps its text, its type and its reason (`FailureType`,
    `FailureReason`).
    """

    msg_id: int
    failure_type: int
    failure_reason: int


@dataclass(frozen=True, slots=True)
class Found:
    """A text as it came, with what a rule says of it; `rule` is "" where none knows it."""

    text: str
    failure_type: int = FailureType.UNDEFINED
    failure_reason: int = FailureReason.NONE
    rule: str = ""


def qualify(replies: Sequence[Said]) -> list[Verdict]:
    """Return what each reply means, and count the texts. In the caller's transaction.

    A text that is new gets the type and reason of the rule that recognises it; without one it waits *to
    qualify* with reason 0 and means nothing for the address. What an operator has decided about a text holds.
    """
    rules = rule_sets.current() if replies else None
    kept = keep([said.whole for said in replies], lambda at: _recognised(replies[at], rules))
    return [_meant(said, verdict) for said, verdict in zip(replies, kept, strict=True)]


def keep(texts: Sequence[str], recognise: Callable[[int], Found]) -> list[Verdict]:
    """Count texts in the rows that keep them, and return what the rows say. In the caller's transaction.

    `recognise` is asked, by its place in `texts`, for one of those that are new. Rows are touched in the
    order of their keys, so that two who count the same texts wait for each other and never lock up.
    """
    if not texts:
        return []
    normalise = _normaliser()
    known: dict[str, str] = {}
    for text in texts:
        if text not in known:
            known[text] = normalise(text)
    keys = {text: bounces.key(normalised) for text, normalised in known.items()}
    counts = Counter(keys[text] for text in texts)
    first: dict[str, int] = {}
    for at, text in enumerate(texts):
        first.setdefault(keys[text], at)
    rows = _rows(list(counts))
    new = {key: recognise(at) for key, at in first.items() if key not in rows}
    growing = sorted(key for key in counts if key not in rows or rows[key][3] < MOST)
    if growing:
        rows |= _count(
            [(key, counts[key], known[texts[first[key]]], new.get(key) or Found("")) for key in growing]
        )
    return [_verdict(rows[keys[text]]) for text in texts]


def _rows(keys: list[str]) -> dict[str, tuple[int, int, int, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT md5, broad_log_msg_id, failure_type, failure_reason, occurrences, qualification
               FROM nms_broad_log_msg WHERE md5 = ANY(%s)""",
            [keys],
        )
        return {key: (row[0], row[1], row[2], row[3], row[4]) for key, *row in cursor.fetchall()}


def _count(found: list[tuple[str, int, str, Found]]) -> dict[str, tuple[int, int, int, int, int]]:
    """Add to the rows of these keys, making those that are new."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_broad_log_msg AS kept (md5, text, first_text, failure_type, failure_reason,
                 qualification, rule, occurrences, modified_at)
               SELECT md5, text, first_text, failure_type, failure_reason,
                 CASE WHEN rule = '' THEN %(to_qualify)s ELSE %(keep)s END, rule, least(count, %(most)s),
                 %(now)s
               FROM unnest(%(keys)s::text[], %(texts)s::text[], %(firsts)s::text[], %(types)s::smallint[],
                 %(reasons)s::smallint[], %(rules)s::text[], %(counts)s::bigint[])
                 AS said (md5, text, first_text, failure_type, failure_reason, rule, count)
               ORDER BY md5
               ON CONFLICT (md5) DO UPDATE SET occurrences =
                 least(kept.occurrences + excluded.occurrences, %(most)s)
               RETURNING md5, broad_log_msg_id, failure_type, failure_reason, occurrences, qualification""",
            {
                "to_qualify": int(Qualification.TO_QUALIFY),
                "keep": int(Qualification.KEEP),
                "most": MOST,
                "now": clock.now(),
                "keys": [key for key, *_rest in found],
                "texts": [_storable(text) for _key, _count, text, _new in found],
                "firsts": [_storable(new.text) for *_rest, new in found],
                "types": [int(new.failure_type) for *_rest, new in found],
                "reasons": [int(new.failure_reason) for *_rest, new in found],
                "rules": [new.rule for *_rest, new in found],
                "counts": [count for _key, count, _text, _new in found],
            },
        )
        return {key: (row[0], row[1], row[2], row[3], row[4]) for key, *row in cursor.fetchall()}


def _verdict(row: tuple[int, int, int, int, int]) -> Verdict:
    msg_id, failure_type, failure_reason, _occurrences, qualification = row
    if qualification == int(Qualification.TO_QUALIFY):
        return Verdict(msg_id, FailureType.UNDEFINED, FailureReason.NONE)
    if qualification == int(Qualification.IGNORE):
        return Verdict(msg_id, FailureType.IGNORED, failure_reason)
    return Verdict(msg_id, failure_type, failure_reason)


def _recognised(said: Said, rules: Rules | None) -> Found:
    if 400 <= said.code < 500 and _GREYLISTED.search(said.text):
        # The server does this to everybody at first: the address is fine.
        return Found(said.whole, FailureType.IGNORED, FailureReason.REFUSED, "Greylisting")
    rule = bounces.reply_rule(said.text, said.enhanced, rules)
    if rule is None:
        return Found(said.whole)
    failure_type = rule_sets.TYPES[rule.error_type]
    if failure_type == FailureType.HARD and 400 <= said.code < 500:
        failure_type = FailureType.SOFT  # it asks to be tried again
    return Found(said.whole, failure_type, rule.reason or FailureReason.NONE, rule.name)


def _meant(said: Said, verdict: Verdict) -> Verdict:
    """Return what a text means where it was said: before the address was heard it is not about it."""
    if verdict.failure_type not in (FailureType.SOFT, FailureType.HARD):
        return verdict
    if said.stage in _BEFORE_ADDRESS and verdict.failure_reason in ABOUT_ADDRESS:
        return Verdict(verdict.msg_id, FailureType.SOFT, FailureReason.REFUSED)
    if not said.code and verdict.failure_reason == int(FailureReason.REFUSED):
        # We refused our own message: the address has nothing to do with it.
        return Verdict(verdict.msg_id, FailureType.IGNORED, verdict.failure_reason)
    return verdict


def _normaliser() -> Callable[[str], str]:
    """Return what makes of a text the one that is kept: the option's expressions first, then our own."""
    given = str(options.get(OPTION, actor=_READER, default="") or "")
    own: list[tuple[re.Pattern[str], str]] = []
    for line in given.splitlines():
        expression, arrow, token = line.rpartition("=>")
        if not arrow or not expression.strip():
            continue
        try:
            own.append((re.compile(expression.strip()), token.strip()))
        except re.error as error:
            logger.warning("%s: %r is no regular expression: %s", OPTION, expression.strip(), error)

    def normalise(text: str) -> str:
        text = text[:LONGEST]
        for expression, token in own:
            text = expression.sub(lambda _found, token=token: token, text)
        return bounces.factorised(text)

    return normalise


def _storable(text: str) -> str:
    """Return a text without what PostgreSQL cannot keep, cut to what is looked at."""
    return text[:LONGEST].replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
