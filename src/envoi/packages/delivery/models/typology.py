"""Typologies: which rules an analysis applies to a delivery, and the rules (delivery.md §2.6, §2.7)."""

from typing import TYPE_CHECKING, Any

from django.db import models

from envoi.kernel.registry import Declaration
from envoi.packages.delivery.models.delivery_run import JobLevel
from envoi.packages.delivery.models.person import Channel


class RuleType(models.IntegerChoices):
    """What a rule does. Codes are our own."""

    FILTERING = 0, "filtering"
    PRESSURE = 1, "pressure"
    CAPACITY = 2, "capacity"
    CONTROL = 3, "control"
    OFFER = 4, "offer presentation"


class ControlPhase(models.IntegerChoices):
    """When a control rule looks; the other types have a place of their own in the analysis."""

    TARGETING = 0, "start of targeting"
    TARGETED = 1, "after targeting"
    PERSONALIZATION = 2, "start of personalization"
    END = 3, "end of the analysis"


RULE_CHANNELS = ((-1, "all channels"), *Channel.choices)


class Typology(models.Model):
    """A set of rules. A delivery has exactly one; without a word that of the product, `defaultTypology`."""

    typology_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    description = models.TextField(blank=True, default="")
    filtering = models.BooleanField(default=False)
    """It holds filtering rules only."""
    built_in = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:typology",
        label="Typologies",
        singular="Typology",
        writing="ADMINISTRATION",
        names={"created_at": "created", "modified_at": "lastModified"},
        labels={"filtering": "Filtering rules only"},
        read_only=frozenset({"built_in", "created_at", "modified_at"}),
    )

    class Meta:
        db_table = "nms_typology"
        ordering = ("label",)

    def __str__(self) -> str:
        return self.label


class TypologyRule(models.Model):
    """A rule. What it asks stands in `definition`, by its type (`services/typologies/definitions.py`)."""

    typology_rule_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128)
    description = models.TextField(blank=True, default="")
    type = models.SmallIntegerField(choices=RuleType.choices)
    channel = models.SmallIntegerField(choices=RULE_CHANNELS, default=-1)
    phase = models.SmallIntegerField(choices=ControlPhase.choices, default=ControlPhase.END)
    level = models.SmallIntegerField(choices=JobLevel.choices, default=JobLevel.ERROR)
    """Of a control rule: what it means when it does not hold."""
    rank = models.IntegerField(default=50)
    """Rules of a type are applied in ascending order."""
    active = models.BooleanField(default=True)
    frequency = models.IntegerField(default=0)
    """Hours that an arbitration is good for; 0: until the next nightly one."""
    reapply = models.BooleanField(default=False)
    """Whether it is applied again at the start of personalization."""
    applies: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    """Conditions on the delivery, `{}` for all; not of control rules."""
    definition: "models.JSONField[Any]" = models.JSONField(default=dict, blank=True)
    built_in = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    SCHEMA = Declaration(
        "nms:typologyRule",
        label="Typology rules",
        singular="Typology rule",
        writing="ADMINISTRATION",
        names={"rank": "executionOrder", "created_at": "created", "modified_at": "lastModified"},
        labels={
            "rank": "Execution order",
            "frequency": "Frequency (hours)",
            "reapply": "Apply again at the start of personalization",
            "applies": "Conditions on deliveries",
        },
        read_only=frozenset({"built_in", "created_at", "modified_at"}),
    )

    class Meta:
        db_table = "nms_typology_rule"
        ordering = ("type", "rank", "typology_rule_id")

    def __str__(self) -> str:
        return self.label


class TypologyRuleRel(models.Model):
    """A rule is part of a typology."""

    typology_rule_rel_id = models.BigAutoField(primary_key=True)
    typology = models.ForeignKey(Typology, on_delete=models.CASCADE, related_name="rules")
    rule = models.ForeignKey(TypologyRule, on_delete=models.CASCADE, related_name="typologies")

    if TYPE_CHECKING:
        typology_id: int
        rule_id: int

    SCHEMA = Declaration(
        "nms:typologyRuleRel",
        label="Rules of typologies",
        singular="Rule of a typology",
        writing="ADMINISTRATION",
        text="[rule/@label]",
        collections={"typology": "rule", "rule": "typology"},
    )

    class Meta:
        db_table = "nms_typology_rule_rel"
        constraints = (models.UniqueConstraint(fields=("typology", "rule"), name="nms_typology_rule_once"),)
