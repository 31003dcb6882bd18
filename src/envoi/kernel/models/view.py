"""Saved views of lists: which columns and rows of a schema, in which order."""

from typing import Any

from django.db import models

from envoi.kernel.models.operator import Operator
from envoi.kernel.registry import Declaration


class SavedView(models.Model):
    """One view. It belongs to whom made it; a shared one is offered to everyone who may read the schema."""

    view_id = models.BigAutoField(primary_key=True)
    schema = models.CharField(max_length=128)
    name = models.CharField(max_length=64)
    owner: "models.ForeignKey[Operator]" = models.ForeignKey(
        Operator, on_delete=models.CASCADE, related_name="+"
    )
    shared = models.BooleanField(default=False)
    is_default = models.BooleanField(default=False)
    """The owner's list of this schema opens with it."""
    columns: "models.JSONField[Any]" = models.JSONField(default=list)
    """Expressions: ["@label", "[folder/@label]"]."""
    filter: "models.JSONField[Any]" = models.JSONField(default=list)
    """Conditions, as `kernel.query` writes them."""
    sort = models.CharField(max_length=255, blank=True, default="")
    """An expression; with "-" before it, the greatest first."""
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:view",
        label="Saved views",
        singular="Saved view",
        reading="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_view"
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("schema", "owner", "name"), name="xtk_view_once"),)

    def __str__(self) -> str:
        return self.name
