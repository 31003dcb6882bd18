"""Messages held because nobody knows whether they arrived: taken as sent, or sent again (ADR 0022)."""

from typing import Literal

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict
from envoi.kernel.folders import Access
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Delivery, DeliveryRun, Flag, MessageStatus
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.deliveries import job_log, records

Decision = Literal["sent", "repeat"]
_HELD, _SENDS_AGAIN = int(Flag.HELD), int(Flag.REPEAT)


def decide(delivery: Delivery, decision: Decision, *, actor: Actor) -> int:
    """Decide about all messages of a delivery that are held in doubt; return how many.

    *sent*: they count as sent and are never tried again. *repeat*: they go out again, marked, as soon as the
    delivery is on its way. Raises NotAllowed without START DELIVERIES, Conflict when nothing is held.
    """
    actor.require(Right.START_DELIVERIES, to=_("decide about messages in doubt"))
    folders.require(actor, delivery.folder, Access.WRITE)
    now = clock.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            if decision == "sent":
                cursor.execute(
                    "DELETE FROM nms_delivery_retry WHERE delivery_id = %s AND held RETURNING run_id, id",
                    [delivery.pk],
                )
            else:
                cursor.execute(
                    """UPDATE nms_delivery_retry SET held = false, repeat = true, next_at = %s
                       WHERE delivery_id = %s AND held RETURNING run_id, id""",
                    [now, delivery.pk],
                )
            by_run: dict[int, list[int]] = {}
            for run_id, number in cursor.fetchall():
                by_run.setdefault(run_id, []).append(number)
            if not by_run:
                raise Conflict(_("No message of %(label)s is in doubt any more.") % {"label": delivery.label})
            counted = 0
            for run in DeliveryRun.objects.filter(pk__in=by_run):
                status = MessageStatus.SENT if decision == "sent" else MessageStatus.PENDING
                cursor.execute(
                    f"""UPDATE {quoted(log_tables.table("broad_log", run.storage))}
                        SET status = %s, flags = (flags & ~%s) | %s, modified_at = %s
                        WHERE run_id = %s AND id = ANY(%s) AND status = %s RETURNING flags""",  # noqa: S608 quoted
                    [
                        int(status), _HELD, 0 if decision == "sent" else _SENDS_AGAIN, now,
                        run.pk, by_run[run.pk], int(MessageStatus.PENDING),
                    ],
                )  # fmt: skip
                counted += sum(not flags & Flag.SEED for (flags,) in cursor.fetchall())
            sent = counted if decision == "sent" else 0
            cursor.execute(
                """UPDATE nms_delivery SET success = success + %s, processed = processed + %s,
                     modified_at = %s WHERE delivery_id = %s""",
                [sent, sent, now, delivery.pk],
            )
        count = sum(map(len, by_run.values()))
        job_log.write(delivery, f"doubt_{decision}", actor=actor, count=count)
        audit.record(actor, records.ENTITY, delivery.internal_name, "Decide", delivery.pk, {"as": decision})
    delivery.refresh_from_db()
    return count
