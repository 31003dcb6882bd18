"""A row of a part becomes an item for the sender, and an item becomes a message: rendered, framed, signed."""

from dataclasses import dataclass

from envoi.kernel import clock
from envoi.packages.delivery.services.content import Content, Row
from envoi.packages.delivery.services.mta.runs import Run
from envoi.packages.delivery.services.routing import Routing
from envoi.packages.delivery.services.sending.mime import Head
from envoi.packages.delivery.services.sending.outcomes import Message
from envoi.packages.delivery.services.sending.sender import Item
from envoi.packages.delivery.services.sending.throttle import Source

REPEAT_HEADER = "X-Envoi-Repeat"
"""Bears the number of the attempt, in a message that may have arrived already."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all messages of a run share."""

    run: Run
    content: Content
    sources: tuple[Source, ...]
    routing: Routing


def item(job: Job, row: Row, *, attempts: int = 0, repeat: bool = False) -> Item:
    """Return a message to be; `attempts` were made before."""
    return Item(
        row.id,
        job.run.id,
        in_ascii(row.address),
        (job, row),
        attempts + 1,
        repeat,
        job.sources,
    )


def compose(found: Item) -> Message:
    """Return a message as it goes to the wire. Raises Refused for one that cannot be made."""
    content: tuple[Job, Row] = found.content
    job, row = content
    rendered = job.content.sendable(row)
    # One name for both, since its tag is the dear part of it.
    named = job.routing.identity.message_id(found.run, found.id)
    now = clock.now()
    extra: list[tuple[str, str]] = []
    if found.repeat:
        extra.append((REPEAT_HEADER, str(found.attempt)))
    head = Head(
        message_id=named,
        date=now,
        from_name=rendered.from_name,
        from_address=in_ascii(rendered.from_address),
        to_name=rendered.to_name,
        to_address=found.recipient,
        subject=rendered.subject,
        reply_to=in_ascii(rendered.reply_to),
        unsubscribe=rendered.unsubscribe,
        unsubscribe_mail=rendered.unsubscribe_mail,
        extra=extra,
    )
    made = job.content.skeleton(rendered).make(
        head,
        text=rendered.text,
        html=rendered.html,
        keys=job.routing.keys(head.from_address),
        at=int(now.timestamp()),
    )
    return Message(
        found.id,
        found.run,
        named,
        found.recipient,
        made.data,
        found.attempt,
        found.repeat,
        job.run.sending.verify,
        made.dotted,
    )


def in_ascii(address: str) -> str:
    """Return an address with its domain in ASCII (IDNA 2003, which Python has); as it is when it has none."""
    if address.isascii():
        return address
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return address
