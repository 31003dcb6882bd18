"""What an operator says about the outside: our addresses, rules by mail server, signatures, domains."""

from datetime import date
from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.models import Operator
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import number, text

STEPS = "200, 500, 1000, 2000, 5000, 10000, 20000, 40000, 70000, 100000"
"""Messages a day of an address that is new, from its first day on."""


class SendingIp(models.Model):
    """An address of ours that mail leaves from (delivery.md §2.14)."""

    ip_id = models.BigAutoField(primary_key=True)
    address = text(45)
    """Empty: the one that the system chooses."""
    public_id = models.IntegerField(unique=True)
    """Its number in limits and statistics. Two addresses behind one public address share one in the product;
    here each has its own."""
    host = text(64)
    """The host that has it; empty: any."""
    helo = text(255)
    """Empty: the name of the configuration."""
    weight = models.IntegerField(default=1, db_default=1)
    affinities = text(255)
    """Names between semicolons."""
    include_domains = models.TextField(blank=True, default="", db_default="")
    """Masks of recipients' domains, between blanks or commas; empty: all."""
    exclude_domains = models.TextField(blank=True, default="", db_default="")
    warm_up_began: "models.DateField[date | None]" = models.DateField(null=True, blank=True)
    """NULL: no warm-up."""
    warm_up_steps = models.TextField(blank=True, default=STEPS, db_default=STEPS)
    active = models.BooleanField(default=True, db_default=True)
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:ip",
        label="Sending addresses",
        singular="Sending address",
        text="@address",
        reading="ADMINISTRATION",
        names={"modified_at": "lastModified"},
        labels={
            "public_id": "Public identifier",
            "helo": "Name in HELO",
            "include_domains": "Only for domains",
            "exclude_domains": "Not for domains",
            "warm_up_began": "Start of warm-up",
            "warm_up_steps": "Messages a day in warm-up",
        },
        read_only=frozenset({"modified_at"}),
    )

    class Meta:
        db_table = "nms_ip"
        ordering = ("public_id",)


class Encryption(models.IntegerChoices):
    """How much an MX rule asks for."""

    OPPORTUNISTIC = 0, "where offered"
    NONE = 1, "never"
    REQUIRED = 2, "always"


class MxRule(models.Model):
    """How fast the mail servers are sent to whose names a mask covers; the first that fits holds (§3.3)."""

    mx_rule_id = models.BigAutoField(primary_key=True)
    mask = models.CharField(max_length=255)
    position = models.IntegerField()
    public_ids = text(255)
    """Numbers of sending addresses, as 3 or 1-5, between commas; empty: all."""
    shared = models.BooleanField(default=False, db_default=False)
    """Limits count for all our addresses together, else for each."""
    connections = models.IntegerField(default=30, db_default=30)
    per_connection = models.IntegerField(default=5, db_default=5)
    per_hour = models.IntegerField(null=True, blank=True)
    """NULL: no limit."""
    connect_timeout = models.IntegerField(default=10, db_default=10)
    """Seconds, like the others."""
    command_timeout = models.IntegerField(default=60, db_default=60)
    data_timeout = models.IntegerField(default=240, db_default=240)
    tls = number(choices=Encryption.choices)
    active = models.BooleanField(default=True, db_default=True)
    shipped = models.CharField(max_length=64, null=True, blank=True, unique=True)
    """Its name among the rules that are shipped; NULL: one of the instance's own."""
    changed = models.BooleanField(default=False, db_default=False)
    """Somebody changed it: new versions and throughput levels leave it alone."""
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:mxRule",
        label="MX rules",
        singular="MX rule",
        text="@mask",
        reading="ADMINISTRATION",
        names={"modified_at": "lastModified"},
        labels={
            "public_ids": "Range of identifiers",
            "connections": "Maximum of connections",
            "per_connection": "Messages a connection",
            "per_hour": "Messages an hour",
            "tls": "Encryption",
        },
        read_only=frozenset({"shipped", "changed", "modified_at"}),
    )

    class Meta:
        db_table = "nms_mx_rule"
        ordering = ("position", "mx_rule_id")


class DomainRule(models.Model):
    """A server of ours that takes the mail to the domains that a mask covers, instead of their own."""

    domain_rule_id = models.BigAutoField(primary_key=True)
    mask = models.CharField(max_length=255, unique=True)
    position = models.IntegerField()
    relay_host = models.CharField(max_length=255)
    relay_port = models.IntegerField(default=25, db_default=25)
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:domainRule",
        label="Domain rules",
        singular="Domain rule",
        text="@mask",
        reading="ADMINISTRATION",
        names={"modified_at": "lastModified"},
        read_only=frozenset({"modified_at"}),
    )

    class Meta:
        db_table = "nms_domain_rule"
        ordering = ("position", "domain_rule_id")


