"""Who sends, what is to be tried again, and what became of it by destination (ADR 0022)."""

from django.db import models

from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import number, text


class SenderProcess(models.Model):
    """A journal of a sender, dead or alive; it goes when all that is in it has been settled."""

    journal = models.CharField(max_length=32, primary_key=True)
    """Name of its file, without the ending; the lease of parts bears it."""
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    boot = text(64)
    """Which start of the host it belongs to: what a crash of the host took from the journal is not known."""
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    place = models.BigIntegerField(default=0)
    """Bytes of the file up to which it has been settled; -1: it has come to its end."""
    settled = models.BigIntegerField(default=0)
    """How many times what is not in the file was settled with it: parts that ended, messages that stayed."""

    SCHEMA = Declaration(
        "nms:sender",
        label="Senders",
        singular="Sender",
        text="@journal",
        labels={
            "pid": "Process",
            "boot": "Start of the host",
            "seen_at": "Last seen",
            "place": "Settled bytes",
            "settled": "Settlements",
        },
        read_only=frozenset({"journal", "host", "pid", "boot", "started_at", "seen_at", "place", "settled"}),
    )

    class Meta:
        db_table = "nms_sender"


class DeliveryRetry(models.Model):
    """A message without a final outcome that no range of a part stands for any more. In the database the key
    is (run_id, id).
    """

    pk = models.CompositePrimaryKey("run_id", "id")
    run_id = models.BigIntegerField()
    id = models.BigIntegerField()
    """Of the broad log."""
    delivery_id = models.BigIntegerField()
    attempts = number()
    """How many got an answer, or were left in doubt."""
    first_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField()
    part_id = models.BigIntegerField(null=True, blank=True)
    """The part it is tried again with; NULL while it waits."""
    held = models.BooleanField(default=False)
    """In doubt, and not to be sent again unless somebody says so."""
    repeat = models.BooleanField(default=False)
    """May have arrived already: to be marked."""
    doubts = number()
    """How often it was left in doubt."""

    NO_SCHEMA = "It serves the senders alone; the message itself is in the delivery log."

    class Meta:
        db_table = "nms_delivery_retry"
        indexes = (
            models.Index(
                fields=("next_at",),
                condition=models.Q(part_id__isnull=True, held=False),
                name="nms_delivery_retry_due",
            ),
            models.Index(
                fields=("part_id",),
                condition=models.Q(part_id__isnull=False),
                name="nms_delivery_retry_part",
            ),
            models.Index(fields=("delivery_id",), name="nms_delivery_retry_delivery"),
        )


class DeliveryStat(models.Model):
    """What went to a destination in five minutes (delivery.md §2.14)."""

    delivery_stat_id = models.BigAutoField(primary_key=True)
    delivery_id = models.BigIntegerField()
    slice = models.DateTimeField()
    """Begin of the five minutes, UTC."""
    mx = text(255)
    """Host that was spoken to; empty when none was."""
    public_id = models.IntegerField(default=0)
    """Our address."""
    domain = text(255)
    sent = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    deferred = models.IntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    """Of the messages that were sent."""

    SCHEMA = Declaration(
        "nms:deliveryStat",
        label="Throughput",
        singular="Five minutes of a destination",
        text="@mx",
        names={"delivery_id": "delivery-id"},
        labels={
            "delivery_id": "Delivery",
            "slice": "Begin",
            "mx": "Mail server",
            "public_id": "Sending address",
            "sent": "Sent",
            "failed": "Failed",
            "deferred": "Deferred",
            "bytes": "Bytes",
        },
        read_only=frozenset(
            {"delivery_id", "slice", "mx", "public_id", "domain", "sent", "failed", "deferred", "bytes"}
        ),
        extensible=False,
    )

    class Meta:
        db_table = "nms_delivery_stat"
        constraints = (
            models.UniqueConstraint(
                fields=("delivery_id", "slice", "mx", "public_id", "domain"), name="nms_delivery_stat_once"
            ),
        )
        indexes = (models.Index(fields=("slice",), name="nms_delivery_stat_slice"),)
