"""Approvals: who was asked, and what they answered (engine.md §7.3)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.engine.models.workflow import Workflow
from envoi.kernel.models import Operator
from envoi.kernel.registry import Declaration


class Approval(models.Model):
    """One person's part in one approval task. Title and message are kept as they were asked."""

    approval_id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False)
    task_id = models.BigIntegerField()
    activity = models.CharField(max_length=64)
    operator = models.ForeignKey(Operator, models.CASCADE, related_name="+")
    title = models.CharField(max_length=255)
    message = models.TextField(blank=True, default="")
    multiple = models.BooleanField(default=False)
    asked_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    """When nothing could be answered any more: someone had answered, or it had expired."""
    answer = models.CharField(max_length=64, blank=True, default="")
    """Name of the transition chosen."""
    comment = models.TextField(blank=True, default="")
    answered_at = models.DateTimeField(null=True)

    if TYPE_CHECKING:
        workflow_id: int
        operator_id: int

    SCHEMA = Declaration(
        "xtk:workflowApproval",
        label="Approvals",
        singular="Approval",
        folder="workflow/folder",
        text="@title",
        names={"task_id": "task-id"},
        collections={"workflow": "approval"},
    )

    class Meta:
        db_table = "xtk_workflow_approval"
        constraints = (
            models.UniqueConstraint(fields=("task_id", "operator"), name="xtk_workflow_approval_once"),
        )
        indexes = (
            models.Index(
                fields=("operator", "approval_id"),
                condition=models.Q(closed_at__isnull=True),
                name="xtk_workflow_approval_open",
            ),
        )
