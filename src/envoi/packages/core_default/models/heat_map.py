"""The heat map's memory: how many workflows ran in each five minutes of a day (engine.md §8.4)."""

from django.db import models


class HeatMapSlot(models.Model):
    """One slot in which anything ran. Slots are of UTC; they outlive the tasks that they were
    counted from.
    """

    heat_map_slot_id = models.BigAutoField(primary_key=True)
    starts_at = models.DateTimeField(unique=True)
    workflows = models.IntegerField()

    class Meta:
        db_table = "xtk_heat_map_slot"
