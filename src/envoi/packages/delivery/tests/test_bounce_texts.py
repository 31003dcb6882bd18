"""What servers say, and what it means: wordings of providers and programs (delivery.md §3.2)."""

import csv

import pytest

from envoi.packages.delivery.services.bounces import classify
from envoi.packages.delivery.services.bounces.rules import REASONS, shipped

NOTICE = """\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: bounces@example.org
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=utf-8

This is the mail system at host mx.example.net.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; someone@example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {text}

--b--
"""


def judged(text, status="5.0.0", action="failed"):
    verdict = classify(NOTICE.format(status=status, text=text, action=action).encode())
    (one,) = verdict.recipients
    assert one.address == "someone@example.com"
    return one.reason_code, one.error_type


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 20])
def test_a_wording_has_its_meaning(pytestconfig, code):
    with (pytestconfig.rootpath / "tests/data/bounces/texts.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    mine = [row for row in rows if row["reason_code"] == str(code)]
    assert len(mine) > 15
    wrong = [row["text"] for row in mine if judged(row["text"]) != (code, row["error_type"])]
    assert wrong == []


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ("5.1.1", (1, "hard")), ("4.1.1", (1, "hard")), ("5.1.10", (1, "hard")), ("5.1.6", (1, "hard")),
        ("5.1.2", (2, "soft")), ("5.4.4", (2, "soft")), ("5.2.1", (4, "hard")), ("5.2.2", (5, "soft")),
        ("4.2.2", (5, "soft")), ("5.1.8", (20, "soft")), ("5.2.3", (20, "soft")), ("5.3.4", (20, "soft")),
        ("5.6.7", (20, "soft")), ("5.7.1", (20, "soft")), ("5.7.999", (20, "soft")), ("4.4.1", (3, "soft")),
        ("4.4.7", (3, "soft")), ("5.4.6", (3, "soft")), ("5.3.0", (3, "soft")), ("5.9.9", (3, "soft")),
    ],
)  # fmt: skip
def test_a_status_speaks_where_the_wording_does_not(status, meaning):
    assert judged("nothing is said", status) == meaning


def test_wording_goes_before_the_status():
    assert judged("550 5.1.1 IP address blacklisted by recipient", "5.1.1") == (20, "soft")
    assert judged("552 5.1.1 Over quota", "5.1.1") == (5, "soft")
    assert judged("550 5.7.1 User unknown", "5.7.1") == (1, "hard")


def test_a_reply_code_is_the_last_word():
    assert judged("551 x") == (1, "hard")
    assert judged("552 x") == (5, "soft")
    assert judged("421 x") == (3, "soft")


def test_nothing_is_held_against_an_address_that_the_server_had_not_heard_yet():
    text = "host mx.example.com said: 550 unknown user (in reply to MAIL FROM command)"
    assert judged(text) == (20, "soft")
    assert judged(text.replace("MAIL FROM", "RCPT TO")) == (1, "hard")


def test_a_delay_never_costs_an_address():
    assert judged("450 4.1.1 User unknown", "4.1.1", action="delayed") == (3, "soft")
    assert judged("452 4.2.2 Mailbox full", "4.2.2", action="delayed") == (5, "soft")


def test_what_a_relay_quotes_counts_not_its_own_words():
    text = "5.1.0 - Unknown address error 550-'5.7.1 <x@example.org>... Access denied' (delivery attempts: 0)"
    assert judged(text) == (20, "soft")


def test_the_rules_are_sound():
    rules = shipped()
    assert rules.version >= 1
    each = [rule for kind in rules.by_kind.values() for rule in kind]
    assert {rule.reason for rule in each} <= set(REASONS)
    assert {rule.error_type for rule in each} <= {"hard", "soft", "ignored"}
    assert {rule.kind for rule in each} == {"text", "status", "vague", "hint", "reply", "end"}
    pieces = [piece for rule in each for text in rule.texts for piece in text]
    assert pieces
    assert all(piece == piece.lower() and piece.strip() for piece in pieces)
    hard = {rule.reason for rule in each if rule.error_type == "hard"}
    assert hard == {1, 4}
