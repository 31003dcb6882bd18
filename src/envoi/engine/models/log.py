"""The journal (engine.md §1.4), kept as message and parameters so that each reader gets it in their own
language.
"""

from typing import Any

from django.db import models

from envoi.engine.models.workflow import Workflow
from envoi.kernel.registry import Declaration


class Level(models.IntegerChoices):
    """Level of a line."""

    INFO = 0, "info"
    WARNING = 1, "warning"
    ERROR = 2, "error"


class LogLine(models.Model):
    """One line. `message` is an English message id with %(name)s places, or a script's own text without
    parameters.
    """

    log_id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False)
    run_number = models.BigIntegerField()
    task_id = models.BigIntegerField(null=True)
    activity = models.CharField(max_length=64, blank=True, default="")
    level = models.SmallIntegerField(choices=Level.choices, default=Level.INFO)
    message = models.TextField()
    params: "models.JSONField[Any]" = models.JSONField(null=True)
    at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:workflowLog",
        label="Journal",
        singular="Line of the journal",
        folder="workflow/folder",
        text="@message",
        names={"task_id": "task-id", "at": "logDate"},
        collections={"workflow": "log"},
    )

    class Meta:
        db_table = "xtk_workflow_log"
        indexes = (models.Index(fields=("workflow", "log_id"), name="xtk_workflow_log_workflow"),)
