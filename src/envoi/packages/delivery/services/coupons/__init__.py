"""Coupons: one value for everybody, or a value of its own for each message (delivery.md §2.9; docs/adr/0033).

The values of an individual coupon are a partition of `nms_coupon_value`, made and dropped with it. They are
assigned when an analysis ends, by one statement, and stay with the message of the delivery log.
"""

from envoi.packages.delivery.services.coupons.assigning import SAMPLE, assign, release, shown
from envoi.packages.delivery.services.coupons.records import create, delete, find, purge, table, visible
from envoi.packages.delivery.services.coupons.values import Counts, add, counts, generate

__all__ = [
    "SAMPLE",
    "Counts",
    "add",
    "assign",
    "counts",
    "create",
    "delete",
    "find",
    "generate",
    "purge",
    "release",
    "shown",
    "table",
    "visible",
]
