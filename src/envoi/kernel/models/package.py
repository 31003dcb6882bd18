"""Which packages the instance has, and what each of them shipped."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Declaration


class InstalledPackage(models.Model):
    """One package. `installed_at` stays empty until the whole installation has gone through."""

    package_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    version = models.CharField(max_length=32)
    installed_at = models.DateTimeField(null=True)

    SCHEMA = Declaration(
        "xtk:package",
        label="Packages",
        singular="Package",
        writing="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_package"
        ordering = ("package_id",)


class ShippedRow(models.Model):
    """What a package shipped under one key, so that a later version can tell what an operator changed since.

    `values` are those last written (or accepted) on this instance: the base of a three-way merge. `offered`
    are those of a newer version which were not written because the row had been changed; null when nothing is
    open.
    """

    shipped_row_id = models.BigAutoField(primary_key=True)
    entity = models.CharField(max_length=64)
    """Schema name: `xtk:folder`."""
    key = models.CharField(max_length=255)
    """The row's name among those of its entity."""
    package = models.CharField(max_length=64)
    values: "models.JSONField[Any]" = models.JSONField()
    offered: "models.JSONField[Any]" = models.JSONField(null=True)
    shipped_at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:shipped",
        label="Shipped rows",
        singular="Shipped row",
        reading="ADMINISTRATION",
        text="@key",
        names={"values": "shippedValues"},
    )

    class Meta:
        db_table = "xtk_shipped"
        constraints = (models.UniqueConstraint(fields=("entity", "key"), name="xtk_shipped_once"),)
