"""The command queue: Start, Stop, Pause … posted to the engine (engine.md §3)."""

from typing import Any

from django.db import models

from envoi.engine.models.workflow import Workflow
from envoi.kernel.registry import Declaration


class CommandState(models.IntegerChoices):
    """Where a command stands."""

    QUEUED = 0, "queued"
    DONE = 1, "done"
    REFUSED = 2, "refused"


class QueuedCommand(models.Model):
    """One command, applied in the order of its id when a worker is free."""

    job_id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False)
    command = models.CharField(max_length=32)
    parameters: "models.JSONField[Any]" = models.JSONField(default=dict)
    operator_id = models.BigIntegerField(null=True)
    operator_name = models.CharField(max_length=128)
    status = models.SmallIntegerField(choices=CommandState.choices, default=CommandState.QUEUED)
    created_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    message = models.TextField(blank=True, default="")

    SCHEMA = Declaration(
        "xtk:workflowJob",
        label="Commands",
        singular="Command",
        folder="workflow/folder",
        text="@command",
        names={"operator_id": "operator-id"},
        collections={"workflow": "job"},
    )

    class Meta:
        db_table = "xtk_workflow_job"
        indexes = (
            models.Index(
                fields=("workflow", "job_id"), condition=models.Q(status=0), name="xtk_workflow_job_queued"
            ),
        )
