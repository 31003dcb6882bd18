"""Visitors: met through a referral, a social network or LINE, no recipients yet (delivery.md §1.1)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Folder
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models import person
from envoi.packages.delivery.models.person import Person, loose, number, text


class VisitorOrigin(models.IntegerChoices):
    """Where a visitor was met."""

    REFERRAL = 0, "referral"
    FACEBOOK = 1, "Facebook"
    X = 2, "X"
    LINE = 3, "LINE"


class Visitor(Person):
    """One visitor. `recipient` is 0 until it is known which recipient it is."""

    visitor_id = models.BigAutoField(primary_key=True)
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    recipient = loose("delivery.Recipient", default=0, on_delete=models.SET_DEFAULT, related_name="visitors")
    origin = number(choices=VisitorOrigin.choices)
    external_id = text(64)
    """What the network of its origin calls this person."""
    referrer = text(254)
    """Who brought this person: an address or a name."""
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        folder_id: int
        recipient_id: int

    SCHEMA = Declaration(
        "nms:visitor",
        label="Visitors",
        singular="Visitor",
        folder="folder",
        text="Iif(JuxtWords(@firstName, @lastName) <> '', JuxtWords(@firstName, @lastName), @email)",
        names={**person.NAMES, "created_at": "created", "modified_at": "lastModified"},
        labels=person.LABELS,
        read_only=frozenset({"created_at", "modified_at"}),
        collections={"folder": "visitor", "recipient": "visitor"},
        computed=person.COMPUTED,
    )

    class Meta:
        db_table = "nms_visitor"
        indexes = (
            models.Index(fields=("email",), name="nms_visitor_email"),
            models.Index(fields=("modified_at",), name="nms_visitor_modified"),
        )
