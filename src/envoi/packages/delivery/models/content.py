"""What messages are made of: frozen content, data of seeds, links, blocks (delivery.md §2.9, §4.1)."""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.models import Folder
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.delivery import Delivery
from envoi.packages.delivery.models.delivery_run import DeliveryRun
from envoi.packages.delivery.models.person import text


class DeliveryContent(models.Model):
    """The content of one analysis as it is sent, whatever becomes of the delivery's own afterwards."""

    run = models.OneToOneField(DeliveryRun, primary_key=True, on_delete=models.CASCADE, related_name="+")
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="+")
    templates: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Name of a part (`subject`, `html`, …) to its template, blocks put in and links rewritten."""
    query: "models.JSONField[Any]" = models.JSONField(default=dict)
    """The statement that reads the data of a part, within the rights of who analysed, and its columns."""
    settings: "models.JSONField[Any]" = models.JSONField(default=dict)
    links: "models.JSONField[Any]" = models.JSONField(default=list)
    """Numbers of the tracked links, in the order in which the templates count them."""
    frozen_at = models.DateTimeField()

    NO_SCHEMA = "It serves the senders alone; the delivery itself shows its content."

    if TYPE_CHECKING:
        run_id: int
        delivery_id: int

    class Meta:
        db_table = "nms_delivery_content"


class DeliverySeed(models.Model):
    """Data of one message to a seed address, drawn when the analysis ends."""

    broad_log_id = models.BigIntegerField(primary_key=True)
    run = models.ForeignKey(DeliveryRun, on_delete=models.CASCADE, related_name="+")
    data: "models.JSONField[Any]" = models.JSONField(default=list)
    """A value for each column of the content's query."""

    NO_SCHEMA = "It serves the senders alone; seed addresses have their own schema."

    class Meta:
        db_table = "nms_delivery_seed"


class UrlType(models.IntegerChoices):
    """What a tracked link is; the codes of the product."""

    CLICK = 1, "e-mail click"
    OPEN = 2, "open"
    OPT_OUT = 3, "opt-out"
    WEB = 4, "web"
    TRANSACTION = 5, "transaction"
    MIRROR = 6, "mirror page"


class TrackingUrl(models.Model):
    """One link of a delivery. An analysis that finds the same link again takes the same row, so that clicks
    add up. Row 1 stands for opens, of every delivery.
    """

    tracking_url_id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery, null=True, blank=True, on_delete=models.CASCADE, related_name="tracking_urls"
    )
    type = models.SmallIntegerField(choices=UrlType.choices, default=UrlType.CLICK)
    url = models.TextField()
    """Where it leads. `$(p1)`, `$(p2)` … stand for what is personal in its parameters."""
    digest = models.CharField(max_length=32)
    label = text(128)
    category = text(64)
    folder = models.ForeignKey(Folder, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    """Of a page with a web tracking tag, which belongs to no delivery."""
    created_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:trackingUrl",
        label="Tracked links",
        singular="Tracked link",
        folder="delivery/folder",
        text="Iif(@label <> '', @label, @source)",
        names={"url": "source", "created_at": "created"},
        labels={"url": "Address"},
        enumerations={"category": "urlCategory"},
        private=frozenset({"digest"}),
        read_only=frozenset({"delivery", "type", "url", "folder", "created_at"}),
        collections={"delivery": "trackingUrl"},
    )

    class Meta:
        db_table = "nms_tracking_url"
        constraints = (
            models.UniqueConstraint(fields=("delivery", "type", "digest"), name="nms_tracking_url_once"),
            models.UniqueConstraint(
                fields=("digest",),
                condition=models.Q(delivery__isnull=True, type__in=(UrlType.WEB, UrlType.TRANSACTION)),
                name="nms_tracking_url_page",
            ),
        )


class IncludeView(models.Model):
    """A personalization block: a piece of content that many deliveries use."""

    include_view_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    labels: "models.JSONField[Any]" = models.JSONField(default=dict)
    html_source = models.TextField(blank=True, default="", db_default="")
    text_source = models.TextField(blank=True, default="", db_default="")
    """Empty: made from the HTML."""
    built_in = models.BooleanField(default=False)
    package = text(64)
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:includeView",
        label="Personalization blocks",
        singular="Personalization block",
        writing="PREPARE DELIVERIES",
        names={
            "labels": "shippedLabels",
            "html_source": "source/html",
            "text_source": "source/text",
            "modified_at": "lastModified",
        },
        labels={"html_source": "HTML content", "text_source": "Text content"},
        read_only=frozenset({"built_in", "package", "modified_at"}),
    )

    class Meta:
        db_table = "nms_include_view"
        ordering = ("label",)


class DeliveryAttachment(models.Model):
    """A file that goes with every message of the deliveries whose content names it; it never changes.

    Copies of a delivery share the files of the first.
    """

    delivery_attachment_id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(
        Delivery, null=True, blank=True, on_delete=models.SET_NULL, related_name="attachments"
    )
    """Where it was attached first."""
    name = models.CharField(max_length=128)
    content_type = models.CharField(max_length=128)
    size = models.IntegerField()
    content = models.BinaryField()
    created_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:deliveryAttachment",
        label="Attachments",
        singular="Attachment",
        folder="delivery/folder",
        text="@name",
        names={"created_at": "created"},
        private=frozenset({"content"}),
        read_only=frozenset({"delivery", "name", "content_type", "size", "created_at"}),
        collections={"delivery": "attachment"},
    )

    class Meta:
        db_table = "nms_delivery_attachment"
        ordering = ("delivery_attachment_id",)
