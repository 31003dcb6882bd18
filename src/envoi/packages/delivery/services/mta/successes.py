"""Messages that were sent, as nearly all are: settled by one statement a run, and none of them is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.models import AddressStatus, Flag, MessageStatus
from envoi.packages.delivery.services import log_tables
from envoi.packages.delivery.services.mta.runs import Run


@dataclass
class Sent:
    """Messages of a run by their numbers, and when each was taken, in microseconds since 1970."""

    ids: list[int] = field(default_factory=list[int])
    micros: list[int] = field(default_factory=list[int])


def write(run: Run, sent: Sent, *, now: datetime) -> tuple[int, list[str]]:
    """Let those of these messages be sent that are still pending, and forget that any was to be tried again,
    in the caller's transaction. Return how many these are, seeds aside, and those of their addresses that had
    errors.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH told AS (
                  SELECT * FROM unnest(%(ids)s::bigint[], %(micros)s::bigint[]) AS t (id, micros)),
                changed AS (
                  UPDATE {quoted(partition(run))} b
                  SET status = %(sent)s, failure_reason = 0, msg_id = 0, modified_at = %(now)s,
                    event_date = timestamptz 'epoch' + t.micros * interval '1 microsecond'
                  FROM told t WHERE b.run_id = %(run)s AND b.id = t.id AND b.status = %(pending)s
                  RETURNING b.address, b.flags),
                forgotten AS (
                  DELETE FROM nms_delivery_retry r USING told t WHERE r.run_id = %(run)s AND r.id = t.id)
                SELECT count(*) FILTER (WHERE flags & %(seed)s = 0),
                  array_agg(address) FILTER (WHERE EXISTS (
                    SELECT FROM nms_address a WHERE a.address = changed.address AND a.type = %(channel)s
                      AND a.status = %(errors)s))
                FROM changed""",  # noqa: S608 quoted
            {
                "ids": _array(sent.ids),
                "micros": _array(sent.micros),
                "run": run.id,
                "channel": run.channel,
                "now": now,
                "sent": int(MessageStatus.SENT),
                "pending": int(MessageStatus.PENDING),
                "seed": int(Flag.SEED),
                "errors": int(AddressStatus.ERRORS),
            },
        )
        count, addresses = cursor.fetchone() or (0, None)
    return int(count), list(addresses or ())


def partition(run: Run) -> str:
    """Return the table that holds the delivery logs of a run."""
    parent = log_tables.table("broad_log", run.storage)
    return f"{parent}_{run.id // log_tables.RUNS_A_PARTITION}"


def by_run(found: Mapping[tuple[int, int], object]) -> dict[int, Sent]:
    """Return what was sent from among outcomes, as `journal.outcomes` has them."""
    made: dict[int, Sent] = {}
    for (run, id), micros in found.items():
        if isinstance(micros, int):
            sent = made.setdefault(run, Sent())
            sent.ids.append(id)
            sent.micros.append(micros)
    return made


def _array(numbers: Iterable[int]) -> str:
    """Return numbers as PostgreSQL reads them: psycopg would write one after the other, in Python."""
    return "{" + ",".join(map(str, numbers)) + "}"
