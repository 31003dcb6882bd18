"""Countries, from ISO 3166-1 (delivery.md §1.1)."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Declaration, Incoming

UNSET = "XX"
"""Code of a person whose country is not known."""


class Country(models.Model):
    """One country. Its code is also the region by which phone numbers without a prefix are read."""

    iso_a2 = models.CharField(max_length=2, primary_key=True)
    iso_a3 = models.CharField(max_length=3, blank=True, default="")
    iso_num = models.CharField(max_length=3, blank=True, default="")
    label = models.CharField(max_length=128)
    labels: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Labels by language: {"fr": …}."""

    SCHEMA = Declaration(
        "nms:country",
        label="Countries",
        singular="Country",
        writing="ADMINISTRATION",
        names={"iso_a2": "isoA2", "iso_a3": "isoA3", "iso_num": "isoNum"},
        labels={"iso_a2": "ISO code", "iso_a3": "ISO code (3 letters)", "iso_num": "ISO number"},
        incoming=(
            Incoming("nms:recipient", link="country", column="country_code", collection="recipient"),
            Incoming("nms:visitor", link="country", column="country_code"),
            Incoming("nms:seedMember", link="country", column="country_code"),
        ),
    )

    class Meta:
        db_table = "nms_country"
        ordering = ("label",)

    def __str__(self) -> str:
        return self.label
