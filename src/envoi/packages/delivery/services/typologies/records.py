"""Typologies and rules as records: made, changed, put together, deleted. Administrators do so."""

import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import (
    Channel,
    ControlPhase,
    Delivery,
    JobLevel,
    RuleType,
    Typology,
    TypologyRule,
    TypologyRuleRel,
)
from envoi.packages.delivery.services.typologies import definitions
from envoi.packages.delivery.services.typologies.checks import CHECKS
from envoi.packages.delivery.services.typologies.selection import SUPPRESSION
from envoi.packages.delivery.services.typologies.shipped import LABELS

TYPOLOGY, RULE, REL = "nms:typology", "nms:typologyRule", "nms:typologyRuleRel"
_NAME = re.compile(r"^[A-Za-z_][\w-]{0,63}$", re.ASCII)
_CHOICES: Mapping[str, tuple[int, ...]] = {
    "channel": (-1, *Channel.values),
    "phase": tuple(ControlPhase.values),
    "level": tuple(JobLevel.values),
}
RULE_FIELDS = frozenset(
    {"label", "description", "channel", "phase", "level", "rank", "active", "frequency", "reapply", "applies",
     "definition"}
)  # fmt: skip


def create_typology(
    name: str, *, actor: Actor, label: str = "", description: str = "", filtering: bool = False
) -> Typology:
    """Make a typology without rules. Raises NotAllowed without ADMINISTRATION, Invalid, Conflict."""
    actor.require(Right.ADMINISTRATION, to=_("create a typology"))
    with transaction.atomic():
        _free(Typology, name)
        now = clock.now()
        made = Typology.objects.create(
            name=name, label=_label(label or name), description=description, filtering=filtering,
            created_at=now, modified_at=now,
        )  # fmt: skip
        audit.record(actor, TYPOLOGY, name, audit.CREATED, made.pk)
        return made


def change_typology(typology: Typology, values: Mapping[str, Any], *, actor: Actor) -> None:
    """Change label and description, and whether it holds filtering rules only."""
    actor.require(Right.ADMINISTRATION, to=_("change a typology"))
    given = dict(values)
    if "label" in given:
        given["label"] = _label(given["label"])
    with transaction.atomic():
        if given.get("filtering") and (
            TypologyRuleRel.objects.filter(typology=typology).exclude(rule__type=RuleType.FILTERING).exists()
        ):
            raise Conflict(
                _("%(label)s holds rules that are no filtering rules.") % {"label": typology.label}
            )
        Typology.objects.filter(pk=typology.pk).update(modified_at=clock.now(), **given)
        audit.record(actor, TYPOLOGY, typology.name, audit.MODIFIED, typology.pk, {"changed": sorted(given)})
    typology.refresh_from_db()


def delete_typology(typology: Typology, *, actor: Actor) -> None:
    """Delete a typology; its rules stay. Raises Conflict for that of the product, and for one in use."""
    actor.require(Right.ADMINISTRATION, to=_("delete a typology"))
    if typology.built_in:
        raise Conflict(_("%(name)s belongs to the product and stays.") % {"name": typology.label})
    with transaction.atomic():
        if user := Delivery.objects.filter(typology=typology).first():
            raise Conflict(_("The delivery %(name)s uses it.") % {"name": user.label})
        audit.record(actor, TYPOLOGY, typology.name, audit.DELETED, typology.pk)
        typology.delete()


def create_rule(
    name: str, *, actor: Actor, type: RuleType | int, definition: Mapping[str, Any], label: str = "",
    **values: Any,
) -> TypologyRule:  # fmt: skip
    """Make a rule; `values` are those of `RULE_FIELDS`. Raises NotAllowed without ADMINISTRATION, Invalid,
    NotFound for a schema that its definition names, Conflict for a name that is taken.
    """
    actor.require(Right.ADMINISTRATION, to=_("create a typology rule"))
    if type not in RuleType.values:
        raise Invalid(_("%(value)r is not one of %(known)s.") % {"value": type, "known": RuleType.values})
    given = {"label": label or name, "definition": definition, **values}
    _check(RuleType(type), given)
    with transaction.atomic():
        _free(TypologyRule, name)
        now = clock.now()
        made = TypologyRule.objects.create(name=name, type=type, created_at=now, modified_at=now, **given)
        audit.record(actor, RULE, name, audit.CREATED, made.pk, {"type": int(type)})
        return made


