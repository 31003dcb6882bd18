"""What recipients, visitors and seeds have in common: a person that can be written to (delivery.md §1.1)."""

from typing import Any

from django.db import models

from envoi.kernel.registry import Computed, Type


class Channel(models.IntegerChoices):
    """Ways to reach a person; the codes of the product."""

    EMAIL = 0, "e-mail"
    SMS = 1, "SMS"
    PHONE = 2, "phone"
    DIRECT_MAIL = 3, "direct mail"
    FAX = 4, "fax"


class EmailFormat(models.IntegerChoices):
    """Which part of a message a person wants; undefined gets both."""

    UNDEFINED = 0, "undefined"
    TEXT = 1, "text"
    HTML = 2, "HTML"


class Gender(models.IntegerChoices):
    """As the product counts them."""

    UNKNOWN = 0, "not indicated"
    MALE = 1, "male"
    FEMALE = 2, "female"


def text(length: int) -> "models.CharField[str]":
    """Return a text column that is empty rather than NULL, also for SQL that does not name it."""
    return models.CharField(max_length=length, blank=True, default="", db_default="")


def number(**options: Any) -> "models.SmallIntegerField[int]":
    """Return a small number that is 0 unless it is said."""
    return models.SmallIntegerField(default=0, db_default=0, **options)


def loose(to: type[models.Model] | str, **options: Any) -> "models.ForeignKey[Any]":
    """Return a link from or to a big table: a plain bigint that the registry knows, without a constraint.

    A distributed database cannot hold such a constraint (architecture §2.6). What belongs to the target says
    `on_delete=models.CASCADE`; any other link is left pointing at nothing.
    """
    options = {"on_delete": models.DO_NOTHING, "related_name": "+", **options}
    return models.ForeignKey(to, db_constraint=False, **options)


class Person(models.Model):
    """Columns of every table of persons. Addresses are stored normalised (services/normalise.py)."""

    # Those first that a list shows of people for whom nobody has chosen columns.
    first_name = text(64)
    last_name = text(64)
    email = text(254)
    """In small letters: quarantine compares it letter by letter."""
    mobile_phone = text(32)
    city = text(64)
    country_code = models.CharField(max_length=2, blank=True, default="XX", db_default="XX")
    """ISO 3166-1 alpha-2; `XX` when it is not known."""
    company = text(128)

    salutation = text(32)
    middle_name = text(64)
    birth_date = models.DateField(null=True, blank=True)
    gender = number(choices=Gender.choices)
    language = text(16)
    email_format = number(choices=EmailFormat.choices)
    phone = text(32)
    fax = text(32)
    address1 = text(128)
    address2 = text(128)
    address3 = text(128)
    address4 = text(128)
    zip_code = text(16)
    state_code = text(32)

    class Meta:
        abstract = True


NAMES = {
    f"{column}": f"location/{attribute}"
    for column, attribute in {
        "address1": "address1",
        "address2": "address2",
        "address3": "address3",
        "address4": "address4",
        "zip_code": "zipCode",
        "city": "city",
        "state_code": "stateCode",
        "country_code": "countryCode",
    }.items()
}
"""Columns that the product shows inside the element `location`."""
LABELS = {
    "salutation": "Salutation",
    "email": "E-mail",
    "email_format": "E-mail format",
    "mobile_phone": "Mobile",
    "address1": "Address (line 1)",
    "address2": "Address (line 2)",
    "address3": "Address (line 3)",
    "address4": "Address (line 4)",
    "zip_code": "Postcode",
    "state_code": "State or region",
    "country_code": "Country code",
}
COMPUTED = {
    "fullName": Computed(Type.STRING, "JuxtWords(@firstName, @lastName)", "Full name"),
    "age": Computed(Type.LONG, "YearsOld(@birthDate)", "Age"),
    # At most six lines, in the order in which they are printed; empty ones are left out there.
    "postalAddress/line1": Computed(
        Type.STRING, "JuxtWords3(@salutation, @firstName, @lastName)", "Postal address (line 1)"
    ),
    "postalAddress/line2": Computed(Type.STRING, "[location/@address1]", "Postal address (line 2)"),
    "postalAddress/line3": Computed(Type.STRING, "[location/@address2]", "Postal address (line 3)"),
    "postalAddress/line4": Computed(Type.STRING, "[location/@address3]", "Postal address (line 4)"),
    "postalAddress/line5": Computed(Type.STRING, "[location/@address4]", "Postal address (line 5)"),
    "postalAddress/line6": Computed(
        Type.STRING, "JuxtWords([location/@zipCode], [location/@city])", "Postal address (line 6)"
    ),
    "postalAddress/addrDefined": Computed(
        Type.BOOLEAN,
        "AllNonNull3(JuxtWords(@firstName, @lastName), [location/@zipCode], [location/@city])",
        "Postal address is complete",
    ),
}
"""What is worked out from the columns of a person."""
