"""Quarantine: what is known of addresses, whoever has them (delivery.md §3.4)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.registry import Declaration, Type
from envoi.packages.delivery.models.delivery import Delivery
from envoi.packages.delivery.models.log import FailureReason
from envoi.packages.delivery.models.person import Channel, number


class AddressStatus(models.IntegerChoices):
    """Of these the product documents 2."""

    UNKNOWN = 0, "unknown"
    ERRORS = 1, "with errors"
    """Still written to; its errors are counted."""
    VALID = 2, "valid"
    DENYLISTED = 3, "denylisted"
    QUARANTINE = 4, "in quarantine"
    ALLOWLISTED = 5, "allowlisted"
    """Always written to; its errors are ignored."""


class Address(models.Model):
    """One address of one channel, as profiles hold it."""

    address_id = models.BigAutoField(primary_key=True)
    address = models.CharField(max_length=254)
    type = models.SmallIntegerField(choices=Channel.choices, default=Channel.EMAIL)
    status = models.SmallIntegerField(choices=AddressStatus.choices, default=AddressStatus.UNKNOWN)
    error_reason = number(choices=FailureReason.choices)
    error_text = models.TextField(blank=True, default="", db_default="")
    error_count = models.IntegerField(default=0, db_default=0)
    last_error = models.DateTimeField(null=True, blank=True)
    last_significant_error = models.DateTimeField(null=True, blank=True)
    """The last that was counted."""
    domain = models.GeneratedField(
        expression=models.Func("address", models.Value("@"), models.Value(2), function="split_part"),
        output_field=models.CharField(max_length=254),
        max_length=254,
        db_persist=True,
    )
    delivery = models.ForeignKey(Delivery, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """Whose message failed last."""
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        delivery_id: int | None

    SCHEMA = Declaration(
        "nms:address",
        label="Non deliverables and addresses",
        singular="Address",
        text="@address",
        names={"created_at": "created", "modified_at": "lastModified"},
        labels={"type": "Channel", "error_count": "Number of errors", "delivery": "Last delivery"},
        types={"domain": Type.STRING},
        read_only=frozenset({"created_at", "modified_at"}),
    )

    class Meta:
        db_table = "nms_address"
        constraints = (models.UniqueConstraint(fields=("address", "type"), name="nms_address_once"),)
        indexes = (
            models.Index(fields=("status", "modified_at"), name="nms_address_status"),
            models.Index(fields=("address", "type"), condition=models.Q(status=1), name="nms_address_errors"),
        )
