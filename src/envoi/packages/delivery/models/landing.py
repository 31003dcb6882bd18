"""What readers say on our pages: that they leave, what they ask for and must confirm, and our own wording."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import loose, number, text
from envoi.packages.delivery.models.service import Service
from envoi.packages.delivery.models.visitor import Visitor


class OptOutWay(models.IntegerChoices):
    """How a reader has left. Codes are our own."""

    PAGE = 0, "unsubscription page"
    ONE_CLICK = 1, "one click in the mail program"
    PREFERENCES = 2, "preferences page"


class OptOutReason(models.TextChoices):
    """Why, as far as the reader says."""

    NONE = "", "not said"
    TOO_MANY = "tooMany", "too many messages"
    NOT_RELEVANT = "notRelevant", "not of interest"
    NEVER_ASKED = "neverAsked", "never asked for it"
    OTHER = "other", "another reason"


class OptOut(models.Model):
    """One reader has left: the proof of it. Written where it changed something, and never changed but for
    `undone_at`; it goes with its recipient.
    """

    opt_out_id = models.BigAutoField(primary_key=True)
    date = models.DateTimeField()
    way = number(choices=OptOutWay.choices)
    recipient = loose(
        "delivery.Recipient", default=0, db_index=False, on_delete=models.CASCADE, related_name="opt_outs"
    )
    """0: a reader without a profile, whose address is denylisted."""
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.SET_NULL, related_name="opt_outs"
    )
    """What was left; NULL: all e-mail."""
    delivery = loose("delivery.Delivery", default=0, db_index=False)
    storage = text(32)
    """Whose delivery log holds the message."""
    broad_log_id = models.BigIntegerField(default=0, db_default=0)
    """The message by whose link the reader left; 0 for none."""
    address = text(254)
    """Where the message went to."""
    source_address = text(64)
    reason = models.CharField(
        max_length=16, choices=OptOutReason.choices, blank=True, default="", db_default=""
    )
    remark = models.CharField(max_length=500, blank=True, default="", db_default="")
    undone_at = models.DateTimeField(null=True, blank=True)
    """When the reader took it back."""
    batch_id = models.BigIntegerField()
    """The same for what one statement wrote."""

    if TYPE_CHECKING:
        recipient_id: int
        service_id: int | None
        delivery_id: int

    SCHEMA = Declaration(
        "nms:optOut",
        label="Unsubscriptions by readers",
        singular="Unsubscription by a reader",
        folder="recipient/folder",
        text="@address",
        names={"broad_log_id": "broadLog-id", "batch_id": "batch-id", "undone_at": "undone"},
        labels={
            "service": "Service",
            "storage": "Name of the log tables",
            "broad_log_id": "Message",
            "batch_id": "Batch",
            "undone_at": "Taken back",
        },
        collections={"recipient": "optOut", "service": "optOut"},
        read_only=frozenset(
            {"date", "way", "recipient", "service", "delivery", "storage", "broad_log_id", "address",
             "source_address", "reason", "remark", "undone_at", "batch_id"}
        ),
    )  # fmt: skip

    class Meta:
        db_table = "nms_opt_out"
        indexes = (
            models.Index(fields=("recipient",), name="nms_opt_out_recipient"),
            models.Index(fields=("broad_log_id",), name="nms_opt_out_message"),
            models.Index(fields=("batch_id",), name="nms_opt_out_batch"),
        )


class RequestKind(models.IntegerChoices):
    """What is done when it is confirmed. Codes are our own."""

    SUBSCRIBE = 0, "subscription"
    ADDRESS = 1, "change of address"
    FRIEND = 2, "invitation by a friend"


class ReaderRequest(models.Model):
    """What somebody has asked for in the name of an address, until its mailbox confirms it."""

    reader_request_id = models.BigAutoField(primary_key=True)
    kind = number(choices=RequestKind.choices)
    email = models.CharField(max_length=254)
    """Which must confirm, normalised."""
    first_name = text(64)
    last_name = text(64)
    language = text(16)
    service = models.ForeignKey(Service, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    recipient = loose("delivery.Recipient", default=0, on_delete=models.CASCADE)
    """Who asks, where that is known."""
    visitor = models.ForeignKey(Visitor, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    """Who is invited."""
    purpose = text(64)
    consent = models.TextField(blank=True, default="", db_default="")
    """The sentence that was agreed to, as it was shown."""
    broad_log_id = models.BigIntegerField(default=0, db_default=0)
    """The message that was passed on."""
    delivery_id = models.BigIntegerField(default=0, db_default=0)
    """That of the message."""
    source_address = text(64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)

    if TYPE_CHECKING:
        recipient_id: int
        service_id: int | None
        visitor_id: int | None

    NO_SCHEMA = "What is asked for and not confirmed is not known to be true of anybody."

    class Meta:
        db_table = "nms_reader_request"
        indexes = (
            models.Index(fields=("email", "created_at"), name="nms_reader_request_email"),
            models.Index(fields=("source_address", "created_at"), name="nms_reader_request_source"),
            models.Index(fields=("expires_at",), name="nms_reader_request_over"),
            models.Index(
                fields=("broad_log_id",),
                condition=models.Q(broad_log_id__gt=0),
                name="nms_reader_request_log",
            ),
        )


class ReaderText(models.Model):
    """Wording of one of our pages in one language, in place of the product's; what is empty stays that."""

    reader_text_id = models.BigAutoField(primary_key=True)
    page = models.CharField(max_length=16)
    language = models.CharField(max_length=16)
    title = text(128)
    intro = models.TextField(blank=True, default="", db_default="")
    legal = models.TextField(blank=True, default="", db_default="")
    """Of a form: what is agreed to. It is kept with the consent."""
    modified_at = models.DateTimeField()

    NO_SCHEMA = "The page of reader pages shows and changes it."

    class Meta:
        db_table = "nms_reader_text"
        constraints = (models.UniqueConstraint(fields=("page", "language"), name="nms_reader_text_once"),)
