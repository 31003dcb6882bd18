"""Lists: static groups of recipients, and lists of any dimension with their own table (delivery.md §1.3)."""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.models import Folder, Operator
from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.person import loose, number


class GroupType(models.IntegerChoices):
    """Where the members of a list are."""

    GROUP = 0, "group"
    """In nms_rcp_grp_rel: recipients only."""
    LIST = 1, "list"
    """In a table of its own, `grp<group_id>`: rows of any dimension, with further columns."""


class Group(models.Model):
    """One list. Deleting it never deletes its members."""

    group_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    description = models.TextField(blank=True, default="")
    folder = models.ForeignKey(Folder, on_delete=models.PROTECT, related_name="+")
    type = models.SmallIntegerField(choices=GroupType.choices, default=GroupType.GROUP)
    schema = models.CharField(max_length=64, default="nms:recipient")
    """Dimension: of what the members are rows. Empty: rows of a file, without one."""
    columns: "models.JSONField[Any]" = models.JSONField(default=list, blank=True)
    """Of the table of its own: [{"name", "type", "label"}], `id` left out."""
    expiration_date = models.DateTimeField(null=True, blank=True)
    """After it the nightly cleanup deletes the list."""
    delete_status = number()
    member_count = models.BigIntegerField(null=True, blank=True)
    counted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        Operator, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    modified_at = models.DateTimeField()

    if TYPE_CHECKING:
        folder_id: int

    SCHEMA = Declaration(
        "nms:group",
        label="Lists",
        singular="List",
        folder="folder",
        names={"created_at": "created", "modified_at": "lastModified"},
        labels={"schema": "Targeting dimension", "member_count": "Members", "counted_at": "Last counted"},
        read_only=frozenset(
            {
                "type",
                "schema",
                "columns",
                "delete_status",
                "member_count",
                "counted_at",
                "created_at",
                "created_by",
                "modified_at",
            }
        ),
        collections={"folder": "group"},
    )

    class Meta:
        db_table = "nms_group"
        ordering = ("label", "group_id")
        indexes = (
            models.Index(
                fields=("expiration_date",),
                condition=models.Q(expiration_date__isnull=False),
                name="nms_group_expiration",
            ),
        )

    def __str__(self) -> str:
        return self.label

    @property
    def table(self) -> str:
        """Name of the table of its own."""
        return f"grp{self.group_id}"


class RcpGrpRel(models.Model):
    """A recipient in a group. In the database the key is (group_id, recipient_id)."""

    rcp_grp_rel_id = models.BigIntegerField(primary_key=True)
    group = loose(Group, db_index=False, on_delete=models.CASCADE, related_name="members")
    recipient = loose(
        "delivery.Recipient", db_index=False, on_delete=models.CASCADE, related_name="memberships"
    )

    if TYPE_CHECKING:
        group_id: int
        recipient_id: int

    SCHEMA = Declaration(
        "nms:rcpGrpRel",
        label="Members of lists",
        singular="Member of a list",
        folder="recipient/folder",
        text="[group/@label]",
        collections={"group": "rcpGrpRel", "recipient": "rcpGrpRel"},
        read_only=frozenset({"group", "recipient"}),
    )

    class Meta:
        db_table = "nms_rcp_grp_rel"
        constraints = (models.UniqueConstraint(fields=("group", "recipient"), name="nms_rcp_grp_rel_pkey"),)
