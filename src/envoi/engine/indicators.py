"""What the engine adds to the indicators of the monitoring page (engine.md §8.3)."""

from datetime import timedelta

from django.utils.translation import gettext_noop as _

from envoi.engine import sql
from envoi.engine.supervision import LATE_AFTER
from envoi.kernel import clock
from envoi.kernel.indicators import more_indicators
from envoi.kernel.measures import Indicator, below
from envoi.kernel.rights import Actor

MANY = 100
OLD_AFTER = timedelta(days=1)
"""A worker is replaced daily; the old one may still finish what it does."""


@more_indicators.answer
def engine(actor: Actor) -> list[Indicator]:
    """Count tasks whose date has passed and that no worker has taken, failed workflows, and old workers."""
    now = clock.now()
    row = sql.one(
        """SELECT
             (SELECT count(*) FROM xtk_workflow_task t JOIN xtk_workflow w USING (workflow_id)
              WHERE t.status = 0 AND t.due_at < %(late)s AND w.state = 11
                AND w.run_number = t.run_number) AS late,
             (SELECT count(*) FROM xtk_workflow WHERE failed AND state = 13) AS failed,
             (SELECT count(*) FROM xtk_worker WHERE state IN (0, 1) AND started_at < %(old)s) AS old""",
        {"late": now - LATE_AFTER, "old": now - OLD_AFTER},
    )
    late, failed, old = (row["late"], row["failed"], row["old"]) if row else (0, 0, 0)
    return [
        below("lateTasks", _("Late tasks"), late, 1, MANY),
        below("failedWorkflows", _("Failed workflows"), failed, 1, MANY),
        below("oldProcesses", _("Workers older than a day"), old, 1, 2),
    ]
