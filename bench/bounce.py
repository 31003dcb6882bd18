"""Mails that come back: classified a second on one core, next to the standard library's parser alone."""

import email
import time
from email.policy import compat32
from pathlib import Path

from bench import frame

MAILS = Path(__file__).resolve().parents[1] / "tests/data/bounces/mail"


def lines(params: frame.Params) -> list[frame.Line]:
    """Measure on the labelled mails; both sides read the same bytes from memory."""
    mails = [path.read_bytes() for path in sorted(MAILS.iterdir())]
    rounds = 2 if params.quick else 10
    return [
        frame.against(
            "mails",
            "mails/s",
            lambda: _ours(mails, rounds),
            lambda: _parsed(mails, rounds),
            what="email.message_from_bytes (compat32) and get_payload(decode=True) of every part",
            params=params,
        )
    ]


def _ours(mails: list[bytes], rounds: int) -> float:
    from envoi.packages.delivery.services.bounces import classify

    classify(mails[0])  # the rules are read once in the life of a process
    started = time.process_time()
    for _round in range(rounds):
        for mail in mails:
            classify(mail)
    return rounds * len(mails) / (time.process_time() - started)


def _parsed(mails: list[bytes], rounds: int) -> float:
    started = time.process_time()
    for _round in range(rounds):
        for mail in mails:
            for part in email.message_from_bytes(mail, policy=compat32).walk():
                if not part.is_multipart():
                    part.get_payload(decode=True)
    return rounds * len(mails) / (time.process_time() - started)
