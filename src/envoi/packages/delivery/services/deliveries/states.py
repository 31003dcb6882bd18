"""States of a delivery and the moves between them (delivery.md §2.3)."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.errors import Conflict
from envoi.kernel.registry import translate
from envoi.packages.delivery.models import Delivery, DeliveryState, Kind

S = DeliveryState
MOVES: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    S.EDITING: frozenset({S.TARGET_PENDING}),
    S.TARGET_PENDING: frozenset({S.TARGETING, S.EDITING, S.FAILED}),
    S.TARGETING: frozenset({S.TARGET_READY, S.FAILED}),
    S.TARGET_READY: frozenset({S.PREPARATION_PENDING, S.EDITING}),
    S.PREPARATION_PENDING: frozenset({S.PREPARING, S.FAILED}),
    S.PREPARING: frozenset({S.EXTRACTION, S.READY, S.FAILED}),
    S.EXTRACTION: frozenset({S.READY, S.EDITING, S.FAILED, S.FINISHED}),
    S.READY: frozenset({S.START_PENDING, S.EDITING}),
    S.START_PENDING: frozenset({S.IN_PROGRESS, S.PAUSE_ASKED, S.STOP_ASKED}),
    S.IN_PROGRESS: frozenset({S.RETRY_PENDING, S.PAUSE_ASKED, S.STOP_ASKED, S.FINISHED}),
    S.RETRY_PENDING: frozenset({S.RETRYING, S.PAUSE_ASKED, S.STOP_ASKED}),
    S.RETRYING: frozenset({S.RETRY_PENDING, S.PAUSE_ASKED, S.STOP_ASKED, S.FINISHED}),
    S.PAUSE_ASKED: frozenset({S.PAUSING, S.PAUSED}),
    S.PAUSING: frozenset({S.PAUSED}),
    S.PAUSED: frozenset({S.START_PENDING, S.STOP_ASKED}),
    S.STOP_ASKED: frozenset({S.STOPPING, S.STOPPED}),
    S.STOPPING: frozenset({S.STOPPED}),
    S.STOPPED: frozenset(),
    S.FAILED: frozenset({S.EDITING}),
    S.FINISHED: frozenset(),
    S.DELETED: frozenset(),
}
"""State -> those that may follow. The product documents few of them; an operator's pause and stop are
possible wherever something is on its way.
"""
ANALYSED = frozenset({S.TARGET_PENDING, S.TARGETING, S.PREPARATION_PENDING, S.PREPARING})
"""An analysis is going on. What stays at *target ready* is so because only its target was asked for."""
EDITABLE = frozenset({S.EDITING, S.TARGET_READY, S.EXTRACTION, S.READY, S.FAILED})
"""May be changed; after a change a new analysis is needed."""
RUNNING = frozenset(
    {S.START_PENDING, S.IN_PROGRESS, S.RETRY_PENDING, S.RETRYING, S.PAUSE_ASKED, S.PAUSING, S.PAUSED}
)
"""Must be stopped before it is deleted."""


def has_begun(delivery: Delivery) -> bool:
    """Return whether a delivery has failed after it had begun to go out: it is not analysed again, since this
    would forget whom it has reached. Those who are left get a delivery of their own (`resend`).
    """
    return (
        delivery.status is S.FAILED
        and delivery.broad_start is not None
        and Kind(delivery.kind) is not Kind.CONTINUOUS
    )


def require_unbegun(delivery: Delivery) -> None:
    """Raise Conflict for a delivery that `has_begun`."""
    if has_begun(delivery):
        raise Conflict(
            _("%(label)s has failed after a part of it had gone out: send to those who are left instead.")
            % {"label": delivery.label}
        )


def spoken(label: str) -> str:
    """Return the label of a value of an enumeration in the operator's language, as within a sentence."""
    text = translate(label[:1].upper() + label[1:])
    return text[:1].lower() + text[1:]


def move(delivery: Delivery, to: DeliveryState, **values: Any) -> None:
    """Put a delivery into another state, with further columns, in the caller's transaction.

    Raises Conflict when that may not follow its state, or when it is in another state by now.
    """
    before = delivery.status
    if to not in MOVES[before]:
        raise Conflict(
            _("%(label)s is %(state)s: it cannot become %(wanted)s.")
            % {"label": delivery.label, "state": spoken(before.label), "wanted": spoken(to.label)}
        )
    touched = Delivery.objects.filter(pk=delivery.pk, state=before, is_model=False).update(
        state=to, modified_at=clock.now(), **values
    )
    if not touched:
        raise Conflict(_("%(label)s is in another state by now: look again.") % {"label": delivery.label})
    delivery.refresh_from_db()
