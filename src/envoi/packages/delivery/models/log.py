"""Logs of messages and exclusions, and what they say (delivery.md §2.12, §3.2).

The tables are made for each mapping by `services/log_tables.py`; here is what the registry knows of those of
recipients.
"""

from django.db import models

from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import loose, number, text


class MessageStatus(models.IntegerChoices):
    """What became of a message; 1, 3 and 5 are success."""

    NOT_APPLICABLE = -1, "not applicable"
    IGNORED = 0, "ignored"
    SENT = 1, "sent"
    FAILED = 2, "failed"
    TAKEN = 3, "taken into account"
    RECEIVED = 5, "received"
    PENDING = 6, "pending"
    CANCELLED = 7, "cancelled"
    PREPARED = 8, "prepared"
    HANDED = 9, "sent to the provider"


class FailureReason(models.IntegerChoices):
    """Why a message was not sent, or did not arrive; the codes of the product."""

    NONE = 0, "not defined"
    USER_UNKNOWN = 1, "user unknown"
    INVALID_DOMAIN = 2, "invalid domain"
    UNREACHABLE = 3, "unreachable"
    ACCOUNT_DISABLED = 4, "account disabled"
    MAILBOX_FULL = 5, "mailbox full"
    NOT_CONNECTED = 6, "not connected"
    NO_ADDRESS = 7, "address not specified"
    DENYLISTED = 8, "denylisted address"
    QUARANTINE = 9, "address in quarantine"
    DOUBLE = 10, "double"
    RULE = 11, "excluded by a rule"
    ARBITRATION = 12, "excluded after arbitration"
    BAD_QUALITY = 14, "address of bad quality"
    UNQUALIFIED = 15, "unqualified address"
    NOT_ELIGIBLE = 16, "not eligible for the offers"
    LIMITED = 17, "target limited in size"
    REFUSED = 20, "refused"
    ERROR_IGNORED = 25, "error ignored"
    CONTROL = 127, "control address"


class Flag(models.IntegerChoices):
    """Bits of the column `flags` of a delivery log."""

    SEED = 1, "seed address"
    CONTROL = 2, "control group"
    REPEAT = 4, "sent again though it may have arrived"
    HELD = 8, "may have arrived, held"


class Qualification(models.IntegerChoices):
    """What is thought of the text of a failure. Codes are our own."""

    TO_QUALIFY = 0, "to qualify"
    KEEP = 1, "keep"
    IGNORE = 2, "ignore"


class FailureType(models.IntegerChoices):
    """What a failure means for the address. Codes are our own."""

    UNDEFINED = 0, "not defined"
    IGNORED = 1, "ignored"
    SOFT = 2, "soft"
    HARD = 3, "hard"


class BroadLogMsg(models.Model):
    """What servers said, one row for all answers that say the same."""

    broad_log_msg_id = models.BigAutoField(primary_key=True)
    md5 = models.CharField(max_length=32, unique=True)
    """Of the normalised text."""
    text = models.TextField()
    first_text = models.TextField()
    failure_type = number(choices=FailureType.choices)
    failure_reason = number(choices=FailureReason.choices)
    qualification = number(choices=Qualification.choices)
    rule = models.CharField(max_length=64, blank=True, default="", db_default="")
    """Name of the rule that recognised it; empty when an operator decided, or nobody."""
    occurrences = models.IntegerField(default=0, db_default=0)
    """Counted to 100,000."""
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:broadLogMsg",
        label="Delivery log qualification",
        singular="Text of a failure",
        text="@text",
        names={"modified_at": "lastModified"},
        labels={"first_text": "First text", "md5": "Digest"},
        read_only=frozenset({"md5", "text", "first_text", "rule", "modified_at"}),
    )

    class Meta:
        db_table = "nms_broad_log_msg"
        indexes = (models.Index(fields=("qualification", "-occurrences"), name="nms_broad_log_msg_open"),)


class BroadLogRcp(models.Model):
    """One message to a recipient. In the database the key is (target_id, run_id)."""

    broad_log_id = models.BigIntegerField(primary_key=True, db_column="id")
    target = loose("delivery.Recipient", db_index=False)
    run_id = models.BigIntegerField()
    delivery = loose("delivery.Delivery", db_index=False)
    address = text(254)
    status = models.SmallIntegerField(choices=MessageStatus.choices, default=MessageStatus.PENDING)
    failure_reason = number(choices=FailureReason.choices)
    msg = loose(BroadLogMsg, db_index=False)
    part = number()
    flags = number()
    event_date = models.DateTimeField(null=True, blank=True)
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:broadLogRcp",
        label="Delivery logs of recipients",
        singular="Message to a recipient",
        folder="recipient/folder",
        text="@address",
        names={"target": "recipient", "run_id": "run-id", "modified_at": "lastModified"},
        labels={"target": "Recipient", "run_id": "Analysis", "msg": "Text of a failure"},
        read_only=frozenset(
            {"target", "run_id", "delivery", "address", "status", "failure_reason", "msg", "part", "flags",
             "event_date", "modified_at"}
        ),
        collections={"target": "broadLog", "delivery": "broadLogRcp"},
        extensible=False,
    )  # fmt: skip

    class Meta:
        managed = False
        db_table = "nms_broad_log_rcp"


class ExclLogRcp(models.Model):
    """A recipient that an analysis has excluded, of a delivery that keeps these apart."""

    excl_log_id = models.BigIntegerField(primary_key=True, db_column="id")
    target = loose("delivery.Recipient", db_index=False)
    run_id = models.BigIntegerField()
    delivery = loose("delivery.Delivery", db_index=False)
    address = text(254)
    failure_reason = number(choices=FailureReason.choices)
    rule_id = models.BigIntegerField(default=0)
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:exclLogRcp",
        label="Exclusion logs of recipients",
        singular="Excluded recipient",
        folder="recipient/folder",
        text="@address",
        names={
            "target": "recipient",
            "run_id": "run-id",
            "rule_id": "rule-id",
            "modified_at": "lastModified",
        },
        labels={"target": "Recipient", "run_id": "Analysis", "rule_id": "Rule"},
        read_only=frozenset(
            {"target", "run_id", "delivery", "address", "failure_reason", "rule_id", "modified_at"}
        ),
        collections={"target": "exclLog", "delivery": "exclLogRcp"},
        extensible=False,
    )

    class Meta:
        managed = False
        db_table = "nms_excl_log_rcp"