def change_rule(rule: TypologyRule, values: Mapping[str, Any], *, actor: Actor) -> TypologyRule:
    """Change properties, those of `RULE_FIELDS`; analyses that have ended stay as they are.

    Of a rule of the product everything but what it looks at can be changed.
    """
    actor.require(Right.ADMINISTRATION, to=_("change a typology rule"))
    if rule.built_in and values.get("definition", rule.definition) != rule.definition:
        raise Conflict(_("What %(name)s looks at belongs to the product.") % {"name": rule.label})
    _check(RuleType(rule.type), values, checks=tuple(CHECKS) if rule.built_in else ())
    with transaction.atomic():
        TypologyRule.objects.filter(pk=rule.pk).update(modified_at=clock.now(), **values)
        audit.record(actor, RULE, rule.name, audit.MODIFIED, rule.pk, {"changed": sorted(values)})
    rule.refresh_from_db()
    return rule


def delete_rule(rule: TypologyRule, *, actor: Actor) -> None:
    """Delete a rule. What it has excluded stays counted under its name. Raises Conflict for the product's."""
    actor.require(Right.ADMINISTRATION, to=_("delete a typology rule"))
    if rule.built_in:
        raise Conflict(
            _("%(name)s belongs to the product and stays: switch it off instead.") % {"name": rule.label}
        )
    with transaction.atomic():
        audit.record(actor, RULE, rule.name, audit.DELETED, rule.pk)
        rule.delete()


def put_in(typology: Typology, rule: TypologyRule, *, actor: Actor) -> int:
    """Make a rule part of a typology, and return the number of the line that says so; it may be there
    already. Raises Conflict when the typology holds filtering rules only.
    """
    actor.require(Right.ADMINISTRATION, to=_("change a typology"))
    if typology.filtering and RuleType(rule.type) is not RuleType.FILTERING:
        raise Conflict(_("%(label)s holds filtering rules only.") % {"label": typology.label})
    with transaction.atomic():
        line, made = TypologyRuleRel.objects.get_or_create(typology=typology, rule=rule)
        if made:
            audit.record(
                actor, TYPOLOGY, typology.name, audit.MODIFIED, typology.pk, {"rules": [f"+{rule.name}"]}
            )
        return line.pk


def take_out(typology: Typology, rule: TypologyRule, *, actor: Actor) -> None:
    """Take a rule out of a typology, if it is in it."""
    actor.require(Right.ADMINISTRATION, to=_("change a typology"))
    with transaction.atomic():
        gone, _each = TypologyRuleRel.objects.filter(typology=typology, rule=rule).delete()
        if gone:
            audit.record(
                actor, TYPOLOGY, typology.name, audit.MODIFIED, typology.pk, {"rules": [f"-{rule.name}"]}
            )


def label_of(rule: str) -> str:
    """Return what a person reads for the internal name of a rule that has excluded somebody."""
    if rule == SUPPRESSION:
        return _("Suppression list")
    found = TypologyRule.objects.filter(name=rule).values_list("label", flat=True).first()
    # The product's own are told in the reader's language, until somebody calls them otherwise.
    return _(found) if found in LABELS else found or rule


def find_typology(name: str) -> Typology:
    """Return a typology by its internal name. Raises NotFound."""
    found = Typology.objects.filter(name=name).first()
    if found is None:
        raise NotFound(_("There is no typology %(name)r.") % {"name": name})
    return found


def _check(kind: RuleType, values: Mapping[str, Any], checks: tuple[str, ...] = ()) -> None:
    if strange := sorted(set(values) - RULE_FIELDS):
        raise Invalid(_("A rule has no property %(name)r that can be set.") % {"name": strange[0]})
    if "label" in values:
        _label(values["label"])
    if "definition" in values:
        definitions.check(kind, values["definition"], checks)
    if values.get("applies"):
        if kind is RuleType.CONTROL:
            raise Invalid(_("A control rule has no conditions on deliveries: its script may look at them."))
        definitions.applies(values["applies"])
    for name, choices in _CHOICES.items():
        if name in values and values[name] not in choices:
            raise Invalid(_("%(value)r is not one of %(known)s.") % {"value": values[name], "known": choices})


def _free(model: type[Typology | TypologyRule], name: str) -> None:
    if not _NAME.match(name):
        raise Invalid(
            _("%(name)r is no internal name: letters, digits, _ and -, at most 64.") % {"name": name}
        )
    if model._default_manager.filter(name=name).exists():
        raise Conflict(_("The name %(name)r is taken already.") % {"name": name})


def _label(said: Any) -> str:
    text = str(said or "").strip()
    if not 0 < len(text) <= 128:
        raise Invalid(_("A label has 1 to 128 characters."))
    return text
