"""Tracking logs, and what is made of them (delivery.md §2.13, §4.4–4.6).

The tracking logs of each mapping are made by `services/log_tables.py`; here is what the registry knows of
those of recipients.
"""

from django.db import models

from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.content import TrackingUrl, UrlType
from envoi.packages.delivery.models.person import loose, number, text


class Automatic(models.IntegerChoices):
    """Who made a hit, and why that is thought. Above 0: a machine, and it counts nowhere; below 0: an open
    that a proxy of a mail provider has loaded, which counts. Codes are our own.
    """

    PROXY_OTHER = -4, "privacy proxy"
    PROXY_YAHOO = -3, "picture proxy of Yahoo"
    PROXY_GMAIL = -2, "picture proxy of Gmail"
    PROXY_APPLE = -1, "mail privacy of Apple"
    READER = 0, "reader"
    ROBOT = 1, "robot or script, by its name"
    SCANNER = 2, "security scanner, by its name"
    GATEWAY = 3, "network of a security gateway"
    EARLY = 4, "before the message was accepted"
    BURST = 5, "several links within seconds"
    HIDDEN = 6, "link that nobody sees"


class Device(models.IntegerChoices):
    """What a browser runs on. Codes are our own."""

    UNKNOWN = 0, "unknown"
    DESKTOP = 1, "desktop"
    PHONE = 2, "phone"
    TABLET = 3, "tablet"
    TELEVISION = 4, "television"
    MACHINE = 5, "machine"


class UserAgent(models.Model):
    """What a program that asks calls itself, and what is known of it: looked at once for each such text."""

    user_agent_id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=32, unique=True)
    """MD5 of the name."""
    name = models.CharField(max_length=512, blank=True)
    browser = text(64)
    browser_version = text(16)
    os = text(64)
    os_version = text(16)
    device = number(choices=Device.choices)
    automatic = number(choices=Automatic.choices)
    rules = models.CharField(max_length=32, blank=True, default="", db_default="")
    """Digest of the rules by which it was looked at; others: it is looked at again."""
    created_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:userAgent",
        label="Browsers and mail programs",
        singular="Browser or mail program",
        text="JuxtWords(@browser, @os)",
        names={"created_at": "created", "browser_version": "browserVersion", "os_version": "osVersion"},
        labels={
            "name": "Name it gives itself",
            "browser": "Browser",
            "browser_version": "Version of the browser",
            "os": "Operating system",
            "os_version": "Version of the operating system",
            "device": "Device",
            "automatic": "Made by",
        },
        private=frozenset({"digest", "rules"}),
        read_only=frozenset(
            {"name", "browser", "browser_version", "os", "os_version", "device", "automatic", "created_at"}
        ),
        extensible=False,
    )

    class Meta:
        db_table = "nms_user_agent"


class TrackingLogRcp(models.Model):
    """A hit on a message to a recipient. In the database the key is (target_id, run_id, id)."""

    tracking_log_id = models.BigIntegerField(primary_key=True, db_column="id")
    """Of the hit, as `track` has made it."""
    target = loose("delivery.Recipient", db_index=False)
    run_id = models.BigIntegerField()
    broad_log_id = models.BigIntegerField()
    delivery = loose("delivery.Delivery", db_index=False)
    url = loose(TrackingUrl, db_index=False)
    type = models.SmallIntegerField(choices=UrlType.choices)
    log_date = models.DateTimeField()
    source_id = models.UUIDField(null=True, blank=True)
    """The browser, by its permanent cookie."""
    user_agent = loose(UserAgent, db_index=False, null=True)
    automatic = number(choices=Automatic.choices)
    flags = number()
    """Of the message, when it was hit (`Flag`)."""

    SCHEMA = Declaration(
        "nms:trackingLogRcp",
        label="Tracking logs of recipients",
        singular="Hit of a recipient",
        folder="recipient/folder",
        text="@id",
        names={
            "target": "recipient",
            "run_id": "run-id",
            "broad_log_id": "broadLog-id",
            "log_date": "logDate",
            "source_id": "sourceId",
        },
        labels={
            "target": "Recipient",
            "run_id": "Analysis",
            "broad_log_id": "Message",
            "url": "Link",
            "type": "Kind of link",
            "log_date": "Date",
            "source_id": "Person, by the browser",
            "user_agent": "Browser or mail program",
            "automatic": "Made by",
        },
        read_only=frozenset(
            {"target", "run_id", "broad_log_id", "delivery", "url", "type", "log_date", "source_id",
             "user_agent", "automatic", "flags"}
        ),
        collections={"target": "trackingLog", "delivery": "trackingLogRcp", "url": "trackingLogRcp"},
        extensible=False,
    )  # fmt: skip

    class Meta:
        managed = False
        db_table = "nms_tracking_log_rcp"


