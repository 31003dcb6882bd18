"""A workflow: definition and running instance in one row (engine.md §1), its versions and its execution
account.
"""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.models import Folder, Group, Operator
from envoi.kernel.registry import Declaration


class State(models.IntegerChoices):
    """State codes of a workflow (engine.md §1.3); "failed" is a flag beside them."""

    EDITION = 0, "editing"
    STARTING = 10, "starting"
    STARTED = 11, "started"
    PAUSING = 12, "pausing"
    PAUSED = 13, "paused"
    RESUMING = 14, "resuming"
    STOPPING = 15, "stopping"
    STOPPING2 = 16, "stopping"
    RESTARTING = 17, "restarting"
    RESTARTING2 = 18, "restarting"
    FINISHED = 20, "finished"


class Severity(models.IntegerChoices):
    """Attribute `production` (engine.md §4.2)."""

    NORMAL = 0, "normal"
    PRODUCTION = 1, "production"
    CRITICAL = 2, "critical"


class ErrorPolicy(models.IntegerChoices):
    """What an error does (engine.md §5.6); an activity may also inherit its workflow's."""

    SUSPEND = 0, "suspend"
    IGNORE = 1, "ignore"
    ABORT = 2, "abort"


class Workflow(models.Model):
    """One workflow or template. `version` grows with each change that a reader could see (ETag of its
    pages).
    """

    workflow_id = models.BigAutoField(primary_key=True)
    internal_name = models.CharField(max_length=128, unique=True)
    label = models.CharField(max_length=255)
    labels: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Labels of a shipped workflow by language: {"fr": …}; an operator's own label empties it."""
    description = models.TextField(blank=True, default="")
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    package = models.CharField(max_length=64, blank=True, default="")
    built_in = models.BooleanField(default=False)
    is_model = models.BooleanField(default=False)
    model_name = models.CharField(max_length=128, blank=True, default="")
    process_folder = models.ForeignKey(Folder, null=True, on_delete=models.SET_NULL, related_name="+")
    """Of a template: where the workflows go that are made from it."""

    definition: "models.JSONField[Any]" = models.JSONField()
    definition_number = models.BigIntegerField(default=1)

    state = models.SmallIntegerField(choices=State.choices, default=State.EDITION)
    start_state = models.SmallIntegerField(default=0)
    failed = models.BooleanField(default=False)
    simulation = models.BooleanField(default=False)
    version = models.BigIntegerField(default=1)

    production = models.SmallIntegerField(choices=Severity.choices, default=Severity.NORMAL)
    history = models.IntegerField(default=30)
    """Days that tasks, events and journal are kept; 0 keeps them for ever."""
    on_error = models.SmallIntegerField(choices=ErrorPolicy.choices, default=ErrorPolicy.SUSPEND)
    consecutive_errors = models.IntegerField(default=0)
    timezone = models.CharField(max_length=64, default="_inherit_")
    affinity = models.CharField(max_length=64, blank=True, default="")
    schema = models.CharField(max_length=64, blank=True, default="nms:recipient")
    show_sql = models.BooleanField(default=False)
    keep_results = models.BooleanField(default=False)
    priority = models.SmallIntegerField(default=0)
    background = models.CharField(max_length=255, blank=True, default="")
    scenario = models.CharField(max_length=64, default="notifySupervisor")
    supervisor_operator = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")
    supervisor_group = models.ForeignKey(Group, null=True, on_delete=models.SET_NULL, related_name="+")
    script = models.TextField(blank=True, default="")
    """The workflow's own script; may define `onStart`."""

    variables: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Instance variables."""
    run_number = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")
    finished_at = models.DateTimeField(null=True)
    stopped_by_hand = models.BooleanField(default=False)
    """Finished because an operator stopped it, not because nothing was left to do."""
    paused_at = models.DateTimeField(null=True)
    last_processing_at = models.DateTimeField(null=True)
    busy_since = models.DateTimeField(null=True)
    """When it last began to have something to do; empty while it waits."""
    worked = models.BooleanField(default=False)
    """A transition has fired since then: what goes on is a run, not a look at the clock."""
    parent_task_id = models.BigIntegerField(null=True)
    """Task of the workflow that runs this one as its sub-workflow."""

    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")
    modified_at = models.DateTimeField()
    modified_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")

    if TYPE_CHECKING:
        folder_id: int
        process_folder_id: int | None
        started_by_id: int | None
        created_by_id: int | None
        modified_by_id: int | None

    SCHEMA = Declaration(
        "xtk:workflow",
        label="Workflows",
        singular="Workflow",
        folder="folder",
        writing="WORKFLOW",
        names={
            "parent_task_id": "parentTask-id",
            "labels": "shippedLabels",
            "process_folder": "folderProcess",
        },
        collections={"folder": "workflow"},
    )

    class Meta:
        db_table = "xtk_workflow"
        ordering = ("label", "workflow_id")
        indexes = (
            models.Index(fields=("folder",), name="xtk_workflow_folder"),
            models.Index(fields=("state", "failed"), name="xtk_workflow_state"),
            models.Index(
                fields=("parent_task_id",),
                condition=models.Q(parent_task_id__isnull=False),
                name="xtk_workflow_parent",
            ),
        )

    def __str__(self) -> str:
        return self.label

    def label_in(self, language: str) -> str:
        """Return the label in `language` ("fr", "zh-hant"), falling back to the stored one."""
        return str(self.labels.get(language) or self.labels.get(language.split("-")[0]) or self.label)


class WorkflowVersion(models.Model):
    """A definition that a workflow had; the present one is also in the workflow's row."""

    workflow_version_id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.BigIntegerField()
    definition: "models.JSONField[Any]" = models.JSONField()
    comment = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")

    SCHEMA = Declaration(
        "xtk:workflowVersion",
        label="Versions of workflows",
        singular="Version of a workflow",
        folder="workflow/folder",
        text="@number",
        collections={"workflow": "version"},
    )

    class Meta:
        db_table = "xtk_workflow_version"
        constraints = (
            models.UniqueConstraint(fields=("workflow", "number"), name="xtk_workflow_version_once"),
        )


class WorkflowRun(models.Model):
    """A time in which a workflow was at work, from waking up to waiting or ending; how long runs
    take is read here.
    """

    workflow_run_id = models.BigAutoField(primary_key=True)
    workflow = models.ForeignKey(Workflow, models.CASCADE, db_constraint=False, related_name="runs")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    failed = models.BooleanField(default=False)

    SCHEMA = Declaration(
        "xtk:workflowRun",
        label="Runs",
        singular="Run",
        folder="workflow/folder",
        collections={"workflow": "run"},
    )

    class Meta:
        db_table = "xtk_workflow_run"
        indexes = (models.Index(fields=("workflow", "workflow_run_id"), name="xtk_workflow_run_workflow"),)


class Login(models.Model):
    """The execution account of a workflow: in whose name it runs, whoever starts it (engine.md §8.1)."""

    workflow_login_id = models.BigAutoField(primary_key=True)
    workflow = models.OneToOneField(Workflow, on_delete=models.CASCADE, related_name="login")
    operator = models.ForeignKey(Operator, on_delete=models.CASCADE, related_name="+")

    if TYPE_CHECKING:
        operator_id: int

    SCHEMA = Declaration(
        "xtk:workflowLogin",
        label="Execution accounts",
        singular="Execution account",
        folder="workflow/folder",
        reading="ADMINISTRATION",
        collections={"workflow": "login"},
    )

    class Meta:
        db_table = "xtk_workflow_login"
