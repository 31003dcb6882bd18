"""cleanupPausedWorkflows: tells people about workflows paused for too long, and stops them in the end.

Reads: workflows, their supervisors, the option NmsServer_PausedWorkflowPeriod.
Writes: what was told so far, mails, the stop of a workflow after the last notice with a line in its journal.
Safe to run twice: yes, a notice is written once for each period.
If it fails: its supervisors are told; nothing was stopped, and the next run goes on from what was told.
"""

from django.utils.translation import gettext_noop as _

from envoi.engine.schedule import Schedule
from envoi.engine.workflow import Workflow, call, end, schedule
from envoi.packages.delivery.services import paused_workflows

workflow = Workflow(
    name="cleanupPausedWorkflows",
    label=_("Paused workflows cleanup"),
    labels={
        "fr": "Nettoyage des workflows en pause",
        "sv": "Rensning av pausade arbetsflöden",
        "ko": "일시 중지된 워크플로우 정리",
        "zh-hant": "暫停的工作流程清除",
    },
    activities=(
        schedule(
            "every_monday",
            Schedule.from_json({"frequency": "weekly", "weekdays": ["mon"], "at": "05:00"}),
            then="check",
        ),
        call("check", paused_workflows.check, then="end"),
        end(),
    ),
)
