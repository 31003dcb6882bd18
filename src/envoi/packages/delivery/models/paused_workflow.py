"""What was told about workflows that stay paused (engine.md §8.2)."""

from django.db import models

from envoi.kernel.registry import Declaration


class PausedWorkflow(models.Model):
    """One pause of a workflow about which people were told. `paused_at` says which; a new one counts anew."""

    workflow_id = models.BigIntegerField(primary_key=True)
    paused_at = models.DateTimeField()
    notices = models.IntegerField()
    noticed_at = models.DateTimeField()
    """When the last notice was written."""

    SCHEMA = Declaration(
        "nms:pausedWorkflow",
        label="Notices of paused workflows",
        singular="Notice of a paused workflow",
        reading="ADMINISTRATION",
        extensible=False,
    )

    class Meta:
        db_table = "nms_paused_workflow"
