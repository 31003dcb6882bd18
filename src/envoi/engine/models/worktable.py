"""Work tables: the populations that transitions carry (architecture §2.4)."""

from typing import Any

from django.db import models

from envoi.engine.models.workflow import Workflow
from envoi.kernel.registry import Declaration


class WorkTable(models.Model):
    """One SQL table `wkf<workflow>_<n>` that exists; the row and the table are made in one transaction."""

    work_table_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=63, unique=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False)
    run_number = models.BigIntegerField()
    created_at = models.DateTimeField()
    columns: "models.JSONField[Any]" = models.JSONField(default=list)

    SCHEMA = Declaration(
        "xtk:workTable",
        label="Work tables",
        singular="Work table",
        folder="workflow/folder",
        collections={"workflow": "workTable"},
    )

    class Meta:
        db_table = "xtk_work_table"
        indexes = (models.Index(fields=("workflow",), name="xtk_work_table_workflow"),)
