"""A file is handed over to its provider once: by an item of the outbox whose key is the analysis.

What the provider gets is the file whose digest was written down, under a name that stays the same, so that a
repetition after a crash replaces it by itself. Its messages are sent when it is there.
"""

import socket
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from envoi.engine import background
from envoi.kernel import clock, folders, outbox
from envoi.kernel.errors import Conflict
from envoi.kernel.folders import Access
from envoi.kernel.models import OutboxItem
from envoi.kernel.models.outbox import OutboxState
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor, Right, internal
from envoi.packages.delivery.models import (
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryPart,
    DeliveryRun,
    DeliveryState,
    Flag,
    MessageStatus,
)
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.deliveries import job_log, states
from envoi.packages.delivery.services.extractions import making, provider
from envoi.packages.delivery.services.extractions.definition import read

JOB = "envoi.handover"
KIND = "delivery.extraction"
S = DeliveryState
_WANTED = frozenset({S.IN_PROGRESS, S.PAUSE_ASKED, S.PAUSING, S.STOP_ASKED, S.STOPPING})
"""States in which a file that has left is told: what the provider has cannot be called back."""


def key(run_id: int) -> str:
    """Return the key of the outbox item of an analysis."""
    return f"extraction:{run_id}"


def item_of(run_id: int | None) -> OutboxItem | None:
    """Return the item by which the file of an analysis is handed over, if it is on its way."""
    return OutboxItem.objects.filter(key=key(run_id)).first() if run_id else None


def hand(delivery_id: int) -> None:
    """Do what is next for an external delivery that was started, paused or stopped, in a transaction of its
    own: its file is put into the outbox, or taken out again.
    """
    with transaction.atomic():
        delivery = (
            Delivery.objects.select_for_update(of=("self",))
            .select_related("mapping")
            .filter(pk=delivery_id, delivery_mode=DeliveryMode.EXTERNAL)
            .first()
        )
        run = DeliveryRun.objects.filter(pk=delivery.run_id).first() if delivery else None
        if delivery is None or run is None:
            return
        match delivery.status:
            case S.START_PENDING:
                if delivery.contact_date is None or delivery.contact_date <= clock.now():
                    states.move(delivery, S.IN_PROGRESS, broad_start=delivery.broad_start or clock.now())
                    outbox.post(KIND, key(run.pk), {"run": run.pk})
            case S.PAUSE_ASKED | S.PAUSING:
                if _take_back(run):
                    states.move(delivery, S.PAUSED)
            case S.STOP_ASKED | S.STOPPING:
                if _take_back(run):
                    _settle(run, MessageStatus.CANCELLED)
                    states.move(delivery, S.STOPPED, broad_end=clock.now())
            case _:
                return


def again(delivery: Delivery, *, actor: Actor) -> None:
    """Try again to hand over a file that could not be. Raises NotAllowed, Conflict when none waits for
    that.
    """
    actor.require(Right.START_DELIVERIES, to=_("start deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    item = item_of(delivery.run_id)
    if item is None or OutboxState(item.state) is OutboxState.DONE:
        raise Conflict(_("No file of %(label)s waits to be handed over.") % {"label": delivery.label})
    if OutboxState(item.state) is OutboxState.FAILED:
        outbox.again(item)
    else:
        OutboxItem.objects.filter(pk=item.pk, state=OutboxState.WAITING).update(due_at=clock.now())


def _deliver(item: OutboxItem) -> str | None:
    run = DeliveryRun.objects.select_related("delivery__mapping").filter(pk=item.payload.get("run")).first()
    file = making.made(run)
    if run is None or file is None or run.delivery.status not in _WANTED:
        return "not wanted any more"
    if file.host != socket.gethostname():
        raise outbox.Unreachable(f"the file lies on the host {file.host}")
    path = making.path_of(run, file)
    _check(path, file)
    delivery = run.delivery
    channel = Channel(delivery.message_type)
    to = provider.of(read(delivery.extraction, channel=channel), channel, actor=internal())
    place = provider.give(to, path)
    now = clock.now()
    sent = _settle(run, MessageStatus.SENT)
    counts = {**run.counts, making.FILE: {**vars(file), "handed_at": now.isoformat()}}
    DeliveryRun.objects.filter(pk=run.pk).update(counts=counts)
    Delivery.objects.filter(pk=delivery.pk, state__in=_WANTED).update(
        state=S.FINISHED,
        broad_end=now,
        modified_at=now,
        processed=F("processed") + sent,
        success=F("success") + sent,
    )
    job_log.write(delivery, "handed_over", actor=internal(), run=run, file=place)
    return place


def _check(path: Path, file: making.Made) -> None:
    if not path.is_file() or making.digest(path) != file.digest:
        raise outbox.Permanent(
            _("The file %(name)s is not there any more as it was made: analyse the delivery again.")
            % {"name": file.name}
        )


def _settle(run: DeliveryRun, status: MessageStatus) -> int:
    """Give the pending messages of a run their outcome; returns how many there were, without seeds."""
    log = log_tables.partition("broad_log", run.storage, run.pk)
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH settled AS (UPDATE {quoted(log)} SET status = %s, event_date = %s, modified_at = %s
                  WHERE run_id = %s AND status = %s RETURNING flags)
                SELECT count(*) FROM settled WHERE flags & {int(Flag.SEED)} = 0""",  # noqa: S608 quoted
            [int(status), now, now, run.pk, int(MessageStatus.PENDING)],
        )
        row = cursor.fetchone()
    DeliveryPart.objects.filter(run=run).delete()
    return int(row[0]) if row else 0


def _take_back(run: DeliveryRun) -> bool:
    """Take the file of a run out of the outbox; False when it is being handed over at this moment, or was."""
    with connection.cursor() as cursor:
        cursor.execute(
            """DELETE FROM xtk_outbox WHERE outbox_id IN (
                 SELECT outbox_id FROM xtk_outbox WHERE key = %s FOR UPDATE SKIP LOCKED)""",
            [key(run.pk)],
        )
        return cursor.rowcount == 1 or item_of(run.pk) is None


@background.work(JOB)
def _in_worker(delivery_id: int) -> None:
    hand(delivery_id)


@background.lost.answer
def started() -> list[tuple[str, int]]:
    """Return the external deliveries for which something is to be done."""
    due = Q(contact_date=None) | Q(contact_date__lte=clock.now())
    asked = Q(state__in=(S.PAUSE_ASKED, S.PAUSING, S.STOP_ASKED, S.STOPPING))
    found: Any = Delivery.objects.filter(
        Q(state=S.START_PENDING) & due | asked, delivery_mode=DeliveryMode.EXTERNAL, is_model=False
    )
    return [(JOB, number) for number in found.values_list("pk", flat=True)]


outbox.register(outbox.Handler(KIND, _deliver, lambda: True))
