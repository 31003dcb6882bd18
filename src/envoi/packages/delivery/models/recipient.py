"""Recipients: the profiles of an instance, its largest table of persons (delivery.md §1.1)."""

from typing import TYPE_CHECKING

from django.db import models

from envoi.kernel.models import Folder, Operator
from envoi.kernel.registry import Declaration, Type
from envoi.packages.delivery.models import person
from envoi.packages.delivery.models.person import Person, loose, number, text


class AddressQuality(models.IntegerChoices):
    """How good a postal address is, as the last file of a mail provider says."""

    UNKNOWN = 0, "not checked"
    VALID = 1, "valid"
    CORRECTED = 2, "corrected"
    INVALID = 3, "invalid"


class Recipient(Person):
    """One profile. Ids come from `big_tables.reserve_ids`; every other column has a default in SQL too.

    `black_list` is the refusal of all contact; the others refuse one channel each.
    """

    recipient_id = models.BigIntegerField(primary_key=True)
    folder = loose(Folder, db_index=False)
    account = text(64)
    """What another system calls this person."""
    domain = models.GeneratedField(
        expression=models.Func(
            "email",
            models.Value("@"),
            models.Value(2),
            function="split_part",
        ),
        output_field=models.CharField(max_length=254),
        max_length=254,
        db_persist=True,
    )
    """Of the e-mail address."""

    black_list = number(choices=((0, "no"), (1, "yes")))
    black_list_email = number(choices=((0, "no"), (1, "yes")))
    black_list_mobile = number(choices=((0, "no"), (1, "yes")))
    black_list_phone = number(choices=((0, "no"), (1, "yes")))
    black_list_postal_mail = number(choices=((0, "no"), (1, "yes")))
    black_list_fax = number(choices=((0, "no"), (1, "yes")))

    addr_error_count = models.IntegerField(default=0, db_default=0)
    addr_quality = number(choices=AddressQuality.choices)
    addr_last_check = models.DateTimeField(null=True, blank=True)

    origin = text(64)
    """Where the profile came from: a form, a file, a shop."""
    image = text(255)
    text1 = text(255)
    text2 = text(255)
    text3 = text(255)

    created_at = models.DateTimeField()
    created_by = loose(Operator, null=True, blank=True, db_index=False)
    modified_at = models.DateTimeField()
    modified_by = loose(Operator, null=True, blank=True, db_index=False)

    if TYPE_CHECKING:
        folder_id: int
        created_by_id: int | None
        modified_by_id: int | None

    SCHEMA = Declaration(
        "nms:recipient",
        label="Recipients",
        singular="Recipient",
        folder="folder",
        text="Iif(JuxtWords(@firstName, @lastName) <> '', JuxtWords(@firstName, @lastName), @email)",
        names={**person.NAMES, "created_at": "created", "modified_at": "lastModified"},
        labels={
            **person.LABELS,
            "black_list": "No longer contact",
            "black_list_email": "No longer contact by e-mail",
            "black_list_mobile": "No longer contact by SMS",
            "black_list_phone": "No longer contact by phone",
            "black_list_postal_mail": "No longer contact by direct mail",
            "black_list_fax": "No longer contact by fax",
            "addr_error_count": "Errors of the postal address",
            "addr_quality": "Quality of the postal address",
            "addr_last_check": "Postal address last checked",
            "domain": "E-mail domain",
            "text1": "Text 1",
            "text2": "Text 2",
            "text3": "Text 3",
        },
        types={"domain": Type.STRING},
        read_only=frozenset(
            {
                "addr_error_count",
                "addr_quality",
                "addr_last_check",
                "created_at",
                "created_by",
                "modified_at",
                "modified_by",
            }
        ),
        enumerations={"salutation": "salutation", "company": "company", "origin": "origin"},
        collections={"folder": "recipient"},
        computed=person.COMPUTED,
    )

    class Meta:
        db_table = "nms_recipient"
        indexes = (
            models.Index(fields=("email",), name="nms_recipient_email"),
            models.Index(fields=("email",), name="nms_recipient_email_like", opclasses=["text_pattern_ops"]),
            models.Index(fields=("mobile_phone",), name="nms_recipient_mobile"),
            models.Index(fields=("account",), name="nms_recipient_account"),
            models.Index(fields=("folder",), name="nms_recipient_folder"),
            models.Index(fields=("modified_at",), name="nms_recipient_modified"),
        )

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.email or str(self.recipient_id)
