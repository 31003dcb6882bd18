"""What a message is known by when it comes back: its Message-ID and its return address (VERP).

Both are functions of the broad log's number and its run, so that nothing about them is stored. They bear a
tag made with the instance's key: nobody else can write to us in the name of a message and bring its address
into quarantine. They are in lower case, since some servers change it.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from envoi.packages.delivery.services.redirection import macs

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = [one + other for one in _DIGITS for other in _DIGITS]
_TAG: Final = 10  # letters of four bits each; a forger must try them on us by mail
_FORM = re.compile(r"([bu])-(_?[0-9a-z]{1,13})-(_?[0-9a-z]{1,13})-([0-9a-f]{10})@([^@\s]+)", re.I)


class Log(NamedTuple):
    """A broad log: its run and its number (negative for seeds and external files)."""

    run: int
    id: int


@dataclass(frozen=True, slots=True)
class Identity:
    """How an instance names what it sends.

    `domain`: of return addresses, whose mail comes to `inmail`; `key`: secret bytes of the instance.
    """

    domain: str
    key: bytes = field(repr=False)
    _mac: Callable[[bytes], bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_mac", macs.by(self.key))

    def name(self, run: int, id: int) -> str:
        """Return what stands before the @ of both; at most 42 letters."""
        return self._name("b", run, id)

    def return_address(self, run: int, id: int) -> str:
        """Return the envelope's sender of a message."""
        return f"{self.name(run, id)}@{self.domain}"

    def unsubscribe_address(self, run: int, id: int) -> str:
        """Return the address by which a mail unsubscribes who got the message (RFC 2369)."""
        return f"{self._name('u', run, id)}@{self.domain}"

    def message_id(self, run: int, id: int) -> str:
        """Return the Message-ID of a message, without angle brackets."""
        return f"{self.name(run, id)}@{self.domain}"

    def read(self, address: str) -> Log | None:
        """Return the log that a return address or Message-ID of ours stands for; None for any other text.

        It is what `bounces.by_return_address` and `bounces.by_message_id` ask for. The domain is not looked
        at: the tag tells ours, and addresses are rewritten on their way.
        """
        return self._read("b", address)

    def unsubscribes(self, address: str) -> Log | None:
        """Return the log whose reader wants no more, by an address of `unsubscribe_address`; else None."""
        return self._read("u", address)

    def _name(self, kind: str, run: int, id: int) -> str:
        text = f"{kind}-{_in_36(run)}-{_in_36(id)}"
        return f"{text}-{self._mac(text.encode('ascii')).hex()[:_TAG]}"

    def _read(self, kind: str, address: str) -> Log | None:
        found = _FORM.fullmatch(address.strip("<> "))
        if found is None or found[1].lower() != kind:
            return None
        run, id, tag = (part.lower() for part in found.groups()[1:4])
        if not hmac.compare_digest(tag, self._tag(f"{kind}-{run}-{id}")):
            return None
        return Log(_from_36(run), _from_36(id))

    def _tag(self, text: str) -> str:
        return self._mac(text.encode("ascii")).hex()[:_TAG]


@lru_cache(maxsize=1024)
def _in_36(number: int) -> str:
    rest, digits = abs(number), ""
    while rest:
        # Two digits in one step.
        rest, pair = divmod(rest, 1296)
        digits = _PAIRS[pair] + digits
    return ("_" if number < 0 else "") + (digits.lstrip("0") or "0")


def _from_36(text: str) -> int:
    return -int(text[1:], 36) if text.startswith("_") else int(text, 36)
