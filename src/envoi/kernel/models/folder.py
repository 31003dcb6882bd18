"""Folders: the tree of the explorer, and the rights on it (delivery.md §1.5)."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Declaration


class Folder(models.Model):
    """A place in the tree. `model` is the schema that lives in it (`xtk:workflow`), if any."""

    folder_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    labels: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Labels by language for folders that a package ships: {"fr": …}."""
    model = models.CharField(max_length=64, blank=True, default="")
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    path = models.CharField(max_length=1024, unique=True)
    """Names from the root, "/administration/production/nmsTechnicalWorkflow/": a prefix finds a branch."""
    position = models.IntegerField(default=0)
    is_view = models.BooleanField(default=False)
    view_filter: "models.JSONField[Any]" = models.JSONField(default=dict)
    built_in = models.BooleanField(default=False)
    package = models.CharField(max_length=64, blank=True, default="")

    SCHEMA = Declaration(
        "xtk:folder",
        label="Folders",
        singular="Folder",
        folder=".",
        names={"path": "fullName"},
        labels={"path": "Full name"},
        collections={"parent": "child"},
    )

    class Meta:
        db_table = "xtk_folder"
        ordering = ("position", "label")

    def __str__(self) -> str:
        return self.label


class FolderRight(models.Model):
    """What one operator or group may do in one folder. A folder without any such row follows its parent."""

    folder_right_id = models.BigAutoField(primary_key=True)
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="rights")
    operator = models.ForeignKey("kernel.Operator", null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey("kernel.Group", null=True, on_delete=models.CASCADE, related_name="+")
    can_read = models.BooleanField(default=True)
    can_write = models.BooleanField(default=False)
    can_delete = models.BooleanField(default=False)

    SCHEMA = Declaration(
        "xtk:folderRight",
        label="Rights on folders",
        singular="Right on a folder",
        folder="folder",
        reading="ADMINISTRATION",
        collections={"folder": "right"},
    )

    class Meta:
        db_table = "xtk_folder_right"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(operator__isnull=True) ^ models.Q(group__isnull=True),
                name="xtk_folder_right_one_holder",
            ),
            models.UniqueConstraint(
                fields=("folder", "operator", "group"), nulls_distinct=False, name="xtk_folder_right_once"
            ),
        )
