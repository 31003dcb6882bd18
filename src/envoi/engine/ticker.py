"""The timer: queues tasks whose date has come, and mends what dead workers left (architecture §3.2).

One process at a time holds the lock and ticks; it sleeps until the next date or a notification, so idle
workflows cost nothing. Dates are compared with the product's clock; whether a worker lives is measured on
our monotonic clock alone.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import datetime
from typing import Any, cast

import psycopg
from django.db import DatabaseError, connection, transaction

from envoi.engine import background, dispatcher, lifecycle, processes, sql
from envoi.kernel import clock
from envoi.kernel.locks import SPACE, Lock

logger = logging.getLogger(__name__)

BEAT_S = float(os.environ.get("ENVOI_CHAOS_BEAT_S", "2"))
DEAD_AFTER_S = float(os.environ.get("ENVOI_CHAOS_DEAD_AFTER_S", "8"))
LONGEST_LOOK_S = max(2 * BEAT_S, DEAD_AFTER_S / 2)
"""Of the time between two looks at the workers, not more counts."""
SWEEP_S = min(5.0, DEAD_AFTER_S)
BATCH = 500


class Ticker(threading.Thread):
    """One per worker process; all but one wait for the lock."""

    def __init__(self) -> None:
        super().__init__(name="ticker", daemon=True)
        self.stopping = threading.Event()
        self.watch = Watch()

    def run(self) -> None:
        """Tick until told to stop; a lost database is waited for."""
        while not self.stopping.is_set():
            try:
                self._lead()
            except (DatabaseError, psycopg.Error) as error:
                logger.warning("the timer lost the database: %s", lifecycle.describe(error))
            except Exception:
                logger.exception("the timer failed; it begins anew")
            connection.close()
            self.stopping.wait(BEAT_S)
        connection.close()

    def _lead(self) -> None:
        lock = {"space": SPACE, "lock": int(Lock.TICK)}
        while not self.stopping.is_set():
            row = sql.one("SELECT pg_try_advisory_lock(%(space)s, %(lock)s) AS mine", lock)
            if row is not None and row["mine"]:
                break
            # The one that holds it may stand still itself, and would then never let go.
            for worker in self.watch.dead():
                bury(worker)
            self.stopping.wait(BEAT_S)
        raw = cast("psycopg.Connection[Any]", connection.connection)
        raw.execute(f"LISTEN {dispatcher.TICK}")
        while not self.stopping.is_set():
            upcoming = tick(self.watch)
            for _notify in raw.notifies(timeout=self._pause(upcoming), stop_after=1):
                pass

    def _pause(self, upcoming: datetime | None) -> float:
        if upcoming is None:
            return BEAT_S
        return min(BEAT_S, max(0.0, (upcoming - clock.now()).total_seconds()))


class Watch:
    """What one process remembers of the workers' beats, and when it last looked after lost things.

    Only time in which it looked counts: while the database was away, nobody could beat. Those of this host
    whose process has ended need no waiting.
    """

    def __init__(self) -> None:
        self.beats: dict[int, tuple[int, float]] = {}
        """Worker to its last beat, and for how many seconds that has stood still."""
        self.looked = clock.monotonic()
        self.swept = float("-inf")

    def dead(self) -> list[int]:
        """Return the workers whose beat has stood still for too long, or whose process is gone."""
        rows = sql.rows("SELECT worker_id, beat, process FROM xtk_worker WHERE state IN (0, 1)")
        present = {row["worker_id"]: row["beat"] for row in rows}
        now = clock.monotonic()
        passed, self.looked = min(now - self.looked, LONGEST_LOOK_S), now
        before = self.beats
        self.beats = {
            worker: (beat, before[worker][1] + passed)
            if worker in before and before[worker][0] == beat
            else (beat, 0.0)
            for worker, beat in present.items()
        }
        gone = {row["worker_id"] for row in rows if processes.is_gone(row["process"])}
        still = {worker for worker, (_beat, still) in self.beats.items() if still > DEAD_AFTER_S}
        return sorted(gone | still)


def tick(watch: Watch) -> datetime | None:
    """Do what is due and return when the next task is due, if one is."""
    queue_due()
    for worker in watch.dead():
        bury(worker)
    if clock.monotonic() - watch.swept >= SWEEP_S:
        watch.swept = clock.monotonic()
        sweep()
    row = sql.one(
        """SELECT t.due_at FROM xtk_workflow_task t JOIN xtk_workflow w ON w.workflow_id = t.workflow_id
           WHERE t.status = 0 AND NOT t.queued AND t.due_at IS NOT NULL AND w.state = 11
             AND w.run_number = t.run_number ORDER BY t.due_at LIMIT 1"""
    )
    return row["due_at"] if row else None


def queue_due() -> int:
    """Queue the tasks whose date has come; returns how many."""
    total = 0
    while True:
        with transaction.atomic():
            tasks = sql.rows(
                """UPDATE xtk_workflow_task SET queued = true WHERE task_id IN (
                     SELECT t.task_id FROM xtk_workflow_task t JOIN xtk_workflow w ON w.workflow_id =
                     t.workflow_id
                     WHERE t.status = 0 AND NOT t.queued AND t.due_at <= %(now)s AND w.state = 11
                       AND w.run_number = t.run_number
                     ORDER BY t.due_at LIMIT %(batch)s FOR UPDATE OF t SKIP LOCKED) RETURNING task_id,
                     affinity""",
                {"now": clock.now(), "batch": BATCH},
            )
            dispatcher.enqueue([(task["task_id"], task["affinity"]) for task in tasks])
        total += len(tasks)
        if len(tasks) < BATCH:
            return total


def bury(worker: int) -> None:
    """Take over everything that a dead worker was at."""
    with transaction.atomic():
        row = sql.one(
            """UPDATE xtk_worker SET state = 3, stopped_at = %(now)s WHERE worker_id = %(worker)s AND state
            IN (0, 1)
               RETURNING name, dispatcher_id""",
            {"worker": worker, "now": clock.now()},
        )
        if row is None:
            return
        sql.run("DELETE FROM procrastinate_workers WHERE id = %(id)s", {"id": row["dispatcher_id"]})
    logger.warning("worker %s (%s) is dead; its tasks are taken over", worker, row["name"])
    # Of one that only stands still the sessions live on, and with them the timer's lock.
    sql.run(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = %(name)s AND datname = current_database() AND pid <> pg_backend_pid()""",
        {"name": session_name(worker)},
    )
    take_over_orphans()
    sweep()


