"""Work of packages in the worker's threads that is no activity: an import of a file, say.

A piece of work is a name and a number; what is true stands in a row of its own, which is enough to go on
after any crash. It may be called once too often, so it looks at its row first. The timer asks `lost` every
few seconds which pieces have nobody who works on them, and queues those again.
"""

from __future__ import annotations

from collections.abc import Callable

from envoi.engine import dispatcher, sql
from envoi.engine.dispatcher import Job
from envoi.kernel.errors import Broken
from envoi.kernel.hooks import Hook

lost: Hook[[], list[tuple[str, int]]] = Hook("lost")
"""Asked for (name, number) of work that is begun and that no process has; an answer must be cheap."""
_known: dict[str, Callable[[int], None]] = {}


def work(name: str) -> Callable[[Callable[[int], None]], Callable[[int], None]]:
    """Register what is done for pieces of one name; a decorator. Called outside of a transaction."""

    def register(function: Callable[[int], None]) -> Callable[[int], None]:
        if _known.setdefault(name, function) is not function:
            raise Broken(f"Two functions want the work {name!r}.")
        return function

    return register


def enqueue(name: str, number: int) -> None:
    """Queue a piece of work on any worker, in the caller's transaction."""
    if name not in _known:
        raise Broken(f"Nobody does the work {name!r}.")
    dispatcher.enqueue_background(name, number)


def carry_out(name: str, number: int) -> None:
    """Do a piece of work; one of a package that is not installed here is left."""
    if name in _known:
        _known[name](number)


def queue_lost() -> None:
    """Queue what is begun and has neither a process nor a job."""
    for answer in lost.ask():
        for name, number in answer:
            row = sql.one(
                """SELECT 1 FROM procrastinate_jobs WHERE task_name = %(task)s AND status IN ('todo', 'doing')
                   AND args->>'name' = %(name)s AND (args->>'number')::bigint = %(number)s LIMIT 1""",
                {"task": Job.BACKGROUND.value, "name": name, "number": number},
            )
            if row is None:
                enqueue(name, number)
