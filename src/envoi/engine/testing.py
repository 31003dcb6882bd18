"""For tests of every room: the same runner in this process, in one thread, on a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from envoi.engine import commands, editing, runner, sql, ticker
from envoi.engine.definition import Activity, Definition, Transition
from envoi.engine.dispatcher import Job, queues_for
from envoi.engine.models import LogLine, Task, TaskState, Workflow
from envoi.kernel import clock
from envoi.kernel.rights import Actor
from envoi.kernel.testing import admin_actor

MOST_JOBS = 10_000


def run_until_passive(*, affinity: str = ",", most: int = MOST_JOBS) -> int:
    """Do what is due now, in the order of the queue, until nothing is; returns the number of jobs done.

    Raises AssertionError after `most` jobs: a loop that never waits.
    """
    for done in range(most):
        if not run_one(affinity=affinity):
            return done
    raise AssertionError(f"still busy after {most} jobs")


def run_one(*, affinity: str = ",") -> bool:
    """Do one due job; returns whether there was one."""
    ticker.queue_due()
    job = sql.one(
        """DELETE FROM procrastinate_jobs WHERE id = (SELECT id FROM procrastinate_jobs WHERE status = 'todo'
             AND queue_name = ANY(%(queues)s) ORDER BY priority DESC, id LIMIT 1) RETURNING task_name,
             args""",
        {"queues": queues_for(affinity)},
    )
    if job is None:
        return False
    if job["task_name"] == Job.ACTIVITY:
        runner.run_task(job["args"]["task"])
    elif job["task_name"] == Job.COMMANDS:
        commands.apply_queued(job["args"]["workflow"])
    return True


def run_to(moment: datetime, frozen: clock.Frozen) -> None:
    """Move the clock to `moment`, stopping at each date that comes before, and do what is due there."""
    run_until_passive()
    while True:
        row = sql.one(
            """SELECT min(t.due_at) AS due FROM xtk_workflow_task t JOIN xtk_workflow w USING (workflow_id)
               WHERE t.status = 0 AND w.state = 11 AND t.due_at > %(now)s AND t.due_at <= %(until)s""",
            {"now": clock.now(), "until": moment},
        )
        if row is None or row["due"] is None:
            break
        frozen.move_to(row["due"])
        run_until_passive()
    frozen.move_to(moment)
    run_until_passive()


def make_workflow(
    activities: Sequence[Activity],
    *,
    name: str = "",
    actor: Actor | None = None,
    folder: str = "targetingWorkflows",
    **properties: Any,
) -> Workflow:
    """Store a workflow of these activities."""
    return editing.create(
        actor or admin_actor(), name, name or "Test", Definition(tuple(activities)), folder, **properties
    )


def chain(*activities: Activity) -> tuple[Activity, ...]:
    """Join activities one after the other: each that has no transition of its own gets one called
    `transition`.
    """
    from dataclasses import replace

    from envoi.engine.activities import kind_of

    linked: list[Activity] = []
    for number, activity in enumerate(activities):
        following = activities[number + 1].name if number + 1 < len(activities) else ""
        kind = kind_of(activity.type)
        if activity.transitions or kind is None or not kind.ways or not following:
            linked.append(activity)
            continue
        name, way = kind.ways[0]
        linked.append(replace(activity, transitions=(Transition(name, following, kind=way),)))
    return tuple(linked)


def start(workflow: Workflow, actor: Actor | None = None, **parameters: Any) -> Workflow:
    """Start a workflow, run it until it waits, and return it as it is then."""
    commands.post(actor or admin_actor(), workflow.internal_name, commands.Command.START, **parameters)
    run_until_passive()
    workflow.refresh_from_db()
    return workflow


def tasks(workflow: Workflow) -> list[tuple[str, str]]:
    """Return (activity, status by name) of every task, in order."""
    return [
        (task.activity, TaskState(task.status).label)
        for task in Task.objects.filter(workflow=workflow).order_by("pk")
    ]


def lines(workflow: Workflow) -> list[str]:
    """Return the journal in English, in order."""
    found = LogLine.objects.filter(workflow=workflow).order_by("pk")
    return [line.message % line.params if line.params is not None else line.message for line in found]


def nothing(*, actor: Actor) -> None:
    """A service that does nothing, for a `call`."""


def always_fails(*, actor: Actor) -> None:
    """A service that always fails."""
    raise RuntimeError("it always fails")


class Gate:
    """Holds a `call` of `passes_the_gate` in its work until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()


gate = Gate()


def passes_the_gate(*, actor: Actor) -> None:
    """A service that waits at `testing.gate`."""
    gate.reached.set()
    if not gate.opened.wait(30):
        raise RuntimeError("nobody has opened the gate")


@contextmanager
def in_thread(task_id: int, *, worker_id: int | None = None) -> Generator[threading.Thread]:
    """Run one task in a thread with its own connection; joined on leaving. Needs a database with
    real commits.
    """
    from django.db import connection

    def work() -> None:
        try:
            runner.run_task(task_id, worker_id=worker_id)
        finally:
            connection.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        gate.opened.set()
        thread.join(30)
        if thread.is_alive():
            raise AssertionError("the task did not come to its end")
