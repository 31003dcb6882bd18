"""Approvals of deliveries: what was submitted to whom, and what they said (delivery.md §2.4)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Operator
from envoi.packages.delivery.models.delivery import Delivery


class ApprovalStep(models.TextChoices):
    """What of a delivery can be approved. The budget comes with marketing resources."""

    TARGET = "target", "target"
    CONTENT = "content", "content"
    EXTRACTION = "extraction", "extraction"
    PROOF = "proof", "proof"
    START = "start", "start"


class DeliveryApproval(models.Model):
    """One submission of one step. A step that is rejected, or whose matter has changed, is submitted anew."""

    delivery_approval_id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="submissions")
    step = models.CharField(max_length=16, choices=ApprovalStep.choices)
    basis = models.CharField(max_length=64)
    """What was submitted: number of the analysis, or digest of the content. What no longer fits is void."""
    submitted_at = models.DateTimeField()
    submitted_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """NULL: by the delivery itself."""
    due_at = models.DateTimeField()
    reminded = models.SmallIntegerField(default=0)
    """How many reminders have gone out."""
    remind_at = models.DateTimeField(null=True, blank=True)
    """When the next one does."""
    approved = models.BooleanField(null=True, blank=True)
    """NULL: nobody has answered."""
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    comment = models.TextField(blank=True, default="")

    if TYPE_CHECKING:
        delivery_id: int
        submitted_by_id: int | None
        answered_by_id: int | None

    NO_SCHEMA = "It belongs to its delivery, whose page shows it."

    class Meta:
        db_table = "nms_delivery_approval"
        ordering = ("-delivery_approval_id",)
        constraints = (
            models.UniqueConstraint(
                fields=("delivery", "step"),
                condition=models.Q(approved__isnull=True),
                name="nms_delivery_approval_open",
            ),
        )
        indexes = (
            models.Index(
                fields=("remind_at",),
                condition=models.Q(remind_at__isnull=False),
                name="nms_delivery_approval_remind",
            ),
        )


class DeliveryReviewer(models.Model):
    """Somebody to whom a step was submitted."""

    delivery_reviewer_id = models.BigAutoField(primary_key=True)
    approval = models.ForeignKey(DeliveryApproval, on_delete=models.CASCADE, related_name="reviewers")
    operator = models.ForeignKey(Operator, on_delete=models.CASCADE, related_name="+")

    if TYPE_CHECKING:
        operator_id: int

    NO_SCHEMA = "It belongs to an approval."

    class Meta:
        db_table = "nms_delivery_reviewer"
        constraints = (
            models.UniqueConstraint(fields=("approval", "operator"), name="nms_delivery_reviewer_once"),
        )
