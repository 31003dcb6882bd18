"""Imports of files: the job with its checkpoints, its batches, and what was rejected."""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.models import Folder, Operator
from envoi.kernel.registry import Declaration


class ImportState(models.IntegerChoices):
    """Where an import stands. The order is the order of the work."""

    DRAFT = 0, "being prepared"
    QUEUED = 1, "waiting"
    READING = 2, "reading the file"
    CLEANING = 3, "normalising"
    MERGING = 4, "merging"
    FINISHED = 5, "finished"
    FAILED = 6, "failed"
    CANCELLED = 7, "stopped"
    UNDOING = 8, "being undone"
    UNDONE = 9, "undone"


AT_WORK = (
    ImportState.QUEUED,
    ImportState.READING,
    ImportState.CLEANING,
    ImportState.MERGING,
    ImportState.UNDOING,
)
"""States from which the work goes on by itself, whoever died."""


class Import(models.Model):
    """One import. Everything needed to go on after a crash is in this row, and is committed with the effect
    that it tells of.
    """

    import_id = models.BigAutoField(primary_key=True)
    label = models.CharField(max_length=255)
    state = models.SmallIntegerField(choices=ImportState.choices, default=ImportState.DRAFT)
    schema = models.CharField(max_length=64, default="nms:recipient")
    host = models.CharField(max_length=255)
    """Where the file is: only there the work can go on."""
    path = models.TextField()
    file_name = models.CharField(max_length=255)
    file_size = models.BigIntegerField()
    file_changed_ns = models.BigIntegerField()
    format: "models.JSONField[Any]" = models.JSONField()
    plan: "models.JSONField[Any]" = models.JSONField(default=dict)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    read_offset = models.BigIntegerField(default=0)
    read_line = models.BigIntegerField(default=0)
    """Lines of the file that are behind us."""
    last_line = models.BigIntegerField(default=0)
    """Line of the last row in the staging table; 0 for none. Tells whether that survived a crash."""
    cleaned_line = models.BigIntegerField(default=0)
    merged_line = models.BigIntegerField(default=0)
    undone_batch = models.BigIntegerField(null=True, blank=True)

    rows = models.BigIntegerField(default=0)
    """Rows read, without those that could not be."""
    inserted = models.BigIntegerField(default=0)
    updated = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    deleted = models.BigIntegerField(default=0)
    doubles = models.BigIntegerField(default=0)
    """Rows passed over for a later one with the same key."""
    skipped = models.BigIntegerField(default=0)
    """Rows that the operation does not concern: new ones of an update, known ones of an insertion."""
    rejected = models.BigIntegerField(default=0)
    warnings = models.BigIntegerField(default=0)
    undone = models.BigIntegerField(default=0)
    kept = models.BigIntegerField(default=0)
    """Rows that the undo left as they are, since somebody has changed them since."""

    error = models.TextField(blank=True, default="")
    cancel_requested = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    operator = models.ForeignKey(Operator, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    version = models.BigIntegerField(default=0)
    """Counts every change that a page shows."""

    if TYPE_CHECKING:
        folder_id: int | None
        operator_id: int | None

    SCHEMA = Declaration(
        "xtk:import",
        label="Imports",
        singular="Import",
        folder="folder",
        private=frozenset(
            {
                "path",
                "plan",
                "format",
                "file_changed_ns",
                "read_offset",
                "read_line",
                "last_line",
                "cleaned_line",
                "merged_line",
                "undone_batch",
                "cancel_requested",
                "version",
            }
        ),
        read_only=frozenset({"state", "rows", "inserted", "updated", "rejected"}),
    )

    class Meta:
        db_table = "xtk_import"
        ordering = ("-import_id",)
        indexes = (models.Index(fields=("state",), name="xtk_import_state"),)

    def __str__(self) -> str:
        return self.label

    @property
    def status(self) -> ImportState:
        """The state as a word."""
        return ImportState(self.state)

    @property
    def staging(self) -> str:
        """Name of the table of rows as they are in the file."""
        return f"imp{self.import_id}"

    @property
    def before(self) -> str:
        """Name of the table that keeps what changed rows held before."""
        return f"imp{self.import_id}_before"


class ImportBatch(models.Model):
    """One merged batch: by it the import can be undone. Rows of it carry `at` as time of their change."""

    NO_SCHEMA = "It serves undoing alone; an import tells of itself in its own row."

    batch_id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="batches")
    first_line = models.BigIntegerField()
    last_line = models.BigIntegerField()
    at = models.DateTimeField()
    blocks: "models.JSONField[Any]" = models.JSONField(default=list)
    """First id of each block of ids that new rows were taken from."""
    inserted = models.BigIntegerField()
    updated = models.BigIntegerField()

    class Meta:
        db_table = "xtk_import_batch"


class ImportReject(models.Model):
    """One thing wrong with one line: the line was left out, or (`warning`) the value alone."""

    reject_id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rejects", db_index=False)
    line = models.BigIntegerField()
    column = models.CharField(max_length=128, blank=True, default="")
    value = models.CharField(max_length=255, blank=True, default="")
    reason = models.CharField(max_length=255)
    warning = models.BooleanField(default=False)
    while_reading = models.BooleanField(default=False)
    """Found in the form of the file, not in its values."""
    log_at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:importReject",
        label="Rejected lines",
        singular="Rejected line",
        folder="job/folder",
        text="@reason",
        private=frozenset({"while_reading"}),
        names={"log_at": "log"},
        collections={"job": "reject"},
    )

    class Meta:
        db_table = "xtk_import_reject"
        indexes = (
            models.Index(fields=("job", "line"), name="xtk_import_reject_line"),
            models.Index(fields=("log_at",), name="xtk_import_reject_log"),
        )
