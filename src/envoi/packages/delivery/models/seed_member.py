"""Seed addresses: they get what a target gets, and count in no figure (campaign.md §1.7)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Folder
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models import person
from envoi.packages.delivery.models.person import Person, text


class SeedMember(Person):
    """One seed address. In logs its target id is `-seed_member_id`: the negative range is theirs, so that no
    seed is ever taken for a recipient (architecture §2.5).

    One that belongs to a delivery or a campaign alone carries its id; the others are templates to pick from.
    """

    seed_member_id = models.BigAutoField(primary_key=True)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    label = text(128)
    delivery_id = models.BigIntegerField(null=True, blank=True)
    operation_id = models.BigIntegerField(null=True, blank=True)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        folder_id: int

    SCHEMA = Declaration(
        "nms:seedMember",
        label="Seed addresses",
        singular="Seed address",
        folder="folder",
        text="Iif(@label <> '', @label, @email)",
        names={
            **person.NAMES,
            "created_at": "created",
            "modified_at": "lastModified",
            "delivery_id": "delivery-id",
            "operation_id": "operation-id",
        },
        labels={**person.LABELS, "delivery_id": "Delivery", "operation_id": "Campaign"},
        read_only=frozenset({"created_at", "modified_at"}),
        collections={"folder": "seedMember"},
        computed=person.COMPUTED,
    )

    class Meta:
        db_table = "nms_seed_member"
        ordering = ("label", "seed_member_id")
        indexes = (
            models.Index(
                fields=("delivery_id",),
                condition=models.Q(delivery_id__isnull=False),
                name="nms_seed_member_delivery",
            ),
            models.Index(
                fields=("operation_id",),
                condition=models.Q(operation_id__isnull=False),
                name="nms_seed_member_operation",
            ),
        )
