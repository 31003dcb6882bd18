"""What the engine adds to the indicators of the monitoring page (engine.md §8.3)."""

from django.utils.translation import gettext_noop as _

from envoi.engine import sql
from envoi.engine.supervision import LATE_AFTER
from envoi.kernel import clock
from envoi.kernel.indicators import more_indicators
from envoi.kernel.measures import Indicator, below
from envoi.kernel.rights import Actor

MANY = 100


@more_indicators.answer
def late_tasks(actor: Actor) -> list[Indicator]:
    """Count the tasks whose date has passed and that no worker has taken, and the workflows that failed."""
    row = sql.one(
        """SELECT count(*) AS late, (SELECT count(*) FROM xtk_workflow WHERE failed AND state = 13) AS failed
           FROM xtk_workflow_task t JOIN xtk_workflow w USING (workflow_id)
           WHERE t.status = 0 AND t.due_at < %(before)s AND w.state = 11 AND w.run_number = t.run_number""",
        {"before": clock.now() - LATE_AFTER},
    )
    late, failed = (row["late"], row["failed"]) if row else (0, 0)
    return [
        below("lateTasks", _("Late tasks"), late, 1, MANY),
        below("failedWorkflows", _("Failed workflows"), failed, 1, MANY),
    ]
