"""Versions of a delivery that are tried on a part of its target (delivery.md §11; docs/adr/0033)."""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.packages.delivery.models.delivery import Delivery


class AbTest(models.Model):
    """A test of 2 to 4 versions of one delivery, carried out by a workflow of its own."""

    ab_test_id = models.BigAutoField(primary_key=True)
    delivery = models.OneToOneField(Delivery, on_delete=models.CASCADE, related_name="ab_test")
    """What the versions are made of; it is not sent itself."""
    criterion = models.CharField(max_length=64)
    """An indicator of `services/ab_testing/criteria.py`."""
    wait_seconds = models.IntegerField()
    least_messages = models.IntegerField(default=0)
    """Of each version; with fewer the test is not decided by figures."""
    tie = models.CharField(max_length=8)
    """When no version is surely better: "best" figure, "first" version, or "ask"."""
    automatic = models.BooleanField(default=True)
    """False: somebody is asked."""
    workflow_id = models.BigIntegerField(null=True, blank=True)
    winner = models.ForeignKey(Delivery, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """The version that was chosen, by figures or by somebody."""
    final_id = models.BigIntegerField(null=True, blank=True)
    """The delivery to the rest."""
    decision: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """Figures and reason, as they were when it was decided."""
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    NO_SCHEMA = "It is shown with its delivery; its versions are deliveries."

    if TYPE_CHECKING:
        delivery_id: int
        winner_id: int | None
        versions: "models.Manager[AbVersion]"

    class Meta:
        db_table = "nms_ab_test"


class AbVersion(models.Model):
    """One version: a delivery to a share of the target."""

    ab_version_id = models.BigAutoField(primary_key=True)
    test = models.ForeignKey(AbTest, on_delete=models.CASCADE, related_name="versions")
    delivery = models.OneToOneField(Delivery, on_delete=models.CASCADE, related_name="ab_version")
    letter = models.CharField(max_length=1)
    share = models.IntegerField()
    """Of the target, in per cent."""

    NO_SCHEMA = "It is shown with its test."

    if TYPE_CHECKING:
        test_id: int
        delivery_id: int

    class Meta:
        db_table = "nms_ab_version"
        ordering = ("letter",)
