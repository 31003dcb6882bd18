"""The suppression list: addresses and domains that nothing is ever sent to, whoever has them."""

from django.db import models

from envoi.kernel.models import Operator
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import Channel, text


class SuppressionKind(models.TextChoices):
    """What is suppressed."""

    ADDRESS = "address", "address"
    DOMAIN = "domain", "domain"


class Suppression(models.Model):
    """One address or e-mail domain.

    Of an address only the SHA-256 of its normalised form is kept: the list outlives the person's data. `hint`
    shows what an operator needs to recognise it ("j…@example.org").
    """

    suppression_id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=8, choices=SuppressionKind.choices)
    channel = models.SmallIntegerField(choices=Channel.choices, default=Channel.EMAIL)
    key = models.CharField(max_length=254)
    """The digest in hexadecimal, or the domain."""
    hint = text(254)
    reason = text(255)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    SCHEMA = Declaration(
        "nms:suppression",
        label="Suppression list",
        singular="Suppressed address",
        text="@hint",
        names={"created_at": "created"},
        read_only=frozenset({"kind", "channel", "key", "hint", "created_at", "created_by"}),
    )

    class Meta:
        db_table = "nms_suppression"
        constraints = (
            models.UniqueConstraint(fields=("key", "channel", "kind"), name="nms_suppression_once"),
        )
