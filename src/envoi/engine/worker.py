"""The worker process: an asyncio dispatcher loop, threads that do the work, a beat, and a timer
(architecture §3.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import psycopg
from django.db import DatabaseError, connection
from django.db.backends.signals import connection_created
from procrastinate import jobs as queue_jobs
from procrastinate import worker as procrastinate_worker
from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException

from envoi.engine import dispatcher, jobs, lifecycle, processes, runner, sql, ticker
from envoi.engine.journal import Pen
from envoi.engine.models import Worker, WorkerState
from envoi.kernel import clock

logger = logging.getLogger(__name__)

POLL_S = 5.0
REMEMBERED = timedelta(days=7)
"""How long a worker that has ended stays in the list."""
NOTICE_AGAIN_S = 0.03
RECONNECT_S = 1.0
SWITCH_S = 0.001


@dataclass(frozen=True)
class Options:
    """How a worker works. `affinity` "A,B," accepts A, B and, by its trailing comma, work without
    affinity.
    """

    affinity: str = ","
    threads: int = 5
    name: str = ""


def work(options: Options) -> int:
    """Work until SIGTERM or SIGINT, then finish what is running; returns the exit code."""
    host = socket.gethostname()
    row = Worker.objects.create(
        name=options.name or f"{host}/{os.getpid()}",
        host=host,
        pid=os.getpid(),
        process=processes.mine(),
        affinities=options.affinity,
        threads=options.threads,
        started_at=clock.now(),
    )
    Worker.objects.filter(
        state__in=(WorkerState.STOPPED, WorkerState.DEAD), stopped_at__lt=clock.now() - REMEMBERED
    ).delete()
    connection_created.connect(_name_session, dispatch_uid="engine worker")
    connection.close()
    jobs.worker_id = row.worker_id
    # The loop must get its turn between threads that are busy.
    sys.setswitchinterval(SWITCH_S)
    beat = Beat(row.worker_id)
    timer = ticker.Ticker()
    with ThreadPoolExecutor(options.threads, thread_name_prefix="activity") as pool:
        jobs.pool = pool
        beat.start()
        timer.start()
        try:
            asyncio.run(_serve(options))
        finally:
            timer.stopping.set()
    beat.stop()
    Worker.objects.filter(pk=row.pk).update(state=WorkerState.STOPPED, stopped_at=clock.now())
    return 0


def _name_session(connection: Any, **_kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('application_name', %s, false)", [ticker.session_name(jobs.worker_id)]
        )


class _Worker(procrastinate_worker.Worker):
    """The dispatcher's worker, with two things of ours.

    Before its first job it says which of our workers it belongs to, so that its jobs are found when we die.
    And it
    looks for jobs a second time after a notice: one that comes during a fetch would else wait for the next
    poll.
    """

    async def _run_loop(self) -> None:
        await asyncio.to_thread(_own, self.worker_id)
        await super()._run_loop()

    async def _handle_notification(self, *, channel: str, notification: queue_jobs.Notification) -> None:
        await super()._handle_notification(channel=channel, notification=notification)
        asyncio.get_running_loop().call_later(NOTICE_AGAIN_S, self._new_job_event.set)


def _own(dispatcher_id: int | None) -> None:
    Worker.objects.filter(pk=jobs.worker_id).update(dispatcher_id=dispatcher_id)
    connection.close()


async def _serve(options: Options) -> None:
    stopping = asyncio.Event()
    current: list[_Worker] = []

    def stop() -> None:
        jobs.draining.set()
        stopping.set()
        for worker in current:
            worker.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    while not stopping.is_set():
        try:
            worker_app = app.with_connector(app.connector.get_worker_connector())  # type: ignore[attr-defined]
            async with worker_app.open_async():
                worker = _Worker(
                    app=worker_app,
                    queues=dispatcher.queues_for(options.affinity),
                    name=options.name or None,
                    concurrency=options.threads,
                    delete_jobs="always",
                    fetch_job_polling_interval=POLL_S,
                    install_signal_handlers=False,
                    task_middleware=[],  # threads keep their connections; `jobs` closes lost ones
                )
                current[:] = [worker]
                await worker.run()
        except (psycopg.Error, ConnectorException, OSError) as error:
            logger.warning("the worker lost the database: %s", error)
        current.clear()
        if not stopping.is_set():
            await asyncio.wait({asyncio.create_task(stopping.wait())}, timeout=RECONNECT_S)


class Beat(threading.Thread):
    """Shows that the process lives, and hears which of its tasks are to be cancelled."""

    def __init__(self, worker_id: int) -> None:
        super().__init__(name="beat", daemon=True)
        self.worker_id = worker_id
        self.stopping = threading.Event()
        self.suspects: set[tuple[int, uuid.UUID]] = set()
        self.suspected = float("-inf")

    def run(self) -> None:
        """Beat until told to stop."""
        while not self.stopping.is_set():
            try:
                self._listen()
                while self._wait():
                    self.look()
            except (DatabaseError, psycopg.Error) as error:
                logger.warning("no beat: %s", lifecycle.describe(error))
            except Exception:
                logger.exception("a beat failed; it goes on")
            if not self.stopping.is_set():
                connection.close()
                self.stopping.wait(min(RECONNECT_S, ticker.BEAT_S))
        connection.close()

    def stop(self) -> None:
        """End it now: whoever waits for a notification gets one."""
        self.stopping.set()
        with contextlib.suppress(DatabaseError, psycopg.Error):
            dispatcher.recall()
        self.join()

    def _listen(self) -> None:
        connection.ensure_connection()
        cast("psycopg.Connection[Any]", connection.connection).execute(f"LISTEN {dispatcher.BEAT}")

    def _wait(self) -> bool:
        """Wait for the time of the next beat, or until something is recalled; False when it is to stop."""
        raw = cast("psycopg.Connection[Any]", connection.connection)
        for _notify in raw.notifies(timeout=ticker.BEAT_S, stop_after=1):
            pass
        return not self.stopping.is_set()

    def look(self) -> None:
        """Beat once, and compare what this worker is said to hold with what its threads are at."""
        before = {task: (each, each.token) for task, each in runner.running.copy().items()}
        sql.run(
            """UPDATE xtk_worker SET beat = beat + 1, state = %(state)s, stopped_at = NULL
               WHERE worker_id = %(worker)s""",
            {
                "state": int(WorkerState.DRAINING if jobs.draining.is_set() else WorkerState.RUNNING),
                "worker": self.worker_id,
            },
        )
        held = sql.rows(
            """SELECT task_id, lease_token, backend_pid, cancel_requested FROM xtk_workflow_task
               WHERE worker_id = %(worker)s AND status = 2""",
            {"worker": self.worker_id},
        )
        leases = {task["task_id"]: task["lease_token"] for task in held}
        for task_id, (cancellation, token) in before.items():
            # Claimed before we asked, and not ours: somebody else decided about it (or it is just settled).
            if token is not None and leases.get(task_id) != token:
                cancellation.request()
        if clock.monotonic() - self.suspected >= ticker.BEAT_S:
            self._give_back_lost(leases)
        for task in held:
            cancellation = runner.running.get(task["task_id"])
            if cancellation is not None and cancellation.token == task["lease_token"]:
                cancellation.show()
            if task["cancel_requested"] and cancellation is not None:
                cancellation.request()
                # Again at each beat: the first cancel meets nothing when the activity is between two
                # statements.
                dispatcher.cancel(task["backend_pid"])

    def _give_back_lost(self, leases: dict[int, uuid.UUID]) -> None:
        self.suspected = clock.monotonic()
        lost = {(task, token) for task, token in leases.items() if task not in runner.running}
        # Twice in a row: a task that is just being settled is no longer ours a moment later.
        for task_id, token in lost & self.suspects:
            logger.warning("task %s was left behind; it is queued again", task_id)
            lifecycle.give_back(task_id, token, Pen(task_id=task_id))
        self.suspects = lost
