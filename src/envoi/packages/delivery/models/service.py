"""Information services, who subscribes to them, and the history of it (delivery.md §1.2)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Folder, Operator
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.mapping import DeliveryMapping
from envoi.packages.delivery.models.person import loose, number


class ServiceType(models.IntegerChoices):
    """The channel of a service. The product documents codes 0 to 4; those of networks are our own."""

    EMAIL = 0, "e-mail"
    SMS = 1, "SMS"
    PHONE = 2, "phone"
    DIRECT_MAIL = 3, "direct mail"
    FAX = 4, "fax"
    FACEBOOK = 50, "Facebook"
    X = 51, "X"
    MOBILE_APP = 52, "mobile application"
    LINE = 53, "LINE"


class ServiceMode(models.IntegerChoices):
    """What an e-mail service is for."""

    NEWSLETTER = 0, "newsletter"
    VIRAL = 1, "viral"


class ValidityUnit(models.TextChoices):
    """In what the validity of a subscription is counted."""

    DAYS = "d", "days"
    MONTHS = "m", "months"


class SubAction(models.IntegerChoices):
    """What a line of the history says."""

    UNSUBSCRIBE = 0, "unsubscription"
    SUBSCRIBE = 1, "subscription"


class SubOrigin(models.IntegerChoices):
    """Through what a subscription came or went."""

    MANUAL = 0, "by hand"
    IMPORT = 1, "import"
    FORM = 2, "web form"
    WORKFLOW = 3, "workflow"
    EXPIRY = 4, "expired"
    API = 5, "interface"
    MERGE = 6, "merged profile"


class Confirmation(models.IntegerChoices):
    """Whether the person is told by a message."""

    NONE = 0, "none"
    ASKED = 1, "to send"
    SENT = 2, "sent"


class Service(models.Model):
    """A newsletter or the like. A validity of 0 is without end."""

    service_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    description = models.TextField(blank=True, default="")
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    type = models.SmallIntegerField(choices=ServiceType.choices, default=ServiceType.EMAIL)
    mode = models.SmallIntegerField(choices=ServiceMode.choices, default=ServiceMode.NEWSLETTER)
    validity_length = models.IntegerField(default=0)
    validity_unit = models.CharField(
        max_length=1, choices=ValidityUnit.choices, default=ValidityUnit.DAYS, blank=True
    )
    subscription_template_id = models.BigIntegerField(null=True, blank=True)
    """Delivery template of the message that confirms a subscription; none without it."""
    unsubscription_template_id = models.BigIntegerField(null=True, blank=True)
    mapping = models.ForeignKey(
        DeliveryMapping, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    public = models.BooleanField(default=False, db_default=False)
    """Readers find it: its form has a public address, and their preferences page offers it."""
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        folder_id: int

    SCHEMA = Declaration(
        "nms:service",
        label="Services",
        singular="Service",
        folder="folder",
        names={
            "created_at": "created",
            "modified_at": "lastModified",
            "subscription_template_id": "subscriptionTemplate-id",
            "unsubscription_template_id": "unsubscriptionTemplate-id",
        },
        labels={
            "public": "Open to readers",
            "validity_length": "Validity",
            "validity_unit": "Unit of the validity",
            "subscription_template_id": "Subscription template",
            "unsubscription_template_id": "Unsubscription template",
        },
        read_only=frozenset({"created_at", "modified_at"}),
        collections={"folder": "service"},
    )

    class Meta:
        db_table = "nms_service"
        ordering = ("label", "service_id")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(validity_length__gte=0), name="nms_service_validity_positive"
            ),
        )

    def __str__(self) -> str:
        return self.label


class Subscription(models.Model):
    """A recipient that subscribes to a service: one row of the two at most.

    In the database the key is (recipient_id, service_id), which a distributed table asks for.
    """

    subscription_id = models.BigIntegerField(primary_key=True)
    recipient = loose(
        "delivery.Recipient", db_index=False, on_delete=models.CASCADE, related_name="subscriptions"
    )
    service = loose(Service, db_index=False, on_delete=models.CASCADE, related_name="subscriptions")
    created_at = models.DateTimeField()
    expiration_date = models.DateTimeField(null=True, blank=True)
    """When it ends by itself, for a service of limited validity."""
    delete_status = number()
    """Other than 0: to be removed by the nightly cleanup."""
    origin = number(choices=SubOrigin.choices)

    if TYPE_CHECKING:
        recipient_id: int
        service_id: int

    SCHEMA = Declaration(
        "nms:subscription",
        label="Subscriptions",
        singular="Subscription",
        folder="recipient/folder",
        text="[service/@label]",
        names={"created_at": "created"},
        collections={"recipient": "subscription", "service": "subscription"},
        read_only=frozenset({"created_at", "delete_status"}),
    )

    class Meta:
        db_table = "nms_subscription"
        constraints = (
            models.UniqueConstraint(fields=("recipient", "service"), name="nms_subscription_pkey"),
        )


class SubHisto(models.Model):
    """A line of the history of subscriptions. It has no purge; it goes with its recipient."""

    sub_histo_id = models.BigIntegerField(primary_key=True)
    recipient = loose("delivery.Recipient", db_index=False, on_delete=models.CASCADE, related_name="history")
    service = loose(Service, db_index=False, on_delete=models.CASCADE, related_name="history")
    action = models.SmallIntegerField(choices=SubAction.choices)
    date = models.DateTimeField()
    origin = number(choices=SubOrigin.choices)
    operator = loose(Operator, null=True, blank=True, db_index=False)
    batch_id = models.BigIntegerField()
    """Id of the first line that the same statement wrote."""
    confirmation = number(choices=Confirmation.choices)

    if TYPE_CHECKING:
        recipient_id: int
        service_id: int

    SCHEMA = Declaration(
        "nms:subHisto",
        label="History of subscriptions",
        singular="Line of the history of subscriptions",
        folder="recipient/folder",
        text="[service/@label]",
        names={"batch_id": "batch-id"},
        labels={"batch_id": "Batch"},
        collections={"recipient": "subHisto", "service": "subHisto"},
        read_only=frozenset(
            {"recipient", "service", "action", "date", "origin", "operator", "batch_id", "confirmation"}
        ),
    )

    class Meta:
        db_table = "nms_sub_histo"


class VisitorSub(models.Model):
    """A visitor that subscribes to a service (LINE)."""

    visitor_sub_id = models.BigAutoField(primary_key=True)
    visitor = models.ForeignKey("delivery.Visitor", on_delete=models.CASCADE, related_name="+")
    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField()
    delete_status = number()

    SCHEMA = Declaration(
        "nms:visitorSub",
        label="Subscriptions of visitors",
        singular="Subscription of a visitor",
        folder="visitor/folder",
        text="[service/@label]",
        names={"created_at": "created"},
        collections={"visitor": "visitorSub", "service": "visitorSub"},
    )

    class Meta:
        db_table = "nms_visitor_sub"
        constraints = (models.UniqueConstraint(fields=("visitor", "service"), name="nms_visitor_sub_once"),)
