"""External accounts: how other servers are reached, and in whose name (docs/adr/0012)."""

from typing import Any

from django.db import models

from envoi.kernel.models.folder import Folder
from envoi.kernel.models.operator import Operator
from envoi.kernel.registry import Declaration


class ExternalAccount(models.Model):
    """One account; what its type asks for beside the columns stands in `parameters`, secrets are sealed."""

    ext_account_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    type = models.SmallIntegerField()
    """Code of one of `kernel.accounts.TYPES`."""
    active = models.BooleanField(default=True)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    server = models.CharField(max_length=512, blank=True, default="")
    """Host, or address of a service, as the type says."""
    port = models.IntegerField(null=True)
    account = models.CharField(max_length=255, blank=True, default="")
    secrets: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Field -> sealed text in base64; sealed for this row and field alone."""
    parameters: "models.JSONField[Any]" = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()
    modified_by = models.ForeignKey(Operator, null=True, on_delete=models.SET_NULL, related_name="+")

    SCHEMA = Declaration(
        "nms:extAccount",
        label="External accounts",
        singular="External account",
        folder="folder",
        reading="ADMINISTRATION",
        private=frozenset({"secrets"}),
    )

    class Meta:
        db_table = "nms_ext_account"
        ordering = ("name",)
        indexes = (models.Index(fields=("type",), name="nms_ext_account_type"),)

    def __str__(self) -> str:
        return self.label
