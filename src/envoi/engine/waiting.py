"""Waiting for the effect of a command: until nothing of a workflow is under way (used by the
command line).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from envoi.engine import access, commands, sql, ticker
from envoi.engine.models import State
from envoi.kernel import clock
from envoi.kernel.rights import Actor

STEP_S = 0.05


def is_passive(workflow_id: int) -> bool:
    """Return whether no command waits and nothing runs or is due: the workflow waits, is paused or
    has ended.
    """
    row = sql.one(
        """SELECT w.state NOT IN (10, 12, 14, 15, 16, 17, 18)
             AND NOT EXISTS (SELECT 1 FROM xtk_workflow_job j WHERE j.workflow_id = w.workflow_id AND
             j.status = 0)
             AND NOT EXISTS (SELECT 1 FROM xtk_workflow_task t WHERE t.workflow_id = w.workflow_id
               AND (t.status = 2 OR (t.status = 0 AND t.due_at <= %(now)s AND w.state = 11))) AS passive
           FROM xtk_workflow w WHERE w.workflow_id = %(workflow)s""",
        {"workflow": workflow_id, "now": clock.now()},
    )
    return row is None or row["passive"]


def until_passive(workflow_id: int, seconds: float | None) -> bool:
    """Wait until it is passive; False when `seconds` have gone by before. None waits for ever."""
    deadline = None if seconds is None else clock.monotonic() + seconds
    while not is_passive(workflow_id):
        if deadline is not None and clock.monotonic() >= deadline:
            return False
        time.sleep(STEP_S)
    return True


def run_through(
    actor: Actor, name: str, *, seconds: float | None = None, variables: Mapping[str, Any] | None = None
) -> bool:
    """Start a workflow if it does not run, execute what is pending, and wait until it has nothing to do.

    It needs a worker, and no open transaction. `seconds` each for the start and for the execution; False when
    they have gone by before. Raises as `commands.post`.
    """
    found = access.find(actor, name)
    if found.state in (State.EDITION, State.FINISHED, State.PAUSED):
        given: dict[str, Any] = {"variables": dict(variables)} if variables else {}
        commands.post(actor, name, commands.Command.START, **given)
    done = until_passive(found.workflow_id, seconds)
    found.refresh_from_db()
    if done and found.state == State.STARTED:
        commands.post(actor, name, commands.Command.WAKEUP)
        done = until_passive(found.workflow_id, seconds)
    return done


def worker_alive() -> bool:
    """Return whether any worker's beat moves; takes as long as two beats when there is one that
    died unseen.
    """
    before = _beats()
    deadline = clock.monotonic() + 2 * ticker.BEAT_S
    while before and clock.monotonic() < deadline:
        now = _beats()
        if any(now.get(worker, beat) != beat for worker, beat in before.items()):
            return True
        time.sleep(STEP_S)
    return False


def _beats() -> dict[int, int]:
    found = sql.rows("SELECT worker_id, beat FROM xtk_worker WHERE state IN (0, 1)")
    return {row["worker_id"]: row["beat"] for row in found}
