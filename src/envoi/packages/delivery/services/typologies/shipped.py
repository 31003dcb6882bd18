"""The typology and the control rules that the product ships (delivery.md §2.6)."""

from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.kernel import clock
from envoi.packages.delivery.models import (
    Channel,
    ControlPhase,
    JobLevel,
    RuleType,
    Typology,
    TypologyRule,
    TypologyRuleRel,
)
from envoi.packages.delivery.services.typologies.selection import DEFAULT

# Name of the rule and of its check, label, channel (-1: all), phase, level.
SHIPPED: tuple[tuple[str, str, int, ControlPhase, JobLevel], ...] = (
    ("proofSize", _("Size of the target of a proof"), -1, ControlPhase.TARGETED, JobLevel.ERROR),
    (
        "subjectCharacters", _("Special characters in subject and sender"), Channel.EMAIL,
        ControlPhase.PERSONALIZATION, JobLevel.WARNING,
    ),
    ("urlLabels", _("Labels of links"), Channel.EMAIL, ControlPhase.PERSONALIZATION, JobLevel.WARNING),
    ("urlAmpersand", _("& in links"), Channel.EMAIL, ControlPhase.PERSONALIZATION, JobLevel.WARNING),
    ("smsLength", _("Length of an SMS"), Channel.SMS, ControlPhase.PERSONALIZATION, JobLevel.WARNING),
    ("validityPeriod", _("Period of validity"), Channel.EMAIL, ControlPhase.END, JobLevel.WARNING),
    ("lastWave", _("Start of the last wave"), Channel.EMAIL, ControlPhase.END, JobLevel.ERROR),
    ("optOut", _("Link to unsubscribe"), Channel.EMAIL, ControlPhase.END, JobLevel.WARNING),
    (
        "senderAlignment", _("SPF, DKIM and DMARC of the sender"), Channel.EMAIL, ControlPhase.END,
        JobLevel.WARNING,
    ),
)  # fmt: skip
LABELS = frozenset(label for _name, label, *_further in SHIPPED)


def plant() -> None:
    """Plant what is not there; what an administrator has changed, switched off or taken out stays so."""
    now = clock.now()
    stamps = {"created_at": now, "modified_at": now}
    typology, made = Typology.objects.get_or_create(
        name=DEFAULT, defaults={"label": "Default typology", "built_in": True, **stamps}
    )
    for rank, (name, label, channel, phase, level) in enumerate(SHIPPED, 1):
        fields: dict[str, Any] = {
            "label": label,
            "type": RuleType.CONTROL,
            "channel": channel,
            "phase": phase,
            "level": level,
            "rank": rank * 10,
            "definition": {"check": name},
            "built_in": True,
            **stamps,
        }
        rule, new = TypologyRule.objects.get_or_create(name=name, defaults=fields)
        if made or new:
            TypologyRuleRel.objects.get_or_create(typology=typology, rule=rule)
