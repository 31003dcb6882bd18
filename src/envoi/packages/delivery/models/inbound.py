"""Mails that came in, and the rules by which they are read (delivery.md §3.3, §3.5)."""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.log import FailureReason, FailureType
from envoi.packages.delivery.models.person import number, text


class InboundKind(models.IntegerChoices):
    """What a mail is. Codes are our own."""

    OTHER = 0, "other"
    BOUNCE = 1, "bounce"
    COMPLAINT = 2, "complaint"
    AUTO_REPLY = 3, "automatic reply"
    REPLY = 4, "reply"
    UNSUBSCRIPTION = 5, "unsubscription"
    UNREADABLE = 6, "unreadable"


class InboundOutcome(models.IntegerChoices):
    """What came of a mail. Codes are our own."""

    NOTHING = 0, "nothing to do"
    APPLIED = 1, "taken into account"
    UNKNOWN = 2, "no message of ours"
    FORWARDED = 3, "forwarded"
    KEPT = 4, "kept"


class InboundMail(models.Model):
    """One mail that was handled. Its digest keeps it from being handled twice."""

    inbound_mail_id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the mail, lines ended by LF."""
    source = text(64)
    kind = number(choices=InboundKind.choices)
    outcome = number(choices=InboundOutcome.choices)
    sender = text(254)
    subject = text(255)
    address = text(254)
    """Whom it is about: the address that was written to."""
    delivery_id = models.BigIntegerField(null=True, blank=True)
    run_id = models.BigIntegerField(null=True, blank=True)
    broad_log_id = models.BigIntegerField(null=True, blank=True)
    failure_type = number(choices=FailureType.choices)
    failure_reason = number(choices=FailureReason.choices)
    rule = text(64)
    excerpt = models.TextField(blank=True, default="", db_default="")
    """What the server said, or the beginning of the letter."""
    content = models.BinaryField(null=True, blank=True)
    """The mail as it came, of replies and of what nobody could read."""
    received_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:inboundMail",
        label="Inbound mails",
        singular="Inbound mail",
        text="@subject",
        names={"received_at": "received", "delivery_id": "delivery-id", "run_id": "run-id"},
        labels={
            "digest": "Digest", "sender": "From", "outcome": "Outcome", "broad_log_id": "Message",
            "delivery_id": "Delivery", "run_id": "Analysis", "excerpt": "Text", "received_at": "Received",
        },
        reading="PREPARE DELIVERIES",
        private=frozenset({"content"}),
        read_only=frozenset(
            {"digest", "source", "kind", "outcome", "sender", "subject", "address", "delivery_id", "run_id",
             "broad_log_id", "failure_type", "failure_reason", "rule", "excerpt", "received_at"}
        ),
    )  # fmt: skip

    class Meta:
        db_table = "nms_inbound_mail"
        ordering = ("-inbound_mail_id",)
        indexes = (
            models.Index(fields=("kind", "-inbound_mail_id"), name="nms_inbound_mail_kind"),
            models.Index(fields=("received_at",), name="nms_inbound_mail_age"),
            models.Index(fields=("delivery_id",), name="nms_inbound_mail_delivery"),
        )


class MailRuleSet(models.Model):
    """Rules of one use, in their order: `defaultBounces` reads the mails that come in."""

    mail_rule_set_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    version = models.IntegerField(default=0)
    """Of the rules that the product brings."""
    revision = models.IntegerField(default=0, db_default=0)
    """Grows with each change."""
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:mailRuleSet",
        label="Mail rule sets",
        singular="Mail rule set",
        writing="ADMINISTRATION",
        names={"modified_at": "lastModified"},
        labels={"version": "Version", "revision": "Revision"},
        read_only=frozenset({"name", "label", "version", "revision", "modified_at"}),
    )

    class Meta:
        db_table = "nms_mail_rule_set"

    def __str__(self) -> str:
        return self.label


class MailRule(models.Model):
    """One rule. Those of operators come before those of the product, which can be switched off."""

    mail_rule_id = models.BigAutoField(primary_key=True)
    rule_set = models.ForeignKey(MailRuleSet, on_delete=models.CASCADE, related_name="rules")
    key = models.CharField(max_length=96)
    """What a rule of the product is known by in its next version."""
    rank = models.IntegerField()
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=8, default="text")
    """What is compared: text, vague, hint (wordings), status or reply (codes), end (what is left)."""
    failure_type = number(choices=FailureType.choices)
    failure_reason = number(choices=FailureReason.choices)
    patterns: "models.JSONField[Any]" = models.JSONField(default=list, blank=True)
    """Wordings, or codes."""
    built_in = models.BooleanField(default=False, db_default=False)
    active = models.BooleanField(default=True, db_default=True)
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        rule_set_id: int

    SCHEMA = Declaration(
        "nms:mailRule",
        label="Mail rules",
        singular="Mail rule",
        writing="ADMINISTRATION",
        names={"modified_at": "lastModified", "rule_set": "ruleSet"},
        labels={"rule_set": "Mail rule set", "patterns": "Wordings or codes", "active": "Active"},
        read_only=frozenset({"rule_set", "key", "rank", "built_in", "modified_at"}),
        collections={"rule_set": "rule"},
    )

    class Meta:
        db_table = "nms_mail_rule"
        ordering = ("rank", "mail_rule_id")
        constraints = (models.UniqueConstraint(fields=("rule_set", "key"), name="nms_mail_rule_once"),)

    def __str__(self) -> str:
        return self.name
