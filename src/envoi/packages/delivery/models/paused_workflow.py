"""What was told about workflows that stay paused (engine.md §8.2)."""

from django.db import models


class PausedWorkflow(models.Model):
    """One pause of a workflow about which people were told. `paused_at` says which; a new one counts anew."""

    workflow_id = models.BigIntegerField(primary_key=True)
    paused_at = models.DateTimeField()
    notices = models.IntegerField()
    noticed_at = models.DateTimeField()
    """When the last notice was written."""

    class Meta:
        db_table = "nms_paused_workflow"
