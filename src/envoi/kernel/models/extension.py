"""What an instance adds to its schemas at run time: fields, links, tables.

The columns and tables themselves are made by SQL and stand in no model.
"""

from typing import Any

from django.db import models

from envoi.kernel.models.operator import Operator
from envoi.kernel.registry import Declaration, Type


class IndexState(models.TextChoices):
    """How far the index of an added link is; it is made beside everything else that goes on."""

    NONE = "none", "none"
    MAKING = "making", "being made"
    READY = "ready", "ready"


class SchemaStamp(models.Model):
    """One row, whose stamp is another after each change: by it every process notices."""

    NO_SCHEMA = "It tells processes when to look again, and holds nothing that anybody asks for."

    stamp_id = models.BigIntegerField(primary_key=True)
    stamp = models.UUIDField()

    class Meta:
        db_table = "xtk_schema_stamp"


class AddedTable(models.Model):
    """A table of the instance's own, `cus:store`. Its key is a bigint that PostgreSQL numbers."""

    added_table_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    table_name = models.CharField(max_length=63, unique=True)
    label = models.CharField(max_length=128)
    singular = models.CharField(max_length=128)
    keys: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Keys beside the primary one: name to names of attributes and links."""
    parent = models.CharField(max_length=64, blank=True, default="")
    """The link by which rows lie in a folder; empty when they lie in none."""
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")

    SCHEMA = Declaration(
        "xtk:addedTable",
        label="Added tables",
        singular="Added table",
        writing="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_added_table"
        ordering = ("added_table_id",)


class AddedField(models.Model):
    """A field or a link of a schema. A link has a `target`, and a bigint column without a foreign key."""

    added_field_id = models.BigAutoField(primary_key=True)
    schema = models.CharField(max_length=64)
    name = models.CharField(max_length=64)
    column_name = models.CharField(max_length=63)
    label = models.CharField(max_length=128)
    type = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Type])
    length = models.IntegerField(null=True)
    default = models.CharField(max_length=255, null=True)
    """The constant that a row has when nothing is said, as text; null for none."""
    list_name = models.CharField(max_length=64, blank=True, default="")
    """The itemized list that its values come from."""
    enumeration: "models.JSONField[Any]" = models.JSONField(null=True)
    """Values that it is confined to: {"name": …, "values": [{"value", "name", "label"}]}."""
    target = models.CharField(max_length=64, blank=True, default="")
    reverse = models.CharField(max_length=64, blank=True, default="")
    """Name under which the target of a link sees these rows; empty when it does not."""
    index_state = models.CharField(max_length=8, choices=IndexState.choices, default=IndexState.NONE)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")

    SCHEMA = Declaration(
        "xtk:addedField",
        label="Added fields",
        singular="Added field",
        writing="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_added_field"
        ordering = ("added_field_id",)
        constraints = (models.UniqueConstraint(fields=("schema", "name"), name="xtk_added_field_once"),)
