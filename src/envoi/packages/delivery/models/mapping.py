"""Target mappings: which table is written to, and where the logs of that are kept (delivery.md §1.1)."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import text


class DeliveryMapping(models.Model):
    """One mapping. A mapping without a dimension is that of external files.

    `storage` ends the names of its log tables: `nms_broad_log_<storage>`. One log schema serves exactly one
    dimension, otherwise tracking could not find its persons.
    """

    delivery_mapping_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    labels: "models.JSONField[Any]" = models.JSONField(default=dict)
    schema = text(64)
    """Targeting dimension."""
    storage = text(32)
    broad_log_schema = text(64)
    broad_log_excl_schema = text(64)
    tracking_log_schema = text(64)
    forecast_log_schema = text(64)
    recipient_path = text(128)
    """Link from the dimension to the person; empty when it is the person."""
    addresses: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """Expression of each address and of each refusal: {"email": "@email", "blackList": …}."""
    built_in = models.BooleanField(default=False)
    package = text(64)

    SCHEMA = Declaration(
        "nms:deliveryMapping",
        label="Target mappings",
        singular="Target mapping",
        writing="ADMINISTRATION",
        names={"labels": "shippedLabels"},
        labels={
            "schema": "Targeting dimension",
            "storage": "Name of the log tables",
            "broad_log_schema": "Delivery log schema",
            "broad_log_excl_schema": "Exclusion log schema",
            "recipient_path": "Link to the person",
        },
        read_only=frozenset({"built_in", "package"}),
    )

    class Meta:
        db_table = "nms_delivery_mapping"
        ordering = ("label",)
        constraints = (
            models.UniqueConstraint(
                fields=("storage",), condition=~models.Q(storage=""), name="nms_delivery_mapping_storage"
            ),
        )

    def __str__(self) -> str:
        return self.label
