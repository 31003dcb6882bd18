"""Indicators that an instance's administrators add to the monitoring page (engine.md §8.3)."""

from django.db import models

from envoi.kernel.registry import Declaration


class CustomIndicator(models.Model):
    """A number that one read-only SELECT gives, and the limits that make it worth a warning or an alert."""

    indicator_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128, blank=True, default="")
    sql = models.TextField()
    unit = models.CharField(max_length=16, blank=True, default="")
    warning = models.FloatField(null=True)
    alert = models.FloatField(null=True)
    maximum = models.FloatField(null=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:indicator",
        label="Own indicators",
        singular="Own indicator",
        reading="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_indicator"
        ordering = ("name",)
