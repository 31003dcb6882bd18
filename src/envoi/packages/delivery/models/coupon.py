"""Coupons: one value for everybody, or a value of their own for each (delivery.md §2.9; docs/adr/0033)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Folder
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import text


class CouponType(models.IntegerChoices):
    """How a coupon gives its values. The product has both kinds; the codes are our own."""

    ANONYMOUS = 0, "one value for everybody"
    INDIVIDUAL = 1, "a value for each"


class Coupon(models.Model):
    """A coupon that contents show as `{{ coupon.value }}`."""

    coupon_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    type = models.SmallIntegerField(choices=CouponType.choices, default=CouponType.ANONYMOUS)
    value = text(128)
    """Of an anonymous one."""
    start_date = models.DateTimeField(null=True, blank=True)
    end_date = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        folder_id: int

    SCHEMA = Declaration(
        "nms:coupon",
        label="Coupons",
        singular="Coupon",
        folder="folder",
        names={"created_at": "created", "modified_at": "lastModified"},
        labels={"start_date": "Valid from", "end_date": "Valid until"},
        read_only=frozenset({"created_at", "modified_at"}),
        collections={"folder": "coupon"},
    )

    class Meta:
        db_table = "nms_coupon"
        ordering = ("label", "coupon_id")

    def __str__(self) -> str:
        return self.label


class CouponValue(models.Model):
    """One value of an individual coupon, and the message that shows it.

    In the database the key is (coupon_id, id) and the table is partitioned by coupon: the values of one go
    with it. `id` comes from `big_tables.reserve_ids`.
    """

    coupon_value_id = models.BigIntegerField(primary_key=True, db_column="id")
    coupon_id = models.BigIntegerField()
    value = models.CharField(max_length=128)
    broad_log_id = models.BigIntegerField(null=True, blank=True)
    """The message that has it; empty: it is free."""
    run_id = models.BigIntegerField(null=True, blank=True)
    delivery_id = models.BigIntegerField(null=True, blank=True)
    assigned_at = models.DateTimeField(null=True, blank=True)

    NO_SCHEMA = "Each is worth money: the page of its coupon shows how many there are, a message its own."

    class Meta:
        db_table = "nms_coupon_value"
        managed = False
