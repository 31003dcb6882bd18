"""Analyses of deliveries: each is a run, by which logs are kept (architecture §2.5), and what it found."""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.models import Operator
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.delivery import Delivery
from envoi.packages.delivery.models.log import FailureReason
from envoi.packages.delivery.models.person import text


class RunStep(models.IntegerChoices):
    """What an analysis does next. Each step ends in the transaction that writes the next one down."""

    FORGETTING = 0, "removing the analysis before"
    TARGETING = 1, "calculating the target"
    CHOOSING = 2, "limiting, control group"
    WRITING = 3, "writing messages"
    EXCLUDING = 4, "writing exclusions"
    SEEDING = 5, "adding seed addresses"
    ENDING = 6, "counting"
    READY = 10, "ready"
    FAILED = 11, "failed"
    GONE = 12, "replaced"


class DeliveryRun(models.Model):
    """One analysis. A continuous delivery has many."""

    run_id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="runs")
    storage = models.CharField(max_length=32)
    """Whose log tables hold its messages, whatever becomes of the mapping."""
    step = models.SmallIntegerField(choices=RunStep.choices, default=RunStep.FORGETTING)
    last_id = models.BigIntegerField(null=True, blank=True)
    """The last target that is written; targets rise."""
    batch_quantity = models.IntegerField(default=0)
    counts: "models.JSONField[Any]" = models.JSONField(default=dict)
    """`total`, `reject`, `deliver`, `control`, `seeds`."""
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    operator = models.ForeignKey(Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    if TYPE_CHECKING:
        delivery_id: int
        operator_id: int | None

    SCHEMA = Declaration(
        "nms:deliveryRun",
        label="Analyses of deliveries",
        singular="Analysis",
        folder="delivery/folder",
        text="@id",
        labels={"batch_quantity": "Messages of a part"},
        read_only=frozenset(
            {"delivery", "storage", "step", "last_id", "batch_quantity", "counts", "started_at", "ended_at",
             "operator"}
        ),
        collections={"delivery": "run"},
    )  # fmt: skip

    class Meta:
        db_table = "nms_delivery_run"
        ordering = ("-run_id",)
        indexes = (
            models.Index(fields=("step",), condition=models.Q(step__lt=10), name="nms_delivery_run_work"),
        )


class DeliveryPart(models.Model):
    """Messages that are sent together: those of the run whose ids lie from `first_id` to `last_id`."""

    delivery_part_id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="parts")
    run = models.ForeignKey(DeliveryRun, on_delete=models.CASCADE, related_name="parts")
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    quantity = models.IntegerField()
    seeds = models.BooleanField(default=False, db_default=False)
    """It holds seed addresses only."""
    wave = models.SmallIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(null=True, blank=True)
    """Not sent before; NULL: as soon as the delivery is on its way."""
    journal = models.CharField(max_length=32, blank=True, default="", db_default="")
    """The sender that has it, by its journal; empty: none. It is the token of the lease."""
    retry = models.BooleanField(default=False, db_default=False)
    """Its messages are those of `nms_delivery_retry` that name it, not a range."""

    SCHEMA = Declaration(
        "nms:deliveryPart",
        label="Delivery parts",
        singular="Delivery part",
        folder="delivery/folder",
        text="@id",
        labels={"due_at": "Not before", "journal": "Sender"},
        read_only=frozenset(
            {
                "delivery",
                "run",
                "first_id",
                "last_id",
                "quantity",
                "seeds",
                "wave",
                "due_at",
                "journal",
                "retry",
            }
        ),
        collections={"delivery": "part", "run": "part"},
    )

    class Meta:
        db_table = "nms_delivery_part"
        constraints = (
            models.UniqueConstraint(
                fields=("run", "first_id"), condition=models.Q(retry=False), name="nms_delivery_part_once"
            ),
        )
        indexes = (
            models.Index(fields=("journal",), condition=~models.Q(journal=""), name="nms_delivery_part_held"),
        )


class DlvExclusion(models.Model):
    """How many an analysis has excluded for one reason."""

    dlv_exclusion_id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="exclusions")
    run = models.ForeignKey(DeliveryRun, on_delete=models.CASCADE, related_name="exclusions")
    failure_reason = models.SmallIntegerField(choices=FailureReason.choices)
    rule = text(64)
    """Internal name of the rule that excluded them; empty for the checks of every delivery."""
    count = models.BigIntegerField()

    SCHEMA = Declaration(
        "nms:dlvExclusion",
        label="Causes of exclusions",
        singular="Cause of exclusion",
        folder="delivery/folder",
        text="@id",
        read_only=frozenset({"delivery", "run", "failure_reason", "rule", "count"}),
        collections={"delivery": "exclusion", "run": "exclusion"},
    )

    class Meta:
        db_table = "nms_dlv_exclusion"
        constraints = (
            models.UniqueConstraint(fields=("run", "failure_reason", "rule"), name="nms_dlv_exclusion_once"),
        )


class JobLevel(models.IntegerChoices):
    """How much a line of the delivery log matters; an error keeps the delivery from being confirmed."""

    INFO = 0, "information"
    WARNING = 1, "warning"
    ERROR = 2, "error"


class JobLog(models.Model):
    """A line of what happened to a delivery. Its text is made of `code` and `detail` for who reads it."""

    job_log_id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="audit")
    run = models.ForeignKey(
        DeliveryRun, null=True, blank=True, on_delete=models.CASCADE, related_name="audit"
    )
    level = models.SmallIntegerField(choices=JobLevel.choices, default=JobLevel.INFO)
    code = models.CharField(max_length=32)
    detail: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField()
    operator_name = text(64)

    SCHEMA = Declaration(
        "xtk:jobLog",
        label="Logs of deliveries",
        singular="Line of a delivery log",
        folder="delivery/folder",
        text="@code",
        names={"at": "logDate"},
        labels={"at": "Date", "code": "Message"},
        read_only=frozenset({"delivery", "run", "level", "code", "detail", "at", "operator_name"}),
        collections={"delivery": "log"},
    )

    class Meta:
        db_table = "xtk_job_log"
        ordering = ("job_log_id",)