class WebTrackingLog(models.Model):
    """A visit of a page with a web tracking tag. In the database the key is (target_id, log_date, id)."""

    web_tracking_log_id = models.BigIntegerField(primary_key=True, db_column="id")
    target_id = models.BigIntegerField(default=0)
    """Of the mapping of the delivery; 0 while it is not known who it was."""
    run_id = models.BigIntegerField(default=0)
    broad_log_id = models.BigIntegerField(default=0)
    delivery = loose("delivery.Delivery", db_index=False, null=True)
    url = loose(TrackingUrl, db_index=False)
    type = models.SmallIntegerField(choices=UrlType.choices)
    log_date = models.DateTimeField()
    source_id = models.UUIDField(null=True, blank=True)
    user_agent = loose(UserAgent, db_index=False, null=True)
    automatic = number(choices=Automatic.choices)
    flags = number()
    amount = models.FloatField(default=0, db_default=0)
    article = models.IntegerField(default=0, db_default=0)
    visitor_id = models.BigIntegerField(default=0)

    SCHEMA = Declaration(
        "nms:webTrackingLog",
        label="Web tracking logs",
        singular="Visit of a page",
        folder="delivery/folder",
        text="@id",
        names={
            "target_id": "target-id",
            "run_id": "run-id",
            "broad_log_id": "broadLog-id",
            "log_date": "logDate",
            "source_id": "sourceId",
            "visitor_id": "visitor-id",
        },
        labels={
            "target_id": "Target",
            "run_id": "Analysis",
            "broad_log_id": "Message",
            "url": "Page",
            "type": "Kind of link",
            "log_date": "Date",
            "source_id": "Person, by the browser",
            "user_agent": "Browser or mail program",
            "automatic": "Made by",
            "amount": "Amount",
            "article": "Articles",
            "visitor_id": "Visitor",
        },
        read_only=frozenset(
            {"target_id", "run_id", "broad_log_id", "delivery", "url", "type", "log_date", "source_id",
             "user_agent", "automatic", "flags", "amount", "article", "visitor_id"}
        ),
        collections={"delivery": "webTrackingLog", "url": "webTrackingLog"},
        extensible=False,
    )  # fmt: skip

    class Meta:
        managed = False
        db_table = "nms_web_tracking_log"


class TrackingStats(models.Model):
    """Hits of readers on one link of a delivery in five minutes."""

    tracking_stats_id = models.BigAutoField(primary_key=True)
    delivery_id = models.BigIntegerField()
    url_id = models.BigIntegerField()
    start = models.DateTimeField()
    """Begin of the five minutes, UTC."""
    total_clicks = models.IntegerField(default=0)

    SCHEMA = Declaration(
        "nms:trackingStats",
        label="Consolidated tracking",
        singular="Five minutes of a link",
        text="@id",
        names={"delivery_id": "delivery-id", "url_id": "url-id"},
        labels={"delivery_id": "Delivery", "url_id": "Link", "start": "Begin", "total_clicks": "Hits"},
        read_only=frozenset({"delivery_id", "url_id", "start", "total_clicks"}),
        extensible=False,
    )

    class Meta:
        db_table = "nms_tracking_stats"
        constraints = (
            models.UniqueConstraint(
                fields=("delivery_id", "url_id", "start"), name="nms_tracking_stats_once"
            ),
        )
        indexes = (models.Index(fields=("start",), name="nms_tracking_stats_start"),)


