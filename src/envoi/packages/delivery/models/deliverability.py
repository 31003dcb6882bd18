"""What the workflow deliverabilityUpdate has taken from the feed of rules (delivery.md §3.6)."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Declaration


class DeliverabilityUpdate(models.Model):
    """One version of the feed: fetched and verified, then carried out in one transaction."""

    deliverability_update_id = models.BigAutoField(primary_key=True)
    version = models.BigIntegerField(unique=True)
    issued_at = models.DateTimeField()
    fetched_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True, blank=True)
    """NULL: it waits to be carried out."""
    url = models.TextField()
    content: "models.JSONField[Any]" = models.JSONField(default=dict)
    """The document, as long as it is the latest that was carried out."""
    outcome: "models.JSONField[Any]" = models.JSONField(default=dict)
    """What it changed, by section."""

    SCHEMA = Declaration(
        "nms:deliverabilityUpdate",
        label="Deliverability updates",
        singular="Deliverability update",
        text="@version",
        reading="ADMINISTRATION",
        names={"issued_at": "issued", "fetched_at": "fetched", "applied_at": "applied"},
        labels={
            "version": "Version",
            "issued_at": "Issued",
            "fetched_at": "Fetched",
            "applied_at": "Carried out",
            "url": "Address",
            "outcome": "What it changed",
        },
        private=frozenset({"content"}),
        read_only=frozenset({"version", "issued_at", "fetched_at", "applied_at", "url", "outcome"}),
    )

    class Meta:
        db_table = "nms_deliverability_update"
        ordering = ("-version",)
