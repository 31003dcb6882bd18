"""Waiting for the effect of a command: until nothing of a workflow is under way (used by the
command line).
"""

from __future__ import annotations

import time

from envoi.engine import sql, ticker
from envoi.kernel import clock

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
