"""Destinations that nothing is sent to for a while: noted by senders, seen and lifted by operators."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import MxBlock
from envoi.packages.delivery.services.sending.throttle import Throttle

ENTITY = "nms:mxBlock"
SHORTEST = 60.0
"""Seconds; what is blocked for less is a back-off that nobody has to see."""

Path = tuple[str, int]
"""Destination and number of our address, as `Throttle.blocked` has them."""


class Exchange:
    """Lets the throttle of one sender and the table know of each other."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._opened: dict[Path, datetime] = {}

    def work(self, *, moment: datetime, now: float) -> None:
        """Once at the start of a sender, then every minute or so: blocks of the table hold here too, ours are
        written down with their reasons, what an operator lifted is opened. Safe to run again, also beside the
        loop that sends.

        `now` is the monotonic time of `moment`.
        """
        throttle = self._throttle
        rows = list(MxBlock.objects.filter(until__gt=moment))
        for row in rows:
            path = (row.mx, row.public_id)
            if row.lifted_at is not None:
                # Once for each time that somebody lifts it: what is blocked again afterwards stays so.
                if self._opened.get(path) != row.lifted_at:
                    throttle.block(path, 0, now=now)
                    self._opened[path] = row.lifted_at
            elif (seconds := (row.until - moment).total_seconds()) > throttle.blocked(now=now).get(path, 0.0):
                throttle.block(path, seconds, now=now)
        known = {(row.mx, row.public_id) for row in rows if row.lifted_at is None}
        fresh = {
            path: seconds
            for path, seconds in throttle.blocked(now=now).items()
            if seconds >= SHORTEST and path not in known
        }
        note({path: (seconds, throttle.reason(path)) for path, seconds in fresh.items()}, moment=moment)


def note(found: Mapping[Path, tuple[float, str]], *, moment: datetime) -> None:
    """Write down what is blocked, and for how many seconds and why. One statement."""
    if not found:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO nms_mx_block (mx, public_id, reason, since, until)
               SELECT mx, public_id, reason, %s, until
               FROM unnest(%s::text[], %s::int[], %s::text[], %s::timestamptz[])
                 AS asked (mx, public_id, reason, until)
               ON CONFLICT (mx, public_id) DO UPDATE SET until = excluded.until, since = excluded.since,
                 reason = excluded.reason, lifted_at = NULL, lifted_by_id = NULL""",
            [
                moment,
                [mx for mx, _number in found],
                [number for _mx, number in found],
                [reason[:2000] for _seconds, reason in found.values()],
                [moment + timedelta(seconds=seconds) for seconds, _reason in found.values()],
            ],
        )


def current() -> list[MxBlock]:
    """Return what is blocked now, the longest first."""
    return list(MxBlock.objects.filter(until__gt=clock.now(), lifted_at=None).order_by("-until", "mx"))


def lift(number: int, *, actor: Actor) -> None:
    """End a block before its time; senders open the destination within a minute or so.

    Raises NotFound, NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("unblock a destination"))
    with transaction.atomic():
        row = MxBlock.objects.select_for_update().filter(pk=number, lifted_at=None).first()
        if row is None:
            raise NotFound(_("This destination is not blocked any more."))
        row.lifted_at = clock.now()
        row.lifted_by_id = actor.operator_id or None
        row.save(update_fields=["lifted_at", "lifted_by"])
        audit.record(actor, ENTITY, row.mx, audit.MODIFIED, number, {"lifted": True})
