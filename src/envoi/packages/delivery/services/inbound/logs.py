"""The messages of ours that mails are about, and what a bounce does to them and to their deliveries."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection

from envoi.kernel.query.scope import quoted
from envoi.packages.delivery.services import log_tables, normalise
from envoi.packages.delivery.services.sending.identity import Log

SEED: Final = 1
HELD: Final = 8
"""In doubt and not sent again: a bounce shows that it had left."""
_FAILED, _PENDING = 2, 6
_BOUNCES = (1, 3, 5, _PENDING)
"""States of a message that a bounce ends."""


@dataclass(slots=True)
class Sent:
    """A row of a delivery log. `ended`: the bounce has made it a failed one."""

    storage: str
    run_id: int
    id: int
    target_id: int
    delivery_id: int
    address: str
    status: int
    flags: int
    ended: bool = False

    @property
    def counted_for(self) -> int | None:
        """The delivery whose figures count it; None for a seed."""
        return None if self.flags & SEED else self.delivery_id


def find(wanted: Iterable[Log]) -> dict[Log, Sent]:
    """Return the messages that these stand for, of those that are still there."""
    keys = list(wanted)
    if not keys:
        return {}
    found: dict[Log, Sent] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT run_id, storage FROM nms_delivery_run WHERE run_id = ANY(%s) AND storage <> ''",
            [[key.run for key in keys]],
        )
        storages: dict[int, str] = dict(cursor.fetchall())
        for storage in sorted(set(storages.values())):
            mine = [key for key in keys if storages.get(key.run) == storage]
            cursor.execute(
                f"""SELECT l.run_id, l.id, l.target_id, l.delivery_id, l.address, l.status, l.flags
                    FROM {quoted(log_tables.table("broad_log", storage))} l
                    JOIN unnest(%s::bigint[], %s::bigint[]) AS w (run_id, id)
                      ON w.run_id = l.run_id AND w.id = l.id""",  # noqa: S608 quoted
                [[key.run for key in mine], [key.id for key in mine]],
            )
            for run_id, id, *rest in cursor.fetchall():
                found[Log(run_id, id)] = Sent(storage, run_id, id, *rest)
    return found


def fail(told: Sequence[tuple[Sent, int, int]], *, now: datetime) -> None:
    """Make messages that arrived somewhere failed ones: (message, reason, text). It marks those it changed.

    A message that has failed already, or whose state another has changed meanwhile, stays as it is.
    """
    by_storage: dict[str, list[tuple[Sent, int, int]]] = {}
    for each in told:
        if each[0].status in _BOUNCES:
            by_storage.setdefault(each[0].storage, []).append(each)
    for storage, group in sorted(by_storage.items()):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""UPDATE {quoted(log_tables.table("broad_log", storage))} l
                    SET status = {_FAILED}, failure_reason = f.reason, msg_id = f.msg, modified_at = %s
                    FROM (SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[], %s::smallint[],
                            %s::bigint[]) ORDER BY 1, 2) AS f (target_id, run_id, status, reason, msg)
                    WHERE l.target_id = f.target_id AND l.run_id = f.run_id AND l.status = f.status
                    RETURNING l.run_id, l.id""",  # noqa: S608 quoted
                [
                    now,
                    [sent.target_id for sent, _reason, _msg in group],
                    [sent.run_id for sent, _reason, _msg in group],
                    [sent.status for sent, _reason, _msg in group],
                    [reason for _sent, reason, _msg in group],
                    [msg for _sent, _reason, msg in group],
                ],
            )
            changed = set(cursor.fetchall())
        for sent, _reason, _msg in group:
            sent.ended = (sent.run_id, sent.id) in changed


def count(told: Sequence[tuple[Sent, int, int]], quarantined: Mapping[int, int]) -> None:
    """Bring the figures of deliveries in line with the messages that `fail` ended; seeds never count."""
    ended: dict[tuple[int, int], Sent] = {
        (sent.run_id, sent.id): sent for sent, _reason, _msg in told if sent.ended and not sent.flags & SEED
    }
    errors = Counter(sent.delivery_id for sent in ended.values())
    late = Counter(sent.delivery_id for sent in ended.values() if sent.status == _PENDING)
    deliveries = sorted({*errors, *quarantined})
    if not deliveries:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE nms_delivery d SET error = d.error + c.errors,
                 success = d.success - (c.errors - c.late),
                 processed = d.processed + c.late, new_quarantine = d.new_quarantine + c.quarantined
               FROM (SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
                     ORDER BY 1) AS c (id, errors, late, quarantined)
               WHERE d.delivery_id = c.id""",
            [
                deliveries,
                [errors[each] for each in deliveries],
                [late[each] for each in deliveries],
                [quarantined.get(each, 0) for each in deliveries],
            ],
        )


def known_addresses(addresses: Iterable[str]) -> list[str]:
    """Return those of these e-mail addresses that a profile has, in their kept form."""
    kept = sorted({found for each in addresses if (found := normalise.email_or_none(each))})
    if not kept:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT email FROM nms_recipient WHERE email = ANY(%s)", [kept])
        return [email for (email,) in cursor.fetchall()]
