"""An event: one firing of a transition (engine.md §1)."""

from typing import Any

from django.db import models

from envoi.engine.models.workflow import Workflow
from envoi.kernel.registry import Declaration


class EventState(models.IntegerChoices):
    """Values above 2 are processed."""

    PENDING = 0, "pending"
    """Waits at an activity that joins several."""
    ASSIGNED = 1, "assigned"
    """A task that is not finished holds it."""
    PROCESSED = 3, "processed"
    DROPPED = 4, "dropped"
    """Nobody took it: no target, disabled target, or the activity was busy."""


class Event(models.Model):
    """One row. `task_id` is the task that it feeds, `source_task_id` the one that fired it."""

    event_id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False)
    run_number = models.BigIntegerField()
    source_task_id = models.BigIntegerField(null=True)
    source = models.CharField(max_length=64)
    transition = models.CharField(max_length=64)
    target = models.CharField(max_length=64, blank=True, default="")
    task_id = models.BigIntegerField(null=True)
    status = models.SmallIntegerField(choices=EventState.choices, default=EventState.PENDING)
    variables: "models.JSONField[Any]" = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True)

    SCHEMA = Declaration(
        "xtk:workflowEvent",
        label="Events",
        singular="Event",
        folder="workflow/folder",
        text="@transition",
        names={"task_id": "task-id", "source_task_id": "sourceTask-id"},
        collections={"workflow": "event"},
    )

    class Meta:
        db_table = "xtk_workflow_event"
        indexes = (
            models.Index(fields=("workflow", "run_number", "source"), name="xtk_workflow_event_run"),
            models.Index(fields=("task_id",), name="xtk_workflow_event_task"),
        )