class UserAgentsStats(models.Model):
    """Recipients who clicked on one day with one browser and system, and how often (delivery.md §4.5)."""

    user_agents_stats_id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    """UTC."""
    browser = text(64)
    browser_version = text(16)
    os = text(64)
    os_version = text(16)
    device = number(choices=Device.choices)
    visitors = models.IntegerField(default=0)
    pages = models.IntegerField(default=0)
    visitors_of_the_day = models.IntegerField(default=0)
    """With any browser and system; the same in all rows of the day."""

    SCHEMA = Declaration(
        "nms:userAgentsStats",
        label="Statistics of browsers",
        singular="Day of a browser",
        text="@browser",
        names={
            "browser_version": "browserVersion",
            "os_version": "osVersion",
            "visitors_of_the_day": "visitorsOfTheDay",
        },
        labels={
            "day": "Day",
            "browser": "Browser",
            "browser_version": "Version of the browser",
            "os": "Operating system",
            "os_version": "Version of the operating system",
            "device": "Device",
            "visitors": "Visitors",
            "pages": "Pages viewed",
            "visitors_of_the_day": "Visitors of the day",
        },
        read_only=frozenset(
            {"day", "browser", "browser_version", "os", "os_version", "device", "visitors", "pages",
             "visitors_of_the_day"}
        ),
        extensible=False,
    )  # fmt: skip

    class Meta:
        db_table = "nms_user_agents_stats"
        constraints = (
            models.UniqueConstraint(
                fields=("day", "browser", "browser_version", "os", "os_version", "device"),
                name="nms_user_agents_stats_once",
            ),
        )


class DeliveryTracking(models.Model):
    """How far tracking is with a delivery: logs that its indicators account for, and those they do not."""

    delivery_id = models.BigIntegerField(primary_key=True)
    logs = models.BigIntegerField(default=0, db_default=0)
    """Hits in the logs, of readers and of machines."""
    unaccounted = models.BigIntegerField(default=0, db_default=0)
    """Of these, those that the indicators do not count yet."""
    errors = models.BigIntegerField(default=0, db_default=0)
    """Errors and complaints of the delivery when the indicators were worked out."""
    automatic = models.BigIntegerField(default=0, db_default=0)
    """Hits of machines."""
    proxy_open = models.BigIntegerField(default=0, db_default=0)
    """Opens through privacy proxies; they are among the opens."""

    NO_SCHEMA = "It serves the calculation of indicators; deliveries show them."

    class Meta:
        db_table = "nms_delivery_tracking"
        indexes = (
            models.Index(
                fields=("delivery_id",),
                condition=models.Q(unaccounted__gt=0),
                name="nms_delivery_tracking_due",
            ),
        )


class RuleKind(models.IntegerChoices):
    """What a rule looks at. Codes are our own."""

    AGENT = 0, "name of the program"
    """`value` is a regular expression, without regard to case."""
    NETWORK = 1, "network"
    """`value` is an address range (CIDR)."""


class TrackingRule(models.Model):
    """By what a machine is known. Shipped rules follow the product's versions until somebody changes them."""

    tracking_rule_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    kind = number(choices=RuleKind.choices)
    value = models.CharField(max_length=512)
    automatic = models.SmallIntegerField(choices=Automatic.choices)
    active = models.BooleanField(default=True, db_default=True)
    version = models.CharField(max_length=16, blank=True, default="", db_default="")
    """Of the list that it came with."""
    built_in = models.BooleanField(default=False)
    package = text(64)
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:trackingRule",
        label="Rules for automatic hits",
        singular="Rule for automatic hits",
        writing="ADMINISTRATION",
        names={"modified_at": "lastModified"},
        labels={
            "label": "Label",
            "kind": "Looks at",
            "value": "Expression or network",
            "automatic": "Made by",
            "active": "In use",
            "version": "Version of the list",
        },
        read_only=frozenset({"version", "built_in", "package", "modified_at"}),
        extensible=False,
    )

    class Meta:
        db_table = "nms_tracking_rule"
        ordering = ("tracking_rule_id",)


class TrackingSource(models.Model):
    """Whose browser a permanent cookie is, by the last click with it: for web tracking in the modes
    permanent and anonymous.
    """

    source_id = models.UUIDField(primary_key=True)
    storage = models.CharField(max_length=32)
    target_id = models.BigIntegerField()
    run_id = models.BigIntegerField()
    broad_log_id = models.BigIntegerField()
    delivery_id = models.BigIntegerField()
    seen_at = models.DateTimeField()

    NO_SCHEMA = "It serves web tracking alone."

    class Meta:
        db_table = "nms_tracking_source"
        indexes = (models.Index(fields=("seen_at",), name="nms_tracking_source_seen"),)


class TrackingDay(models.Model):
    """A day with hits that the statistics of browsers do not know yet."""

    day = models.DateField(primary_key=True)

    NO_SCHEMA = "It serves the consolidation alone."

    class Meta:
        db_table = "nms_tracking_day"
