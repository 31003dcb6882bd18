"""What becomes of mail to an address of the sink: the same each time, since it hangs on the address alone.

The texts are those that providers answer with, so that qualification and quarantine have real work.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, fields
from enum import StrEnum


class Fate(StrEnum):
    """Kinds of addresses."""

    TAKEN = "taken"
    UNKNOWN = "unknown"
    """There is no such user."""
    DISABLED = "disabled"
    FULL = "full"
    """Over its quota, told by a temporary code; there is room again after a few attempts."""
    FULL_FOR_GOOD = "full_for_good"
    GREYLISTED = "greylisted"
    """The first attempt is put off."""
    BUSY = "busy"
    """The first two are."""
    SPAM = "spam"
    """The content is refused."""
    BOUNCES = "bounces"
    """Taken, and a delivery status notification comes back later."""
    AWAY = "away"
    """Taken, and an automatic reply comes back."""
    COMPLAINS = "complains"
    """Taken, and a complaint comes back by a feedback loop."""


@dataclass(frozen=True)
class Rates:
    """Parts of all addresses that have a fate, in thousandths; all others take their mail."""

    unknown: int = 20
    disabled: int = 5
    full: int = 6
    full_for_good: int = 4
    greylisted: int = 25
    busy: int = 15
    spam: int = 4
    bounces: int = 12
    away: int = 12
    complains: int = 2


_ATTEMPTS = 100_000
_WORDS: dict[str, dict[Fate, str]] = {
    "google": {
        Fate.UNKNOWN: (
            "550-5.1.1 The email account that you tried to reach does not exist. Please try\n"
            "550-5.1.1 double-checking the recipient's email address for typos or\n"
            "550-5.1.1 unnecessary spaces. For more information, go to\n"
            "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser {id}.142 - gsmtp"
        ),
        Fate.DISABLED: (
            "550-5.2.1 The email account that you tried to reach is inactive. For more\n"
            "550-5.2.1 information, go to\n"
            "550 5.2.1  https://support.google.com/mail/?p=DisabledUser {id}.77 - gsmtp"
        ),
        Fate.FULL: (
            "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n"
            "452-4.2.2 recipient to\n"
            "452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp {id}.60 - gsmtp"
        ),
        Fate.FULL_FOR_GOOD: (
            "552-5.2.2 The recipient's inbox is out of storage space and inactive. Please\n"
            "552-5.2.2 direct the recipient to\n"
            "552 5.2.2  https://support.google.com/mail/?p=OverQuotaPerm {id}.31 - gsmtp"
        ),
        Fate.BUSY: (
            "450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n"
            "450-4.2.1 prevents additional messages from being delivered. Please resend your\n"
            "450-4.2.1 message at a later time. For more information, please visit\n"
            "450 4.2.1  https://support.google.com/mail/?p=ReceivingRate {id}.58 - gsmtp"
        ),
        Fate.SPAM: (
            "550-5.7.1 [127.0.0.1] Our system has detected that this message is\n"
            "550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail,\n"
            "550-5.7.1 this message has been blocked. Please visit\n"
            "550 5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError {id}.12 - gsmtp"
        ),
    },
    "microsoft": {
        Fate.UNKNOWN: "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [{id}]",
        Fate.DISABLED: "550 5.2.1 Mailbox cannot be accessed [{id}.prod.protection.outlook.com]",
        Fate.FULL: "452 4.2.2 The recipient's mailbox is over quota and cannot accept new mail now. [{id}]",
        Fate.FULL_FOR_GOOD: "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException",
        Fate.BUSY: "451 4.7.500 Server busy. Please try again later from [127.0.0.1]. (S77719) [{id}]",
        Fate.SPAM: "550 5.7.1 Service unavailable, message content rejected as spam. (S3150) [{id}]",
    },
    "yahoo": {
        Fate.UNKNOWN: "552 1 Requested mail action aborted, mailbox not found",
        Fate.DISABLED: (
            "554 30 Sorry, your message to {address} cannot be delivered. This mailbox is disabled (554.30)."
        ),
        Fate.FULL: "452 4.2.2 Mailbox is over its quota ({address}), try again later",
        Fate.FULL_FOR_GOOD: "552 5.2.2 user is over quota ({address})",
        Fate.BUSY: (
            "421 4.7.0 [TSS04] Messages from 127.0.0.1 temporarily deferred due to unexpected volume or user "
            "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
        ),
        Fate.SPAM: "554 5.7.9 Message not accepted for policy reasons, see postmaster.yahooinc.com",
    },
    "orange": {
        Fate.UNKNOWN: (
            "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]"
        ),
        Fate.DISABLED: "550 5.2.1 Boite du destinataire inactive. Mailbox inactive. OFR_418 [418]",
        Fate.FULL: "452 4.2.2 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]",
        Fate.FULL_FOR_GOOD: "552 5.2.2 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]",
        Fate.BUSY: ("421 4.3.2 Service refuse. Veuillez essayer plus tard. Service refused. OFR_999 [999]"),
        Fate.SPAM: "550 5.7.1 Message rejete. Message rejected for spam or virus content. OFR_506 [506]",
    },
    "free": {
        Fate.UNKNOWN: "550 5.1.1 <{address}>: user unknown",
        Fate.DISABLED: "550 5.2.1 <{address}>: this account is closed",
        Fate.FULL: "452 4.2.2 <{address}>: quota exceeded (mailbox for user is full)",
        Fate.FULL_FOR_GOOD: "552 5.2.2 <{address}>: quota exceeded (mailbox for user is full)",
        Fate.BUSY: "451 4.7.1 too many errors from your ip (127.0.0.1), see http://postmaster.free.fr/",
        Fate.SPAM: "550 5.7.1 spam detected",
    },
    "postfix": {
        Fate.UNKNOWN: (
            "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"
        ),
        Fate.DISABLED: "554 5.2.1 <{address}>: Recipient address rejected: account disabled",
        Fate.FULL: "452 4.2.2 <{address}>: Recipient address rejected: Mailbox over quota",
        Fate.FULL_FOR_GOOD: "552 5.2.2 <{address}>: Recipient address rejected: Mailbox is full",
        Fate.BUSY: "450 4.3.2 <{address}>: Recipient address rejected: system is busy, try again later",
        Fate.SPAM: "554 5.7.1 Message rejected because of its content (score 9.3)",
    },
}
_GREYLISTED = (
    "451 4.7.1 <{address}>: Recipient address rejected: Greylisted, see https://greylist.example/{id}"
)
_VOICES = {
    "mail.example": "google", "gmail.example": "google", "inbox.example": "microsoft",
    "outlook.example": "microsoft", "yahoo.example": "yahoo", "post.example": "yahoo",
    "orange.example": "orange", "free.example": "free",
}  # fmt: skip


@dataclass
class Fates:
    """Answers for addresses. `attempts` are counted for each message, by its return address."""

    rates: Rates = field(default_factory=Rates)
    _attempts: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)

    def of(self, address: str) -> Fate:
        """Return the fate of an address."""
        place = _number(address.lower(), "fate") % 1000
        for each in fields(self.rates):
            share = int(getattr(self.rates, each.name))
            if place < share:
                return Fate(each.name)
            place -= share
        return Fate.TAKEN

    def reply(self, address: str, sender: str) -> str:
        """Return what RCPT is answered with, lines ended by \\n; "" when the address takes the mail."""
        fate = self.of(address)
        if fate in (Fate.UNKNOWN, Fate.DISABLED, Fate.FULL_FOR_GOOD):
            return words(fate, address)
        patience = {Fate.GREYLISTED: 1, Fate.BUSY: 2, Fate.FULL: 3}.get(fate, 0)
        if not patience:
            return ""
        key = (address.lower(), sender.lower())
        tried = self._attempts[key] = self._attempts.pop(key, 0) + 1
        while len(self._attempts) > _ATTEMPTS:
            self._attempts.popitem(last=False)
        return words(fate, address) if tried <= patience else ""


def words(fate: Fate, address: str) -> str:
    """Return what the provider of an address says of a fate."""
    voice = _WORDS[_VOICES.get(address.rpartition("@")[2].lower(), "postfix")]
    text = _GREYLISTED if fate is Fate.GREYLISTED else voice[fate]
    return text.format(address=address, id=f"{_number(address, 'id'):016x}"[:14])


def delay(address: str) -> float:
    """Return after how many seconds something comes back from an address that has taken its mail: 2 to 8."""
    return 2.0 + _number(address.lower(), "delay") % 600 / 100


def _number(address: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose} {address}".encode()).digest()[:8], "big")
