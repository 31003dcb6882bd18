"""The audit trail (engine.md §8.5): who did what to which object, and when."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Declaration


class AuditEntry(models.Model):
    """One line. `operator_name` is kept as text so that the line outlives the operator."""

    audit_id = models.BigAutoField(primary_key=True)
    entity = models.CharField(max_length=64)
    """Schema name of the object: `xtk:workflow`."""
    entity_id = models.BigIntegerField(null=True)
    entity_key = models.CharField(max_length=255)
    """What a person calls the object: internal name of a workflow, name of an option."""
    action = models.CharField(max_length=64)
    """`Created`, `Modified`, `Deleted`, or the name of a command (`Start`, `Unconditional Stop`, …)."""
    at = models.DateTimeField()
    operator_id = models.BigIntegerField(null=True)
    operator_name = models.CharField(max_length=128)
    detail: "models.JSONField[Any]" = models.JSONField(default=dict)

    SCHEMA = Declaration(
        "xtk:audit",
        label="Audit trail",
        singular="Audit entry",
        reading="ADMINISTRATION",
        text="@entityKey",
        names={"operator_id": "operator-id", "entity_id": "entity-id"},
    )

    class Meta:
        db_table = "xtk_audit"
        indexes = (
            models.Index(fields=("entity", "entity_id", "audit_id"), name="xtk_audit_object"),
            models.Index(fields=("at",), name="xtk_audit_at"),
        )