class SigningAlgorithm(models.TextChoices):
    """Of DKIM keys."""

    RSA = "rsa", "RSA 2048"
    ED25519 = "ed25519", "Ed25519"


class DkimKey(models.Model):
    """A key that signs the mail of a domain; its private half is sealed with the instance's key."""

    dkim_key_id = models.BigAutoField(primary_key=True)
    domain = models.CharField(max_length=253)
    selector = models.CharField(max_length=63)
    algorithm = models.CharField(max_length=8, choices=SigningAlgorithm.choices)
    private_key = models.TextField()
    """Sealed for this domain and selector, in base64."""
    record = models.TextField()
    """What DNS must say of it, in one piece."""
    active = models.BooleanField(default=False, db_default=False)
    """It signs."""
    verified_at = models.DateTimeField(null=True, blank=True)
    """When DNS last said what it must; NULL: never, or it no longer does."""
    retired_at = models.DateTimeField(null=True, blank=True)
    """It signs no more; its record stays until what it signed is old."""
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    SCHEMA = Declaration(
        "nms:dkimKey",
        label="DKIM keys",
        singular="DKIM key",
        text="@selector",
        reading="ADMINISTRATION",
        names={"created_at": "created"},
        labels={"record": "DNS record", "verified_at": "Seen in DNS", "retired_at": "Retired"},
        private=frozenset({"private_key"}),
        read_only=frozenset(
            {
                "domain",
                "selector",
                "algorithm",
                "record",
                "active",
                "verified_at",
                "retired_at",
                "created_at",
                "created_by",
            }
        ),
    )

    class Meta:
        db_table = "nms_dkim_key"
        ordering = ("domain", "-dkim_key_id")
        constraints = (models.UniqueConstraint(fields=("domain", "selector"), name="nms_dkim_key_once"),)


class CheckState(models.IntegerChoices):
    """What a look at DNS came to."""

    UNKNOWN = 0, "not looked at"
    GOOD = 1, "good"
    WARNING = 2, "warning"
    BAD = 3, "bad"


class SendingDomain(models.Model):
    """A domain that deliveries come From, and what DNS said of it at the last look."""

    sending_domain_id = models.BigAutoField(primary_key=True)
    domain = models.CharField(max_length=253, unique=True)
    spf = number(choices=CheckState.choices)
    dkim = number(choices=CheckState.choices)
    dmarc = number(choices=CheckState.choices)
    mx = number(choices=CheckState.choices)
    """That of return addresses."""
    findings: "models.JSONField[Any]" = models.JSONField(default=list, blank=True)
    """List of [what, state, code, detail]; texts are made for who reads them."""
    checked_at = models.DateTimeField(null=True, blank=True)
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:sendingDomain",
        label="Sending domains",
        singular="Sending domain",
        text="@domain",
        reading="ADMINISTRATION",
        names={"modified_at": "lastModified"},
        labels={"spf": "SPF", "dkim": "DKIM", "dmarc": "DMARC", "mx": "MX", "checked_at": "Last look"},
        read_only=frozenset(
            {"domain", "spf", "dkim", "dmarc", "mx", "findings", "checked_at", "modified_at"}
        ),
    )

    class Meta:
        db_table = "nms_sending_domain"
        ordering = ("domain",)


class MxBlock(models.Model):
    """A destination that a sender has stopped sending to for a while, and why."""

    mx_block_id = models.BigAutoField(primary_key=True)
    mx = models.CharField(max_length=255)
    """Mask of the MX rule, or the host under the general one."""
    public_id = models.IntegerField(default=0, db_default=0)
    """The sending address; below zero: all that share the limits."""
    reason = models.TextField(blank=True, default="", db_default="")
    since = models.DateTimeField()
    until = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    """When an operator ended it before its time."""
    lifted_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    if TYPE_CHECKING:
        lifted_by_id: int | None

    SCHEMA = Declaration(
        "nms:mxBlock",
        label="Blocked destinations",
        singular="Blocked destination",
        text="@mx",
        reading="ADMINISTRATION",
        labels={"public_id": "Public identifier", "mx": "Destination"},
        read_only=frozenset({"mx", "public_id", "reason", "since", "until", "lifted_at", "lifted_by"}),
    )

    class Meta:
        db_table = "nms_mx_block"
        constraints = (models.UniqueConstraint(fields=("mx", "public_id"), name="nms_mx_block_once"),)
