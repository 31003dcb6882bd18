"""Which rules apply to a delivery (delivery.md §2.6)."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from envoi.kernel import query
from envoi.kernel.query import Condition, Operation, QueryDef
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import (
    ControlPhase,
    Delivery,
    RuleType,
    Typology,
    TypologyRule,
    TypologyRuleRel,
)
from envoi.packages.delivery.services.typologies import definitions

DEFAULT = "defaultTypology"
SUPPRESSION = "suppressionList"
"""What counts those whom the suppression list holds are kept under; it applies to every delivery."""


@dataclass(frozen=True)
class Rules:
    """The active rules of a delivery, those of each type in the order in which they are applied."""

    all: tuple[TypologyRule, ...] = ()

    def of(self, kind: RuleType) -> tuple[TypologyRule, ...]:
        """Return those of one type."""
        return tuple(each for each in self.all if RuleType(each.type) is kind)

    def controls(self, phase: ControlPhase) -> tuple[TypologyRule, ...]:
        """Return the control rules of a phase."""
        return tuple(each for each in self.of(RuleType.CONTROL) if ControlPhase(each.phase) is phase)


def typology_of(delivery: Delivery) -> Typology | None:
    """Return the typology of a delivery: its own, else that of the product."""
    return delivery.typology or Typology.objects.filter(name=DEFAULT).first()


def rules_of(delivery: Delivery) -> Rules:
    """Return what applies: active rules of its typology for its channel whose conditions hold for it.

    Conditions are looked at with the rights of the instance, for whoever analyses. Raises Invalid for a
    condition that is wrong by now.
    """
    typology = typology_of(delivery)
    if typology is None:
        return Rules()
    found = TypologyRule.objects.filter(
        Q(channel=-1) | Q(channel=delivery.message_type), typologies__typology=typology, active=True
    ).order_by("type", "rank", "typology_rule_id")
    return Rules(tuple(each for each in found if _applies(each, delivery)))


def deliveries_using(rule: TypologyRule) -> set[int | None]:
    """Return the typologies that hold a rule; None stands for deliveries without one of their own."""
    found: set[int | None] = set(
        TypologyRuleRel.objects.filter(rule=rule).values_list("typology_id", flat=True)
    )
    if Typology.objects.filter(name=DEFAULT, pk__in=[each for each in found if each]).exists():
        found.add(None)
    return found


def _applies(rule: TypologyRule, delivery: Delivery) -> bool:
    conditions: Any = rule.applies
    if RuleType(rule.type) is RuleType.CONTROL or not conditions:
        return True
    own = Condition(f"@id = {delivery.pk}")
    where = (own, Condition(conditions=definitions.applies(conditions)))
    definition = QueryDef("nms:delivery", Operation.EXISTS, where=where)
    return query.exists(definition, actor=internal())
