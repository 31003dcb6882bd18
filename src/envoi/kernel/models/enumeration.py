"""Enumerations, the lists of values that operators choose from (delivery.md §1.4)."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from envoi.kernel.registry import Declaration


class EnumType(models.TextChoices):
    """Who may add a value."""

    OPEN = "open", _("Open: a new value joins when it is confirmed")
    CLOSED = "closed", _("Closed: one of the values is chosen")
    SYSTEM = "system", _("System: belongs to the product")
    EMOTICON = "emoticon", _("Emoticons")


class EnumMode(models.TextChoices):
    """What becomes of texts that are no values."""

    SIMPLE = "simple", _("Simple")
    ALIAS = "alias", _("Alias cleansing")
    BINNING = "binning", _("Reserved for binning")


class Enum(models.Model):
    """One list."""

    enum_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    labels: "models.JSONField[Any]" = models.JSONField(default=dict)
    """Labels by language for lists that a package ships: {"fr": …}."""
    type = models.CharField(max_length=16, choices=EnumType.choices, default=EnumType.OPEN)
    mode = models.CharField(max_length=16, choices=EnumMode.choices, default=EnumMode.SIMPLE)
    built_in = models.BooleanField(default=False)
    package = models.CharField(max_length=64, blank=True, default="")
    cleansed_at = models.DateTimeField(null=True)
    log = models.TextField(blank=True, default="")
    """What the last cleansing did, or why it failed."""
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:enum",
        label="Enumerations",
        singular="Enumeration",
        writing="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_enum"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.label

    @property
    def kind(self) -> EnumType:
        """The type as a member of its class."""
        return EnumType(self.type)

    @property
    def cure(self) -> EnumMode:
        """The mode as a member of its class."""
        return EnumMode(self.mode)


class EnumValue(models.Model):
    """One value. In a list of emoticons it is the code ("U+1F600"), and one without position lies in the
    store.
    """

    enum_value_id = models.BigAutoField(primary_key=True)
    enum = models.ForeignKey(Enum, on_delete=models.CASCADE, related_name="values")
    value = models.CharField(max_length=255)
    label = models.CharField(max_length=255, blank=True, default="")
    position = models.IntegerField(null=True)

    SCHEMA = Declaration(
        "xtk:enumValue",
        label="Values of enumerations",
        singular="Value of an enumeration",
        writing="ADMINISTRATION",
        collections={"enum": "value"},
    )

    class Meta:
        db_table = "xtk_enum_value"
        ordering = ("position", "value")
        constraints = (models.UniqueConstraint(fields=("enum", "value"), name="xtk_enum_value_once"),)

    def __str__(self) -> str:
        return self.label or self.value


class EnumAlias(models.Model):
    """A text that stands for a value; without one it waits for an operator to say for which."""

    enum_alias_id = models.BigAutoField(primary_key=True)
    enum = models.ForeignKey(Enum, on_delete=models.CASCADE, related_name="aliases")
    alias = models.CharField(max_length=255)
    value = models.ForeignKey(EnumValue, null=True, on_delete=models.SET_NULL, related_name="aliases")
    hits = models.BigIntegerField(default=0)
    """How often the text was met, as far as it was counted."""
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "xtk:enumAlias",
        label="Aliases",
        singular="Alias",
        writing="ADMINISTRATION",
        text="@alias",
        collections={"enum": "alias", "value": "alias"},
    )

    class Meta:
        db_table = "xtk_enum_alias"
        ordering = ("alias",)
        constraints = (models.UniqueConstraint(fields=("enum", "alias"), name="xtk_enum_alias_once"),)
