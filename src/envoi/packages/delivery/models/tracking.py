"""What readers did: hits as they came in, and the segments that they came in with (architecture §3.7)."""

from django.db import models

from envoi.packages.delivery.models.person import number, text


class HitKind(models.IntegerChoices):
    """What was asked for. Codes are our own."""

    TAG = 0, "link, open, or page of ours"
    """The type of the link says which."""
    WEB = 1, "web tracking tag"
    UNSUBSCRIBE = 2, "one-click unsubscription"
    """A POST as RFC 8058 wants it; it is carried out when it is loaded."""


class TrackingInbox(models.Model):
    """One hit that the process `track` has answered, until the workflow `tracking` has taken it."""

    tracking_inbox_id = models.BigIntegerField(primary_key=True)
    """Made by `track`: milliseconds, host process and a count, so that it is never given twice."""
    kind = number(choices=HitKind.choices)
    received_at = models.DateTimeField()
    broad_log_id = models.BigIntegerField(default=0, db_default=0)
    delivery_id = models.BigIntegerField(default=0, db_default=0)
    url_id = models.BigIntegerField(default=0, db_default=0)
    html = models.BooleanField(default=True, db_default=True)
    source_id = models.UUIDField(null=True, blank=True)
    """The browser, by its permanent cookie."""
    params = models.TextField(blank=True, default="", db_default="")
    user_agent = models.TextField(blank=True, default="", db_default="")
    address = text(64)
    """Of the network, as far as proxies that are trusted say it."""
    extra = models.TextField(blank=True, default="", db_default="")
    """Of a web tag: its query, and the cookies that name message and delivery, as a JSON object."""
    segment = text(128)

    NO_SCHEMA = "Hits on their way; the tracking logs show them."

    class Meta:
        db_table = "nms_tracking_inbox"
        indexes = (
            models.Index(fields=("segment",), condition=models.Q(kind=2), name="nms_tracking_inbox_leaving"),
        )


class TrackingSegment(models.Model):
    """A file of hits that is in the inbox: it is not loaded again, whoever dies."""

    name = models.CharField(primary_key=True, max_length=128)
    host = text(255)
    lines = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    """Lines that could not be read; they lie in a file beside."""
    loaded_at = models.DateTimeField()

    NO_SCHEMA = "It serves the loader alone."

    class Meta:
        db_table = "nms_tracking_segment"
        indexes = (models.Index(fields=("loaded_at",), name="nms_tracking_segment_loaded"),)
