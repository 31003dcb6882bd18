"""The dispatcher: each due activity is one job (architecture §3.2). Four methods: enqueue, schedule,
cancel, run.

Jobs are deferred on the caller's connection, so they exist exactly when the change that made them due is
committed. A job carries nothing but a number; what is true stands in our rows, so a job too many or twice
does no harm.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from procrastinate.contrib.django import app

from envoi.engine import sql

if TYPE_CHECKING:
    from envoi.engine.worker import Options

TICK = "envoi_tick"
"""Channel on which the timer is told that an earlier date has come up."""
BEAT = "envoi_beat"
"""Channel on which workers are told that an activity of theirs is not wanted any more."""
SYSTEM_QUEUE = "system"
COMMAND_PRIORITY = 10


class Job(StrEnum):
    """What a job does; the values are the names of the dispatcher's tasks."""

    ACTIVITY = "envoi.activity"
    COMMANDS = "envoi.commands"
    OUTBOX = "envoi.outbox"
    BACKGROUND = "envoi.background"


def queue_of(affinity: str) -> str:
    """Return the queue on which work with this affinity waits."""
    return f"workflow.{affinity}" if affinity else "workflow"


def affinity_of_host(host: str) -> str:
    """Return the affinity of work on files that lie on a host: every worker there has it (architecture §2.8).

    No operator can give an activity this name, since it holds a sign.
    """
    return f"@{host}"[:64]


def queues_for(affinities: str) -> list[str]:
    """Return the queues of a worker on this host whose affinity is set to "A,B" or "A,B,".

    The trailing comma (and an empty text) also accepts work without affinity (engine.md §2).
    """
    names = [name.strip() for name in affinities.split(",")]
    own = [queue_of(name) for name in dict.fromkeys(names) if name]
    host = queue_of(affinity_of_host(socket.gethostname()))
    return [*own, *([queue_of("")] if names[-1] == "" else []), host, SYSTEM_QUEUE]


def enqueue(due: Iterable[tuple[int, str]]) -> None:
    """Queue tasks, given as (task id, affinity), in the caller's transaction."""
    by_queue: dict[str, list[dict[str, Any]]] = {}
    for task_id, affinity in due:
        by_queue.setdefault(queue_of(affinity), []).append({"task": task_id})
    for queue, jobs in by_queue.items():
        app.configure_task(Job.ACTIVITY.value, queue=queue).batch_defer(*jobs)


def enqueue_commands(workflow_id: int, affinity: str, *, anywhere: bool = False) -> None:
    """Queue the processing of the commands that wait for a workflow; ahead of activities.

    anywhere: any worker may do it, whatever the affinity.
    """
    queue = SYSTEM_QUEUE if anywhere else queue_of(affinity)
    deferrer = app.configure_task(Job.COMMANDS.value, queue=queue, priority=COMMAND_PRIORITY)
    deferrer.defer(workflow=workflow_id)


def enqueue_outbox() -> None:
    """Queue one delivery round of the outbox, on any worker."""
    app.configure_task(Job.OUTBOX.value, queue=SYSTEM_QUEUE).defer()


def enqueue_background(name: str, number: int) -> None:
    """Queue a piece of work of a package, on any worker, in the caller's transaction."""
    app.configure_task(Job.BACKGROUND.value, queue=SYSTEM_QUEUE).defer(name=name, number=number)


def schedule() -> None:
    """Tell the timer that a task got a date; it looks again when the caller commits."""
    sql.run("SELECT pg_notify('envoi_tick', '')")


def cancel(backend_pid: int) -> None:
    """Cancel the statement that a running activity is in, if it is in one."""
    sql.run("SELECT pg_cancel_backend(%(pid)s)", {"pid": backend_pid})


def recall() -> None:
    """Have the workers look, when the caller commits, which of their activities are not wanted any more."""
    sql.run("SELECT pg_notify('envoi_beat', '')")


def drop_lost_jobs(dead_after_s: float) -> None:
    """Drop the jobs of dispatcher workers that none of our living workers owns; their tasks are queued again.

    The dispatcher's own clock is the database's, so it is the one place where that is asked for the time.
    """
    sql.run(
        """DELETE FROM procrastinate_workers p WHERE last_heartbeat < now() - make_interval(secs => %(dead)s)
           AND NOT EXISTS (SELECT 1 FROM xtk_worker w WHERE w.dispatcher_id = p.id AND w.state IN (0, 1))""",
        {"dead": dead_after_s},
    )
    sql.run("DELETE FROM procrastinate_jobs WHERE status = 'doing' AND worker_id IS NULL")


def run(options: Options) -> int:
    """Work until told to stop; returns the exit code."""
    from envoi.engine.worker import work

    return work(options)
