"""Messages that confirm a subscription or the end of one (delivery.md §1.2).

The service of a subscription names the template. One outbox item stands for all people of one statement; the
lines of the history that carry its `batch_id` say who they are. What sends messages makes itself known by
`send_with` (services/landing/confirmation_mails.py); without it the items wait, and are seen waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from envoi.kernel import outbox
from envoi.kernel.models import OutboxItem
from envoi.packages.delivery.models import Confirmation, Service, SubAction

KIND = "nms.confirmation"


@dataclass(frozen=True)
class Batch:
    """People to be told: lines of nms_sub_histo with this `batch_id` and `confirmation` "to send"."""

    batch_id: int
    service_id: int
    template_id: int
    action: SubAction


_sender: Callable[[Batch], str | None] | None = None


def send_with(function: Callable[[Batch], str | None]) -> Callable[[Batch], str | None]:
    """Let `function` send confirmations; a decorator. It is called at least once for each batch, outside of
    the transaction that asked for it, and may return a remark.
    """
    global _sender
    _sender = function
    return function


def template_of(service: Service, action: SubAction) -> int | None:
    """Return the template of the message, None when nobody is told."""
    if action is SubAction.SUBSCRIBE:
        return service.subscription_template_id
    return service.unsubscription_template_id


def ask(service: Service, action: SubAction, batch_id: int) -> None:
    """Ask, in the caller's transaction, that the people of a batch be told."""
    payload = {
        "batch": batch_id,
        "service": service.service_id,
        "template": template_of(service, action),
        "action": int(action),
    }
    outbox.post(KIND, f"{KIND}:{batch_id}", payload)


def _deliver(item: OutboxItem) -> str | None:
    if _sender is None:
        raise outbox.Unreachable("nothing sends confirmations yet")
    given = item.payload
    batch = Batch(given["batch"], given["service"], given["template"], SubAction(given["action"]))
    remark = _sender(batch)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE nms_sub_histo SET confirmation = %s WHERE batch_id = %s AND confirmation = %s",
            [Confirmation.SENT, batch.batch_id, Confirmation.ASKED],
        )
    return remark


outbox.register(outbox.Handler(KIND, _deliver, lambda: _sender is not None))
