"""What the nightly cleanup takes away of workflows (engine.md §8.6, steps 7 and 8), in batches that a caller
commits one by one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString, cast

from django.utils.translation import gettext as _

from envoi.engine import editing, sql, worktable
from envoi.engine.models import State, Workflow
from envoi.engine.supervision import RUNS_SHOWN
from envoi.kernel import clock, options
from envoi.kernel.rights import Actor, Right

MOST = 20_000
"""Rows of each table in one batch."""
MOST_WORKFLOWS = 20
"""Workflows of which tables are dropped in one batch: each table is a lock until the commit."""
RESULTS = "NmsCleanup_WorkflowResultPurgeDelay"

_EXPIRED: tuple[LiteralString, ...] = (
    """DELETE FROM xtk_workflow_log WHERE log_id IN (
         SELECT x.log_id FROM xtk_workflow_log x JOIN xtk_workflow w USING (workflow_id)
         WHERE w.history > 0 AND x.at < %(now)s - make_interval(days => w.history) LIMIT %(most)s)""",
    """DELETE FROM xtk_workflow_event WHERE event_id IN (
         SELECT x.event_id FROM xtk_workflow_event x JOIN xtk_workflow w USING (workflow_id)
         WHERE w.history > 0 AND x.status > 2 AND x.processed_at < %(now)s - make_interval(days => w.history)
         LIMIT %(most)s)""",
    """DELETE FROM xtk_workflow_task WHERE task_id IN (
         SELECT x.task_id FROM xtk_workflow_task x JOIN xtk_workflow w USING (workflow_id)
         WHERE w.history > 0 AND x.status IN (1, 3, 4)
           AND x.completed_at < %(now)s - make_interval(days => w.history) LIMIT %(most)s)""",
    """DELETE FROM xtk_workflow_approval WHERE approval_id IN (
         SELECT x.approval_id FROM xtk_workflow_approval x JOIN xtk_workflow w USING (workflow_id)
         WHERE w.history > 0 AND x.closed_at < %(now)s - make_interval(days => w.history)
           AND NOT EXISTS (SELECT 1 FROM xtk_workflow_task t WHERE t.task_id = x.task_id) LIMIT %(most)s)""",
    # The last command says who has paused a workflow.
    """DELETE FROM xtk_workflow_job WHERE job_id IN (
         SELECT x.job_id FROM xtk_workflow_job x JOIN xtk_workflow w USING (workflow_id)
         WHERE w.history > 0 AND x.status > 0 AND x.done_at < %(now)s - make_interval(days => w.history)
           AND EXISTS (SELECT 1 FROM xtk_workflow_job later
             WHERE later.workflow_id = x.workflow_id AND later.job_id > x.job_id) LIMIT %(most)s)""",
    # The last runs say how long the next one will take, of a yearly workflow too.
    """DELETE FROM xtk_workflow_run WHERE workflow_run_id IN (
         SELECT x.workflow_run_id FROM xtk_workflow w CROSS JOIN LATERAL (
           SELECT workflow_run_id, ended_at FROM xtk_workflow_run WHERE workflow_id = w.workflow_id
           ORDER BY workflow_run_id DESC OFFSET %(shown)s) AS x
         WHERE w.history > 0 AND x.ended_at < %(now)s - make_interval(days => w.history) LIMIT %(most)s)""",
)


def purge(*, actor: Actor) -> int:
    """Take away one batch of what is older than each workflow's history; 0 when nothing is left to do.

    Journal, processed events, tasks that are over, their approvals, commands and runs go after `history`
    days (0 keeps them); open tasks and what they were given stay. Work tables go that their finished
    workflow has left behind, kept results after the option NmsCleanup_WorkflowResultPurgeDelay, and with them
    ended copies of sub-workflows that nobody waits for. Returns the number of rows and tables. Safe to run
    again at any moment. Raises NotAllowed without ADMINISTRATION.
    """
    actor.require(Right.ADMINISTRATION, to=_("clean up workflows"))
    now = clock.now()
    values = {"now": now, "most": MOST, "shown": RUNS_SHOWN}
    gone = sum(sql.run(statement, values) for statement in _EXPIRED)
    delay = timedelta(seconds=cast("int", options.get(RESULTS, actor=actor, default=0)))
    return gone + _drop_tables(now - delay) + _remove_copies()


def _drop_tables(kept_since: datetime) -> int:
    """Drop the tables of workflows that are finished, and those of which the workflow is gone."""
    rows = sql.rows(
        """SELECT w.workflow_id FROM xtk_workflow w WHERE w.state = 20
             AND EXISTS (SELECT 1 FROM xtk_work_table x WHERE x.workflow_id = w.workflow_id)
             AND (NOT w.keep_results OR w.finished_at < %(since)s)
             AND NOT EXISTS (SELECT 1 FROM xtk_workflow_task t
               WHERE t.task_id = w.parent_task_id AND t.status IN (0, 2, 5, 6))
           ORDER BY w.workflow_id LIMIT %(most)s FOR NO KEY UPDATE OF w SKIP LOCKED""",
        {"since": kept_since, "most": MOST_WORKFLOWS},
    ) or sql.rows(
        """SELECT DISTINCT workflow_id FROM xtk_work_table x
           WHERE NOT EXISTS (SELECT 1 FROM xtk_workflow w WHERE w.workflow_id = x.workflow_id)
           LIMIT %(most)s""",
        {"most": MOST_WORKFLOWS},
    )
    return sum(worktable.drop_all(row["workflow_id"]) for row in rows)


def _remove_copies() -> int:
    """Remove copies of sub-workflows that have ended, when the task that ran them is no longer kept."""
    rows = sql.rows(
        """SELECT w.workflow_id FROM xtk_workflow w WHERE w.state = %(finished)s
             AND w.parent_task_id IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM xtk_workflow_task t WHERE t.task_id = w.parent_task_id)
           LIMIT %(most)s FOR UPDATE OF w SKIP LOCKED""",
        {"finished": int(State.FINISHED), "most": MOST_WORKFLOWS},
    )
    copies = Workflow.objects.filter(pk__in=[row["workflow_id"] for row in rows])
    for copy in copies:
        editing.remove(copy)
    return len(rows)
