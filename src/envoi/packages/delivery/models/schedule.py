"""When a delivery is to be analysed by itself, who let it go, and until when it may start."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Operator
from envoi.packages.delivery.models.delivery import Delivery


class Execution(models.IntegerChoices):
    """What follows an analysis at a date (delivery.md §2.8). Codes are our own."""

    ANALYSIS = 0, "provisional analysis only"
    AUTOMATIC = 1, "automatic execution"


class DeliverySchedule(models.Model):
    """One row for a delivery that is scheduled or was confirmed."""

    delivery = models.OneToOneField(
        Delivery, primary_key=True, on_delete=models.CASCADE, related_name="schedule"
    )
    analyse_at = models.DateTimeField(null=True, blank=True)
    execution = models.SmallIntegerField(choices=Execution.choices, default=Execution.ANALYSIS)
    operator = models.ForeignKey(Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """With whose rights it is analysed."""
    run_id = models.BigIntegerField(null=True, blank=True)
    """The analysis that was begun at its date; NULL while it waits."""
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    start_before = models.DateTimeField(null=True, blank=True)
    """A delivery that has not started by then is not started by a sender; NULL: whenever it can."""

    if TYPE_CHECKING:
        delivery_id: int
        operator_id: int | None
        confirmed_by_id: int | None

    NO_SCHEMA = "It belongs to its delivery, whose page shows it."

    class Meta:
        db_table = "nms_delivery_schedule"
        indexes = (
            models.Index(
                fields=("analyse_at",),
                condition=models.Q(analyse_at__isnull=False, run_id__isnull=True),
                name="nms_delivery_schedule_due",
            ),
            models.Index(
                fields=("start_before",),
                condition=models.Q(start_before__isnull=False),
                name="nms_delivery_schedule_missed",
            ),
        )
