"""The heat map's memory: when activities ran, kept longer than their tasks (engine.md §8.4)."""

from django.db import models

from envoi.kernel.registry import Declaration


class HeatMapTask(models.Model):
    """One finished execution of an activity, with all that the heat map says of it.

    Names are copied, since the task, and the workflow itself, may be gone when they are asked for.
    """

    task_id = models.BigIntegerField(primary_key=True)
    workflow_id = models.BigIntegerField()
    workflow_name = models.CharField(max_length=128)
    workflow_label = models.CharField(max_length=255)
    campaign = models.CharField(max_length=255, blank=True, default="")
    activity = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField()
    run_seconds = models.FloatField()
    """How long the run of the workflow lasted in which it fell."""

    SCHEMA = Declaration(
        "xtk:heatMapTask",
        label="Executions of the heat map",
        singular="Execution of the heat map",
        reading="ADMINISTRATION",
        text="@workflowName",
        names={"workflow_id": "workflow-id"},
    )

    class Meta:
        db_table = "xtk_heat_map_task"
        indexes = (models.Index(fields=("completed_at",), name="xtk_heat_map_task_completed"),)
