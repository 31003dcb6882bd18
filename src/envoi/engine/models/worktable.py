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
    """[[name, SQL type], …] of the table."""
    shape: "models.JSONField[Any]" = models.JSONField(default=dict)
    """What the table means to expressions: see `engine.population`; empty for a table without a
    population.
    """

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


class History(models.Model):
    """One table `wkfhisto<workflow>_<n>`: the keys that an incremental query has already given (engine.md
    §6.1).

    It belongs to the activity and outlives its runs; it goes with the workflow.
    """

    history_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=63, unique=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False, related_name="+")
    activity = models.CharField(max_length=64)
    run_number = models.BigIntegerField(default=0)
    """The run that used it last."""
    created_at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:workflowHistory",
        label="Memories of incremental queries",
        singular="Memory of an incremental query",
        folder="workflow/folder",
        collections={"workflow": "queryHistory"},
    )

    class Meta:
        db_table = "xtk_workflow_history"
        constraints = (
            models.UniqueConstraint(fields=("workflow", "activity"), name="xtk_workflow_history_once"),
        )
