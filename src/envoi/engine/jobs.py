"""What the dispatcher's jobs do. Each runs in a thread of the worker with a database connection of
its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from procrastinate.contrib.django import app

from envoi.engine.dispatcher import Job

pool: ThreadPoolExecutor | None = None
"""The worker's threads; set while a worker runs."""
worker_id: int | None = None
draining = threading.Event()
"""Set when the worker is to end: what is running is completed, nothing more is begun."""


@app.task(name=Job.ACTIVITY.value)
async def activity(task: int) -> None:
    """Run a task."""
    from envoi.engine import runner

    await _in_thread(
        lambda: runner.run_task(
            task, worker_id=worker_id, chain_s=runner.LONGEST_CHAIN_S, draining=draining.is_set
        )
    )


@app.task(name=Job.COMMANDS.value)
async def commands(workflow: int) -> None:
    """Apply the commands that wait for a workflow."""
    from envoi.engine import commands as verbs

    await _in_thread(lambda: verbs.apply_queued(workflow))


@app.task(name=Job.OUTBOX.value)
async def outbox() -> None:
    """Deliver what waits in the outbox."""
    from envoi.kernel import outbox as box

    await _in_thread(box.deliver)


@app.task(name=Job.BACKGROUND.value)
async def background(name: str, number: int) -> None:
    """Do a piece of work of a package."""
    from envoi.engine import background as works

    await _in_thread(lambda: works.carry_out(name, number))


async def _in_thread(work: Callable[[], Any]) -> None:
    await asyncio.get_running_loop().run_in_executor(pool, _with_connection, work)


def _with_connection(work: Callable[[], Any]) -> None:
    from django.db import connection

    from envoi.engine.runner import connection_lost
    from envoi.kernel import registry

    try:
        # What was added to the schemas until now is known to all that the job does.
        registry.fresh()
        work()
    except BaseException as error:
        if connection_lost(error):
            connection.close()
        raise
