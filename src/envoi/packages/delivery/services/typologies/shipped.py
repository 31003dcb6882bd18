"""The typology and the control rules that the product ships (delivery.md §2.6)."""

from typing import Any

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
    ("proofSize", "Size of the target of a proof", -1, ControlPhase.TARGETED, JobLevel.ERROR),
    (
        "subjectCharacters", "Special characters in subject and sender", Channel.EMAIL,
        ControlPhase.PERSONALIZATION, JobLevel.WARNING,
    ),
    ("urlLabels", "Labels of links", Channel.EMAIL, ControlPhase.PERSONALIZATION, JobLevel.WARNING),
    ("urlAmpersand", "& in links", Channel.EMAIL, ControlPhase.PERSONALIZATION, JobLevel.WARNING),
    ("smsLength", "Length of an SMS", Channel.SMS, ControlPhase.PERSONALIZATION, JobLevel.WARNING),
    ("validityPeriod", "Period of validity", Channel.EMAIL, ControlPhase.END, JobLevel.WARNING),
    ("lastWave", "Start of the last wave", Channel.EMAIL, ControlPhase.END, JobLevel.ERROR),
    ("optOut", "Link to unsubscribe", Channel.EMAIL, ControlPhase.END, JobLevel.WARNING),
    (
        "senderAlignment", "SPF, DKIM and DMARC of the sender", Channel.EMAIL, ControlPhase.END,
        JobLevel.WARNING,
    ),
)  # fmt: skip


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
