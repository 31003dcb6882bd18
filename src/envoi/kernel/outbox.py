"""The outbox: effects outside the database, wanted in a transaction and brought about after it (architecture
§3.3).

Delivered at least once: whoever dies between the effect and the note of it lets it happen again, with the
same key, by which the receiver can tell. Each kind of item has one handler. An item whose handler is not
ready (no mail relay is set, say) waits, is not counted as an attempt, and stays visible.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Min

from envoi.kernel import clock
from envoi.kernel.errors import Broken
from envoi.kernel.models import OutboxItem
from envoi.kernel.models.outbox import OutboxState

ATTEMPTS = 12
FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=6)
LONGEST_ERROR = 2000


class Permanent(Exception):  # noqa: N818 it names a fate, as Retry does
    """The effect can never be brought about; no further attempt is made."""


class Unreachable(Exception):  # noqa: N818
    """Nothing of this kind can be delivered just now: the other items wait, and none fails because of it."""


@dataclass(frozen=True)
class Handler:
    """How items of one kind are delivered.

    `deliver` brings the effect about, raising Permanent, Unreachable, or anything else to be called again
    later; it may return a remark to keep. `ready` tells whether it can be tried at all; it is asked once for
    each call of `deliver`.
    """

    kind: str
    deliver: Callable[[OutboxItem], str | None]
    ready: Callable[[], bool]


_handlers: dict[str, Handler] = {}


@dataclass(frozen=True)
class Delivered:
    """What one call of `deliver` did."""

    done: int = 0
    retried: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Standing:
    """How the items of one kind stand."""

    kind: str
    waiting: int
    failed: int
    oldest: datetime | None
    """When the longest waiting item was posted."""
    ready: bool


def register(handler: Handler) -> None:
    """Make a kind known. Raises Broken when another handler has it."""
    if _handlers.setdefault(handler.kind, handler).deliver is not handler.deliver:
        raise Broken(f"Two handlers want the outbox items of kind {handler.kind!r}.")


def post(kind: str, key: str, payload: dict[str, Any], *, due_at: datetime | None = None) -> OutboxItem:
    """Write down an effect in the caller's transaction. A key that was posted before is not posted again."""
    if kind not in _handlers:
        raise Broken(
            f"No handler for outbox items of kind {kind!r}; known are {', '.join(sorted(_handlers))}."
        )
    now = clock.now()
    item, _ = OutboxItem.objects.get_or_create(
        key=key,
        defaults={"kind": kind, "payload": payload, "due_at": due_at or now, "created_at": now},
    )
    return item


def deliver(limit: int = 100) -> Delivered:
    """Deliver what is due, oldest first, at most `limit` items; each in a transaction of its own.

    Several processes may do so at once: an item that one works on is passed over by the others. Must be
    called outside of a transaction.
    """
    ready = [handler.kind for handler in _handlers.values() if handler.ready()]
    done = retried = failed = 0
    for _ in range(limit if ready else 0):
        with transaction.atomic(durable=True):
            item = (
                OutboxItem.objects.select_for_update(skip_locked=True)
                .filter(state=OutboxState.WAITING, due_at__lte=clock.now(), kind__in=ready)
                .order_by("due_at", "outbox_id")
                .first()
            )
            if item is None:
                break
            if not _deliver(item):
                ready.remove(item.kind)
            state = OutboxState(item.state)
            done += state is OutboxState.DONE
            failed += state is OutboxState.FAILED
            retried += state is OutboxState.WAITING
    return Delivered(done, retried, failed)


def standing() -> list[Standing]:
    """Return how the items of each kind stand, kinds without items left out."""
    rows = (
        OutboxItem.objects.exclude(state=OutboxState.DONE)
        .values("kind", "state")
        .annotate(count=Count("*"), oldest=Min("created_at"))
    )
    found: dict[str, dict[int, tuple[int, datetime]]] = {}
    for row in rows:
        found.setdefault(row["kind"], {})[row["state"]] = (row["count"], row["oldest"])
    none = (0, None)
    return [
        Standing(
            kind=kind,
            waiting=states.get(OutboxState.WAITING, none)[0],
            failed=states.get(OutboxState.FAILED, none)[0],
            oldest=states.get(OutboxState.WAITING, none)[1],
            ready=kind in _handlers and _handlers[kind].ready(),
        )
        for kind, states in sorted(found.items())
    ]


def again(item: OutboxItem) -> None:
    """Let a failed item be tried from the start."""
    OutboxItem.objects.filter(pk=item.pk, state=OutboxState.FAILED).update(
        state=OutboxState.WAITING, attempts=0, due_at=clock.now()
    )


def _deliver(item: OutboxItem) -> bool:
    """Deliver one item and note what came of it; return False when its kind cannot be reached now."""
    item.attempts += 1
    reached = True
    try:
        # A savepoint, so that a handler which fails in the database leaves the note of it possible.
        with transaction.atomic():
            remark = _handlers[item.kind].deliver(item)
    except Permanent as error:
        item.state, item.error = OutboxState.FAILED, _brief(error)
    except Unreachable as error:
        item.error, item.due_at, reached = _brief(error), clock.now() + delay(item.attempts), False
    except Exception as error:  # noqa: BLE001 whatever it was, the item must not be lost
        item.error = _brief(error)
        if item.attempts >= ATTEMPTS:
            item.state = OutboxState.FAILED
        else:
            item.due_at = clock.now() + delay(item.attempts)
    else:
        item.state, item.done_at, item.error = OutboxState.DONE, clock.now(), remark or ""
    item.save(update_fields=("attempts", "state", "error", "due_at", "done_at"))
    return reached


def delay(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts: a minute, then twice as long each time, six hours at
    most.
    """
    return min(FIRST_DELAY * 2 ** min(attempts - 1, 10), LONGEST_DELAY)


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
