"""What goes to the wire, and what became of it (architecture §3.6)."""

from enum import StrEnum
from typing import NamedTuple

from envoi.packages.delivery.services.sending.replies import Reply


class State(StrEnum):
    """What became of a message; the value is its letter in the journal."""

    SENT = "s"
    """The server took it: 2xx to the final dot."""
    FAILED = "f"
    """Refused for good: 5xx to MAIL, RCPT, DATA or the dot, or it cannot be sent as it is."""
    DEFERRED = "d"
    """Refused for now: 4xx. Counts as an attempt."""
    UNSENT = "u"
    """It did not come to a reply about this message, and its final dot was not written: may be sent again
    at any time and counts as no attempt."""
    IN_DOUBT = "?"
    """Its final dot was written, and no reply came: the server may have it or not."""


class Stage(StrEnum):
    """To what the reply was that ended a message."""

    ROUTE = "route"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class Message(NamedTuple):
    """One message to one address.

    `id`: number of the broad log, `run`: of its run; `attempt` counts from 1; `repeat`: sent again though the
    server may have it already. `sender` and `recipient` are envelope addresses, domains in ASCII. `data` has
    CRLF lines and is not dot-stuffed. `verify`: the server is only asked whether it takes the recipient.
    `dotted`: who made it knows that its addresses are ones and all its lines whole, and whether one begins
    with a dot; None: it has to be looked through.
    """

    id: int
    run: int
    sender: str
    recipient: str
    data: bytes
    attempt: int = 1
    repeat: bool = False
    verify: bool = False
    dotted: bool | None = None


class Outcome(NamedTuple):
    """What became of a message. `reply.code` is 0 where we decided ourselves, without the server."""

    id: int
    run: int
    attempt: int
    repeat: bool
    state: State
    stage: Stage
    reply: Reply


def outcome(message: Message, state: State, stage: Stage, reply: Reply) -> Outcome:
    """Return the outcome of a message."""
    return Outcome(message.id, message.run, message.attempt, message.repeat, state, stage, reply)


def refused(message: Message, stage: Stage, reply: Reply) -> Outcome:
    """Return the outcome of a message that was refused: for good with 5xx, for now with anything else."""
    return outcome(message, State.FAILED if reply.lasting else State.DEFERRED, stage, reply)
