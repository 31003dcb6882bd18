"""Consent: what a person has agreed to or withdrawn, with the proof of it."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Operator
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import Channel, loose, text


class ConsentAction(models.IntegerChoices):
    """What a line says."""

    WITHDRAWN = 0, "withdrawn"
    GIVEN = 1, "given"


class Consent(models.Model):
    """One declaration of a person; the latest of a purpose and channel holds. Lines are never changed.

    In the database the key is (recipient_id, consent_id).
    """

    consent_id = models.BigIntegerField(primary_key=True)
    recipient = loose("delivery.Recipient", db_index=False, on_delete=models.CASCADE, related_name="consents")
    purpose = models.CharField(max_length=64)
    channel = models.SmallIntegerField(choices=Channel.choices)
    action = models.SmallIntegerField(choices=ConsentAction.choices)
    date = models.DateTimeField()
    source = text(64)
    """How it was given: a form, a call, a file."""
    proof = models.TextField(blank=True, default="", db_default="")
    """The sentence that the person agreed to, or where the document lies."""
    source_address = text(64)
    """Network address that it came from."""
    operator = loose(Operator, null=True, blank=True, db_index=False)

    if TYPE_CHECKING:
        recipient_id: int

    SCHEMA = Declaration(
        "nms:consent",
        label="Consents",
        singular="Consent",
        folder="recipient/folder",
        text="@purpose",
        enumerations={"purpose": "consentPurpose"},
        collections={"recipient": "consent"},
        read_only=frozenset(
            {
                "recipient",
                "purpose",
                "channel",
                "action",
                "date",
                "source",
                "proof",
                "source_address",
                "operator",
            }
        ),
    )

    class Meta:
        db_table = "nms_consent"
