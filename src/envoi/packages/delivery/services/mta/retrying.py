"""Messages that wait to be tried again, one row each; messages that are held in doubt (ADR 0022)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection


@dataclass(frozen=True, slots=True)
class Retry:
    """A message to try again. `attempts` so far; without any, the dates of the first and last are None."""

    run_id: int
    id: int
    delivery_id: int
    attempts: int
    first_at: datetime | None
    last_at: datetime | None
    next_at: datetime
    held: bool = False
    repeat: bool = False
    doubts: int = 0


def put(retries: Sequence[Retry]) -> None:
    """Let messages wait after an attempt, in the caller's transaction."""
    _write(
        retries,
        """attempts = EXCLUDED.attempts, first_at = coalesce(r.first_at, EXCLUDED.first_at),
           last_at = EXCLUDED.last_at, next_at = EXCLUDED.next_at, part_id = NULL, held = EXCLUDED.held,
           repeat = r.repeat OR EXCLUDED.repeat, doubts = EXCLUDED.doubts""",
    )


def wait(retries: Sequence[Retry]) -> None:
    """Let messages wait that were not tried, in the caller's transaction."""
    _write(retries, "next_at = EXCLUDED.next_at, part_id = NULL")


def _write(retries: Sequence[Retry], change: str) -> None:
    if not retries:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO nms_delivery_retry AS r
                  (run_id, id, delivery_id, attempts, first_at, last_at, next_at, held, repeat, doubts)
                SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::smallint[],
                  %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::boolean[], %s::boolean[],
                  %s::smallint[])
                ON CONFLICT (run_id, id) DO UPDATE SET {change}""",  # noqa: S608 ours
            [
                [each.run_id for each in retries],
                [each.id for each in retries],
                [each.delivery_id for each in retries],
                [each.attempts for each in retries],
                [each.first_at for each in retries],
                [each.last_at for each in retries],
                [each.next_at for each in retries],
                [each.held for each in retries],
                [each.repeat for each in retries],
                [each.doubts for each in retries],
            ],
        )


def drop(keys: Sequence[tuple[int, int]]) -> None:
    """Forget messages (run, id) that have their final outcome, in the caller's transaction."""
    if not keys:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """DELETE FROM nms_delivery_retry r USING unnest(%s::bigint[], %s::bigint[]) AS u (run_id, id)
               WHERE r.run_id = u.run_id AND r.id = u.id""",
            [[run for run, _ in keys], [id for _, id in keys]],
        )


def before(keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[datetime | None, int]]:
    """Return when messages (run, id) were tried first and how often they were left in doubt, of those that
    wait or did.
    """
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT r.run_id, r.id, r.first_at, r.doubts FROM nms_delivery_retry r
               JOIN unnest(%s::bigint[], %s::bigint[]) AS u (run_id, id) USING (run_id, id)""",
            [[run for run, _ in keys], [id for _, id in keys]],
        )
        return {(run, id): (first, doubts) for run, id, first, doubts in cursor.fetchall()}


def of_parts(parts: Sequence[int]) -> dict[int, tuple[int, int, bool]]:
    """Return id -> part, attempts and whether it is a repeat, of the messages of parts of one run."""
    if not parts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, part_id, attempts, repeat FROM nms_delivery_retry WHERE part_id = ANY(%s)",
            [list(parts)],
        )
        return {id: (part, attempts, repeat) for id, part, attempts, repeat in cursor.fetchall()}


def between(run_id: int, first: int, last: int) -> set[int]:
    """Return the messages of a range that wait, are held or are in a part of retries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM nms_delivery_retry WHERE run_id = %s AND id BETWEEN %s AND %s",
            [run_id, first, last],
        )
        return {id for (id,) in cursor.fetchall()}
