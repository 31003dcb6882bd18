"""A task: one execution of an activity (engine.md §1.4)."""

from typing import Any

from django.db import models

from envoi.engine.models.workflow import Workflow
from envoi.kernel.registry import Declaration, Incoming


class TaskState(models.IntegerChoices):
    """0 and 1 are the product's codes; the cleanup treats every other than 0 with a completion
    date as done.
    """

    PENDING = 0, "pending"
    COMPLETED = 1, "completed"
    RUNNING = 2, "running"
    ABORTED = 3, "aborted"
    FAILED = 4, "failed"
    """The error was ignored; the branch ended here."""
    ERROR = 5, "error"
    """The workflow stands on it; resuming runs it again."""
    HELD = 6, "held"
    """Activated but not executed; resuming lets it run."""


OPEN = (TaskState.PENDING, TaskState.RUNNING, TaskState.ERROR, TaskState.HELD)


class Task(models.Model):
    """One row. `due_at` empty: it waits for an event. A running task holds a lease (architecture §2.3)."""

    task_id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False)
    run_number = models.BigIntegerField()
    activity = models.CharField(max_length=64)
    status = models.SmallIntegerField(choices=TaskState.choices, default=TaskState.PENDING)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    queued = models.BooleanField(default=False)
    """A job of the dispatcher stands for it."""
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    """When it ended: completed, failed or aborted."""
    affinity = models.CharField(max_length=64, blank=True, default="")
    lease_token = models.UUIDField(null=True)
    worker_id = models.BigIntegerField(null=True)
    backend_pid = models.IntegerField(null=True)
    attempts = models.IntegerField(default=0)
    woken = models.BooleanField(default=False)
    """Made due by "execute pending tasks now" or by an event, not by its own time."""
    cancel_requested = models.BooleanField(default=False)
    forced = models.BooleanField(default=False)
    """Released by an operator although its activity is set to be held."""
    variables: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Task variables."""
    memory: "models.JSONField[Any]" = models.JSONField(default=dict)
    """What the activity keeps between two of its executions: dates fired, last id of a batch, answers."""
    message = models.TextField(blank=True, default="")
    """Why it failed."""

    SCHEMA = Declaration(
        "xtk:workflowTask",
        label="Tasks",
        singular="Task",
        folder="workflow/folder",
        text="@activity",
        names={"worker_id": "worker-id"},
        private=frozenset({"lease_token", "backend_pid"}),
        collections={"workflow": "task"},
        incoming=(
            Incoming("xtk:workflowApproval", "task", "task_id", "approval"),
            Incoming("xtk:workflowEvent", "task", "task_id", "event"),
            Incoming("xtk:workflowEvent", "sourceTask", "source_task_id", label="Source task"),
            Incoming("xtk:workflowLog", "task", "task_id", "log"),
            Incoming("xtk:workflow", "parentTask", "parent_task_id", "subWorkflow", label="Parent task"),
        ),
    )

    class Meta:
        db_table = "xtk_workflow_task"
        indexes = (
            models.Index(fields=("workflow", "run_number", "activity"), name="xtk_workflow_task_run"),
            models.Index(
                fields=("due_at",), condition=models.Q(status=0, queued=False), name="xtk_workflow_task_due"
            ),
            models.Index(
                fields=("workflow",),
                condition=models.Q(status__in=(0, 2, 5, 6)),
                name="xtk_workflow_task_open",
            ),
            models.Index(fields=("worker_id",), condition=models.Q(status=2), name="xtk_workflow_task_busy"),
            models.Index(
                fields=("task_id",),
                condition=models.Q(status=0, queued=True),
                name="xtk_workflow_task_queued",
            ),
        )
