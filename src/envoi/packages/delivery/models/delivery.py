"""Deliveries and their templates (delivery.md §2.1, §2.3)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.models import Folder, Operator
from envoi.kernel.registry import Computed, Declaration, Type
from envoi.packages.delivery.models.mapping import DeliveryMapping
from envoi.packages.delivery.models.person import Channel, number, text


class DeliveryState(models.IntegerChoices):
    """How far a delivery is. `services/deliveries/states.py` says which state may follow which."""

    EDITING = 0, "being edited"
    TARGET_PENDING = 11, "targeting pending"
    TARGETING = 12, "target calculation in progress"
    TARGET_READY = 15, "target ready"
    PREPARATION_PENDING = 21, "message preparation pending"
    PREPARING = 25, "message preparation in progress"
    EXTRACTION = 35, "extraction pending"
    READY = 45, "ready to be delivered"
    START_PENDING = 51, "start pending"
    IN_PROGRESS = 55, "in progress"
    RETRY_PENDING = 61, "retry pending"
    RETRYING = 62, "retry in progress"
    PAUSE_ASKED = 71, "pause requested"
    PAUSING = 72, "pause in progress"
    PAUSED = 75, "paused"
    STOP_ASKED = 81, "stop requested"
    STOPPING = 82, "stop in progress"
    STOPPED = 85, "stopped"
    FAILED = 87, "failed"
    FINISHED = 95, "finished"
    DELETED = 100, "deleted"


class DeliveryMode(models.IntegerChoices):
    """Who sends. The product documents 1 and 4; external delivery (a file for a provider) is our 2."""

    BULK = 1, "bulk"
    EXTERNAL = 2, "external"
    MID_SOURCING = 4, "mid-sourcing"


class ValidationMode(models.IntegerChoices):
    """What follows an analysis without errors (delivery.md §2.4)."""

    MANUAL = 0, "manual"
    SEMI_AUTOMATIC = 1, "semi-automatic"
    """Starts by itself unless the analysis has warned."""
    AUTOMATIC = 2, "automatic"


class Kind(models.IntegerChoices):
    """What becomes of a delivery when it has been sent (delivery.md §2.2). Codes are our own."""

    SINGLE = 0, "single"
    RECURRING = 1, "recurring"
    """One of those that a recurring delivery makes, a new one each time."""
    CONTINUOUS = 2, "continuous"
    """Used again: its logs and runs add up."""
    TRANSACTIONAL = 3, "transactional"


class Format(models.IntegerChoices):
    """Which parts a message has (delivery.md §2.9). Codes are our own."""

    PREFERENCE = 0, "as the recipient prefers"
    MULTIPART = 1, "always text and HTML"
    TEXT = 2, "text only"


class Priority(models.IntegerChoices):
    """Orders deliveries, never the messages of one."""

    VERY_LOW = 0, "very low"
    LOW = 1, "low"
    NORMAL = 2, "normal"
    HIGHER = 3, "higher than normal"
    HIGH = 4, "high"
    VERY_HIGH = 5, "very high"


class Delivery(models.Model):
    """One delivery, or with `is_model` a template of deliveries."""

    delivery_id = models.BigAutoField(primary_key=True)
    internal_name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    code = text(64)
    description = models.TextField(blank=True, default="")
    is_model = models.BooleanField(default=False)
    built_in = models.BooleanField(default=False)
    """A template that the product ships: to be duplicated, never deleted."""
    message_type = models.SmallIntegerField(choices=Channel.choices, default=Channel.EMAIL)
    delivery_mode = models.SmallIntegerField(choices=DeliveryMode.choices, default=DeliveryMode.BULK)
    fcp = models.BooleanField(default=False)
    """A proof."""
    mapping = models.ForeignKey(DeliveryMapping, on_delete=models.PROTECT, related_name="+")
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    folder_process = models.ForeignKey(
        Folder, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """Of a template: where deliveries made of it go."""
    state = models.SmallIntegerField(choices=DeliveryState.choices, default=DeliveryState.EDITING)
    delete_status = number()
    """Other than 0: to be removed by the nightly cleanup."""
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    validation_mode = models.SmallIntegerField(choices=ValidationMode.choices, default=ValidationMode.MANUAL)
    contact_date = models.DateTimeField(null=True, blank=True)
    batch_quantity = models.IntegerField(default=0)
    """Messages of a part; 0 for what suits the size of the target."""
    exclusion_log = models.BooleanField(default=False)
    """Whether those who are excluded are kept in the exclusion log rather than in the delivery log."""
    targeting: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """See `services/deliveries/targeting.py`."""
    kind = models.SmallIntegerField(choices=Kind.choices, default=Kind.SINGLE, db_default=Kind.SINGLE)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children"
    )
    """Of a proof: of which delivery; of a recurring one: the template that makes them."""
    subject = models.TextField(blank=True, default="", db_default="")
    from_name = text(128)
    from_address = text(254)
    reply_to = text(254)
    html_source = models.TextField(blank=True, default="", db_default="")
    text_source = models.TextField(blank=True, default="", db_default="")
    mjml_source = models.TextField(blank=True, default="", db_default="")
    """What the HTML is compiled of by the visual editor; empty: it is written by hand."""
    content_format = models.SmallIntegerField(choices=Format.choices, default=Format.PREFERENCE, db_default=0)
    content: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """Tracking, language, limit of time; see `services/content/settings.py`."""
    variants: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True, db_default={})  # pyright: ignore[reportCallIssue]
    """The content in further languages; see `services/variants`."""
    variant = ""
    """In which of them this object holds its content; empty: in that of its columns."""
    varied: "Mapping[str, str]" = {}
    """What the columns say, of an object that holds a variant."""
    sending: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """Waves, retries and the like; see `services/deliveries/sending.py`."""
    approvals: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """What has to be approved, and by whom; see `services/deliveries/approvals.py`."""
    extraction: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """Of a delivery that a provider carries out: the file for it; see `services/extractions`."""
    variables: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """Values that scripts leave for the content."""
    typology = models.ForeignKey(
        "delivery.Typology", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """Its rules; without one those of the product's."""
    weight = models.SmallIntegerField(null=True, blank=True)
    """Of its messages, where pressure rules compare; without one what the rule says."""
    operation_id = models.BigIntegerField(null=True, blank=True)
    """The campaign; its package declares the link."""
    workflow_id = models.BigIntegerField(null=True, blank=True)
    """The workflow that has made it."""
    validity = models.DateTimeField(null=True, blank=True)
    """Until when messages are tried; set when it starts unless it is said before."""
    web_validity = models.DateTimeField(null=True, blank=True)
    broad_start = models.DateTimeField(null=True, blank=True)
    """When the first message went out."""
    broad_end = models.DateTimeField(null=True, blank=True)
    run_id = models.BigIntegerField(null=True, blank=True)
    """The latest analysis."""
    total_target = models.BigIntegerField(default=0)
    reject = models.BigIntegerField(default=0)
    to_deliver = models.BigIntegerField(default=0)
    processed = models.BigIntegerField(default=0, db_default=0)
    success = models.BigIntegerField(default=0, db_default=0)
    error = models.BigIntegerField(default=0, db_default=0)
    new_quarantine = models.BigIntegerField(default=0, db_default=0)
    # Of tracking (delivery.md §2.13); `services/tracking` works them out.
    recipient_open = models.BigIntegerField(default=0, db_default=0)
    total_recipient_open = models.BigIntegerField(default=0, db_default=0)
    estimated_recipient_open = models.BigIntegerField(default=0, db_default=0)
    estimated_total_recipient_open = models.BigIntegerField(default=0, db_default=0)
    recipient_click = models.BigIntegerField(default=0, db_default=0)
    person_click = models.BigIntegerField(default=0, db_default=0)
    total_recipient_click = models.BigIntegerField(default=0, db_default=0)
    forward = models.BigIntegerField(default=0, db_default=0)
    opt_out = models.BigIntegerField(default=0, db_default=0)
    mirror_page = models.BigIntegerField(default=0, db_default=0)
    complaints = models.BigIntegerField(default=0, db_default=0)
    passed_on = models.BigIntegerField(default=0, db_default=0)
    """Friends who were told of it by the form for this."""
    new_contacts = models.BigIntegerField(default=0, db_default=0)
    """Friends of its readers who have confirmed that they want mail."""
    total_web_page = models.BigIntegerField(default=0, db_default=0)
    transaction = models.BigIntegerField(default=0, db_default=0)
    article = models.BigIntegerField(default=0, db_default=0)
    amount = models.FloatField(default=0, db_default=0)
    reactivity = models.FloatField(default=0, db_default=0)
    indicators_at = models.DateTimeField(null=True, blank=True)
    """When the indicators of tracking were worked out last."""
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        folder_id: int
        folder_process_id: int | None
        parent_id: int | None
        typology_id: int | None
        mapping_id: int

    SCHEMA = Declaration(
        "nms:delivery",
        label="Deliveries",
        singular="Delivery",
        folder="folder",
        names={
            "fcp": "FCP",
            "folder_process": "folderProcess",
            "validation_mode": "scheduling/validationMode",
            "contact_date": "scheduling/contactDate",
            "total_target": "properties/totalTarget",
            "reject": "properties/reject",
            "to_deliver": "properties/toDeliver",
            "created_at": "created",
            "modified_at": "lastModified",
            "run_id": "run-id",
            "subject": "mailParameters/subject",
            "from_name": "mailParameters/senderName",
            "from_address": "mailParameters/senderAddress",
            "reply_to": "mailParameters/replyAddress",
            "html_source": "content/html/source",
            "text_source": "content/text/source",
            "mjml_source": "content/mjml/source",
            "content_format": "content/format",
            "content": "content/settings",
            "variants": "content/variants",
            "operation_id": "operation-id",
            "workflow_id": "workflow-id",
            "validity": "scheduling/validityDate",
            "web_validity": "scheduling/webValidityDate",
            "broad_start": "broadStart",
            "broad_end": "broadEnd",
            "processed": "indicators/processed",
            "success": "indicators/success",
            "error": "indicators/error",
            "new_quarantine": "indicators/newQuarantine",
            "recipient_open": "indicators/recipientOpen",
            "total_recipient_open": "indicators/totalRecipientOpen",
            "estimated_recipient_open": "indicators/estimatedRecipientOpen",
            "estimated_total_recipient_open": "indicators/estimatedTotalRecipientOpen",
            "recipient_click": "indicators/recipientClick",
            "person_click": "indicators/personClick",
            "total_recipient_click": "indicators/totalRecipientClick",
            "forward": "indicators/forward",
            "opt_out": "indicators/optOut",
            "mirror_page": "indicators/mirrorPage",
            "complaints": "indicators/complaints",
            "passed_on": "indicators/passedOn",
            "new_contacts": "indicators/newContacts",
            "total_web_page": "indicators/totalWebPage",
            "transaction": "indicators/transaction",
            "article": "indicators/article",
            "amount": "indicators/amount",
            "reactivity": "indicators/reactivity",
            "indicators_at": "indicators/computedAt",
        },
        labels={
            "code": "Delivery code",
            "is_model": "Template",
            "fcp": "Proof",
            "mapping": "Target mapping",
            "folder_process": "Execution folder",
            "delivery_mode": "Delivery mode",
            "message_type": "Channel",
            "validation_mode": "Approval mode",
            "batch_quantity": "Messages of a part",
            "exclusion_log": "Excluded apart",
            "run_id": "Latest analysis",
            "total_target": "Initial population",
            "reject": "Rejected by rules",
            "to_deliver": "Messages to deliver",
            "kind": "Kind of delivery",
            "parent": "Made of or proof of",
            "from_name": "Sender name",
            "from_address": "Sender address",
            "reply_to": "Reply address",
            "html_source": "HTML content",
            "text_source": "Text content",
            "mjml_source": "MJML content",
            "content_format": "Format of messages",
            "content": "Settings of the content",
            "sending": "Sending settings",
            "weight": "Weight of messages",
            "operation_id": "Campaign",
            "workflow_id": "Workflow",
            "validity": "End of validity",
            "web_validity": "End of validity of pages",
            "broad_start": "Start of sending",
            "broad_end": "End of sending",
            "processed": "Processed messages",
            "success": "Successful messages",
            "error": "Errors",
            "new_quarantine": "New quarantines",
            "recipient_open": "Recipients who opened",
            "total_recipient_open": "Opens",
            "estimated_recipient_open": "Estimated recipients who opened",
            "estimated_total_recipient_open": "Estimated opens",
            "recipient_click": "Recipients who clicked",
            "person_click": "Persons who clicked",
            "total_recipient_click": "Clicks",
            "forward": "Forwards, estimated",
            "opt_out": "Clicks on unsubscribe links",
            "mirror_page": "Clicks on mirror pages",
            "complaints": "Complaints",
            "passed_on": "Friends told",
            "new_contacts": "New contacts",
            "total_web_page": "Pages visited",
            "transaction": "Transactions",
            "article": "Articles bought",
            "amount": "Amount of transactions",
            "reactivity": "Estimated reactivity",
            "indicators_at": "Indicators worked out",
        },
        computed={
            "successRate": Computed(
                Type.DOUBLE,
                "Round(Percent([indicators/@success], [indicators/@processed]), 1)",
                label="Success, per cent",
            ),
            **{
                f"indicators/{name}": Computed(
                    Type.DOUBLE, f"Percent([indicators/@{part}], [indicators/@success])", label=label
                )
                for name, part, label in (
                    ("estimatedRecipientOpenRatio", "estimatedRecipientOpen", "Rate of opens, per cent"),
                    ("recipientClickRatio", "recipientClick", "Rate of clicks, per cent"),
                    ("refusedRatio", "complaints", "Rate of complaints, per cent"),
                    ("transactionRatio", "transaction", "Rate of transactions, per cent"),
                    ("optOutRatio", "optOut", "Rate of opt-outs, per cent"),
                )
            },
        },
        read_only=frozenset(
            {
                "is_model", "built_in", "message_type", "fcp", "mapping", "state", "delete_status", "run_id",
                "total_target", "reject", "to_deliver", "created_at", "created_by", "modified_at", "kind",
                "parent", "content", "sending", "approvals", "extraction", "variables", "operation_id",
                "workflow_id", "broad_start", "broad_end", "processed", "success", "error", "new_quarantine",
                "recipient_open", "total_recipient_open", "estimated_recipient_open",
                "estimated_total_recipient_open", "recipient_click", "person_click", "total_recipient_click",
                "forward", "opt_out", "mirror_page", "complaints", "passed_on", "new_contacts",
                "total_web_page", "transaction", "article",
                "amount", "reactivity", "indicators_at", "mjml_source", "variants",
            }
        ),
        collections={"folder": "delivery"},
    )  # fmt: skip

    class Meta:
        db_table = "nms_delivery"
        ordering = ("-delivery_id",)
        indexes = (
            models.Index(fields=("folder", "-delivery_id"), name="nms_delivery_folder"),
            models.Index(
                fields=("state",),
                condition=models.Q(state__gt=0) & models.Q(state__lt=85),
                name="nms_delivery_live",
            ),
            models.Index(
                fields=("workflow_id",),
                condition=models.Q(workflow_id__isnull=False),
                name="nms_delivery_workflow",
            ),
            models.Index(
                fields=("operation_id",),
                condition=models.Q(operation_id__isnull=False),
                name="nms_delivery_operation",
            ),
        )

    def __str__(self) -> str:
        return self.label

    @property
    def status(self) -> DeliveryState:
        """The state as a member of its enumeration."""
        return DeliveryState(self.state)
