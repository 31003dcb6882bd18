"""Pictures that messages show (public resources of the product)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Folder, Operator
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import text


class Image(models.Model):
    """One picture. Its bytes never change: its address is made of their digest, so that readers may keep it
    for ever. What it is called and what stands in its place may change.
    """

    file_res_id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the content, in hexadecimal."""
    label = models.CharField(max_length=128)
    alt = text(255)
    """What readers get who see no pictures."""
    content_type = models.CharField(max_length=32)
    width = models.IntegerField()
    height = models.IntegerField()
    size = models.IntegerField()
    content = models.BinaryField()
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    SCHEMA = Declaration(
        "xtk:fileRes",
        label="Public resources",
        singular="Public resource",
        folder="folder",
        text="@label",
        names={"created_at": "created", "digest": "sha256"},
        labels={
            "alt": "Alternative text",
            "content_type": "Type of content",
            "size": "Size in bytes",
            "digest": "Digest",
        },
        private=frozenset({"content"}),
        read_only=frozenset(
            {"digest", "content_type", "width", "height", "size", "created_at", "created_by"}
        ),
        collections={"folder": "fileRes"},
    )

    if TYPE_CHECKING:
        folder_id: int

    class Meta:
        db_table = "xtk_file_res"
        ordering = ("-file_res_id",)
