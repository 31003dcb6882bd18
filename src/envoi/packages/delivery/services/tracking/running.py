"""The steps of the technical workflow `tracking`, and the same at once (delivery.md §4.6, ADR 0030).

Each execution of an activity is one short transaction: a batch of hits, or some deliveries. It then stays for
the next one, until nothing is left; what was done so far is in its memory.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.utils.translation import gettext_noop

from envoi.engine import background
from envoi.engine.activities.base import Outcome, TaskContext, fire, wait
from envoi.engine.jobs import draining
from envoi.kernel import clock
from envoi.kernel.rights import Actor
from envoi.packages.delivery.services.tracking import consuming, indicators, statistics
from envoi.packages.delivery.services.tracking.taken import Taken

JOB: Final = "envoi.tracking"
PATIENCE: Final = timedelta(seconds=30)
"""A hit that waits for so long in the inbox is consumed without the hourly run."""


def consume(*, actor: Actor, ctx: TaskContext) -> Outcome:
    """Take the next batch; fires `done` with `recCount` hits when the inbox is empty."""
    before = Taken(**ctx.memory.get("taken", {}))
    # What comes while it runs is left to the next run, so that it ends.
    batch = consuming.batch(before.last, now=ctx.now)
    taken = before + batch
    if batch.consumed:
        ctx.memory["taken"] = asdict(taken)
        return wait(ctx.now)
    ctx.info(
        gettext_noop(
            "%(consumed)s hits: %(logged)s logged, %(automatic)s of them of machines; %(repeated)s repeated"
            " opens, %(again)s known already, %(skipped)s without a message, %(unmatched)s not reconciled"
        ),
        **{name: value for name, value in asdict(taken).items() if name not in ("last", "visits")},
    )
    return fire("done", recCount=taken.consumed)


def consolidate(*, actor: Actor, ctx: TaskContext) -> Outcome:
    """Bring the statistics of browsers up to date, a day at a time."""
    if statistics.next_day(now=ctx.now) is not None:
        return wait(ctx.now)
    return fire("done")


def work_out(*, actor: Actor, ctx: TaskContext) -> Outcome:
    """Work out the indicators of the deliveries that are due, some in a transaction."""
    done = int(ctx.memory.get("done", 0))
    found = indicators.due(now=ctx.now)
    for delivery in found:
        indicators.work_out(delivery, now=ctx.now)
    if found:
        ctx.memory["done"] = done + len(found)
        return wait(ctx.now)
    ctx.info(gettext_noop("Indicators of %(count)s deliveries worked out"), count=done)
    return fire("done", recCount=done)


def at_once(*, now: datetime) -> Taken:
    """Consume what waits and work out what is due, batch by batch. Called outside of a transaction."""
    taken = Taken()
    while not draining.is_set():
        with transaction.atomic():
            batch = consuming.batch(taken.last, now=now)
        taken += batch
        if not batch.consumed:
            break
    while not draining.is_set():
        with transaction.atomic():
            found = indicators.due(now=now)
            for delivery in found:
                indicators.work_out(delivery, now=now)
        if not found:
            break
    return taken


@background.work(JOB)
def _in_worker(_number: int) -> None:
    at_once(now=clock.now())


@background.lost.answer
def waiting() -> list[tuple[str, int]]:
    """Let hits that wait be consumed soon: reactions are to be seen within a minute."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT EXISTS (SELECT 1 FROM (
                 SELECT received_at FROM nms_tracking_inbox ORDER BY tracking_inbox_id LIMIT 1) AS first
               WHERE received_at <= %s)""",
            [clock.now() - PATIENCE],
        )
        return [(JOB, 0)] if cursor.fetchone() == (True,) else []
