"""Mails that people are to read go on to an address of theirs, through the outbox (delivery.md §3.5)."""

import logging

from envoi.kernel import mail, options
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import InboundKind, InboundOutcome
from envoi.packages.delivery.services.inbound.letter import Letter

OPTION = "NmsInmail_AllowlistEmails"
_FOR_PEOPLE = (InboundKind.REPLY, InboundKind.OTHER, InboundKind.UNREADABLE)

logger = logging.getLogger(__name__)


def forward(letter: Letter, outcome: int, errors_to: str, forward_to: str) -> bool:
    """Post a mail on, in the caller's transaction; tell whether it goes.

    `forward_to` gets every mail, `errors_to` replies and what could not be read or be brought to a message. A
    mail of ours is not sent round in a circle. The subject says where it comes from, the text what it says.
    """
    to = forward_to or (errors_to if _wanted(letter, outcome) else "")
    if not to or letter.sender.lower() == mail.sender().lower() or not _allowed(to):
        return False
    text = f"From: {letter.sender}\nSubject: {letter.subject}\n\n{letter.excerpt}\n"
    subject = " ".join(f"Fwd: {letter.subject}".split())[:200]
    try:
        mail.system_mail(to, subject, text, f"inbound:{letter.digest}")
    except Invalid as refusal:
        logger.warning("an inbound mail is not forwarded: %s", refusal)
        return False
    return True


def _wanted(letter: Letter, outcome: int) -> bool:
    return letter.kind in _FOR_PEOPLE or outcome == int(InboundOutcome.UNKNOWN)


def _allowed(to: str) -> bool:
    """Tell whether the instance lets mails go to an address."""
    given = str(options.get(OPTION, actor=internal(), default="*") or "").lower()
    allowed = {each.strip() for each in given.replace("\n", ",").split(",") if each.strip()}
    return "*" in allowed or to.lower() in allowed or f"@{to.rpartition('@')[2].lower()}" in allowed
