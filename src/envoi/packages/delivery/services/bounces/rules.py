"""Qualification rules: what a text, a status or a reply code says about an address (delivery.md §3.3).

The rules are data, `data/rules.json`, with a version. They are read from the top and the first that fits
decides. Wording comes before codes, since servers give codes freely (5.7.1 says everything and nothing), and
what is the sender's fault stands before what is the recipient's: an address that is good must not be lost.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

HARD: Final = "hard"
SOFT: Final = "soft"
IGNORED: Final = "ignored"

USER_UNKNOWN, INVALID_DOMAIN, UNREACHABLE, ACCOUNT_DISABLED, MAILBOX_FULL, REFUSED = 1, 2, 3, 4, 5, 20
REASONS: Final = {
    USER_UNKNOWN: "User unknown",
    INVALID_DOMAIN: "Invalid domain",
    UNREACHABLE: "Unreachable",
    ACCOUNT_DISABLED: "Account disabled",
    MAILBOX_FULL: "Mailbox full",
    REFUSED: "Refused",
}
"""Code -> name of the reasons that a mail can state (delivery.md §3.2)."""

_GAP = 50
_BEGINNING = 3
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `kind`: text, hint, status, reply or end; `reason` is a code of §3.2, None for no failure."""

    name: str
    error_type: str
    reason: int | None
    kind: str = "end"
    texts: tuple[tuple[str, ...], ...] = ()
    codes: frozenset[str] = frozenset()


ABOUT_ADDRESS: Final = (USER_UNKNOWN, INVALID_DOMAIN, ACCOUNT_DISABLED, MAILBOX_FULL)
"""Reasons that a server can only have once it has heard the address."""

BEFORE_ADDRESS = Rule("Refused_sender", SOFT, REFUSED)
"""For one of them that was given earlier, in answer to the connection, HELO or MAIL: it means the sender."""
REFUSED_CONNECTION = Rule("Refused_connection", SOFT, REFUSED)
"""For a refusal of the connection that tells no reason."""
AUTO_REPLIES = Rule("Auto_replies", IGNORED, UNREACHABLE)
FEEDBACK_LOOP = Rule("Feedback_loop", HARD, REFUSED)
UNSUBSCRIPTION = Rule("Unsubscription", HARD, REFUSED)
OTHER_RESPONSES = Rule("Other_responses", IGNORED, UNREACHABLE)
NO_FAILURE = Rule("No_failure", IGNORED, None)


@dataclass(frozen=True, slots=True)
class Rules:
    """A version of the rules, by kind and in order.

    `wordings`: kind -> beginning of a word -> the wordings that begin so, each with the place of its rule;
    under "" those that begin with no Latin letter. A mail has few words, and the rules many wordings.
    """

    version: int
    by_kind: dict[str, tuple[Rule, ...]]
    wordings: dict[str, dict[str, list[tuple[int, tuple[str, ...]]]]]

    def by_text(self, plain: str, kind: str = "text") -> Rule | None:
        """Return the first rule whose wording is in a text that comes from `normalise.plain`."""
        wordings = self.wordings.get(kind, {})
        found = len(self.by_kind.get(kind, ()))
        for beginning in {"", *(word[:_BEGINNING] for word in _WORD.findall(plain))}:
            for place, pieces in wordings.get(beginning, ()):
                if place < found and pieces[0] in plain and _in_turn(pieces, plain):
                    found = place
        return self.by_kind[kind][found] if wordings and found < len(self.by_kind[kind]) else None

    def by_code(self, code: str, kind: str) -> Rule | None:
        """Return the first rule for an enhanced status (kind `status`) or a reply code (kind `reply`)."""
        family = code.rpartition(".")[0] + ".x"
        for rule in self.by_kind.get(kind, ()):
            if code in rule.codes or family in rule.codes:
                return rule
        return None

    def last(self) -> Rule:
        """Return the rule for a failure that says nothing more."""
        return self.by_kind["end"][0]


@cache
def shipped() -> Rules:
    """Return the rules that come with this version of the product."""
    return read(json.loads(resources.files(str(__package__)).joinpath("data/rules.json").read_text("utf-8")))


def read(document: dict[str, Any]) -> Rules:
    """Build rules from a document of the form of `data/rules.json`. Raises KeyError where it has another."""
    by_kind: dict[str, list[Rule]] = {}
    for each in document["rules"]:
        texts = tuple(tuple(text.replace("'", "").split(" … ")) for text in each.get("texts", ()))
        rule = Rule(
            each["id"], each["type"], each["reason"], each["kind"], texts, frozenset(each.get("codes", ()))
        )
        by_kind.setdefault(rule.kind, []).append(rule)
    wordings = {kind: _by_beginning(rules) for kind, rules in by_kind.items()}
    return Rules(document["version"], {kind: tuple(rules) for kind, rules in by_kind.items()}, wordings)


def _by_beginning(rules: list[Rule]) -> dict[str, list[tuple[int, tuple[str, ...]]]]:
    sorted_in: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for place, rule in enumerate(rules):
        for pieces in rule.texts:
            word = _WORD.match(pieces[0])
            sorted_in.setdefault(word[0][:_BEGINNING] if word else "", []).append((place, pieces))
    return sorted_in


def _in_turn(pieces: tuple[str, ...], plain: str) -> bool:
    """Tell whether the pieces follow each other with little between them, each at the start of a word."""
    head, *rest = pieces
    start = plain.find(head)
    while start >= 0:
        at = start + len(head)
        found = _starts_word(plain, start, head)
        for piece in rest if found else ():
            next_at = plain.find(piece, at, at + _GAP + len(piece))
            if next_at < 0 or not _starts_word(plain, next_at, piece):
                found = False
                break
            at = next_at + len(piece)
        if found:
            return True
        start = plain.find(head, start + 1)
    return False


def _starts_word(plain: str, at: int, piece: str) -> bool:
    return not (
        piece[0].isascii() and piece[0].isalpha() and plain[at - 1].isascii() and plain[at - 1].isalpha()
    )