def take_over_orphans() -> int:
    """Take over the running tasks whose worker is no longer alive; returns how many."""
    orphans = sql.rows(
        """SELECT t.task_id, t.workflow_id, t.worker_id, t.backend_pid, w.name FROM xtk_workflow_task t
           JOIN xtk_worker w ON w.worker_id = t.worker_id WHERE t.status = 2 AND w.state IN (2, 3)
           ORDER BY t.task_id"""
    )
    for orphan in orphans:
        # First the session, so that nothing of it can still be committed; then the lease. The name guards
        # against
        # a process number that was given anew.
        sql.run(
            """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE pid = %(pid)s AND application_name = %(name)s AND datname = current_database()""",
            {"pid": orphan["backend_pid"], "name": session_name(orphan["worker_id"])},
        )
        with transaction.atomic():
            lifecycle.take_over(orphan["task_id"], orphan["workflow_id"], orphan["worker_id"], orphan["name"])
    return len(orphans)


def session_name(worker: int | None) -> str:
    """Return the application_name of a worker's database sessions."""
    return f"envoi worker {worker}"


def sweep() -> None:
    """Queue again what is due and has no job any more; drop jobs that nobody works on; call for
    the outbox.
    """
    take_over_orphans()
    dispatcher.drop_lost_jobs(DEAD_AFTER_S)
    lost = sql.run(
        """UPDATE xtk_workflow_task t SET queued = false FROM xtk_workflow w
           WHERE t.status = 0 AND t.queued AND t.due_at <= %(now)s AND w.workflow_id = t.workflow_id AND
           w.state = 11
             AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.task_name = 'envoi.activity'
               AND j.status IN ('todo', 'doing') AND (j.args->>'task')::bigint = t.task_id)""",
        {"now": clock.now()},
    )
    if lost:
        logger.warning("%s due tasks had no job; they are queued again", lost)
        queue_due()
    with transaction.atomic():
        for row in sql.rows(
            """SELECT DISTINCT w.workflow_id, w.affinity FROM xtk_workflow_job c
               JOIN xtk_workflow w ON w.workflow_id = c.workflow_id
               WHERE c.status = 0 AND NOT (c.command = 'PostEvent' AND w.state IN (10, 12, 13, 14))
                 AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.task_name = 'envoi.commands'
                   AND j.status IN ('todo', 'doing') AND (j.args->>'workflow')::bigint = w.workflow_id)"""
        ):
            dispatcher.enqueue_commands(row["workflow_id"], row["affinity"])
        waiting = sql.one(
            """SELECT 1 FROM xtk_outbox WHERE state = 0 AND due_at <= %(now)s AND NOT EXISTS (
                 SELECT 1 FROM procrastinate_jobs WHERE task_name = 'envoi.outbox') LIMIT 1""",
            {"now": clock.now()},
        )
        if waiting is not None:
            dispatcher.enqueue_outbox()
        background.queue_lost()
