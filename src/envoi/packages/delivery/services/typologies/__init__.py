"""Typologies: rules that an analysis applies to a delivery (delivery.md §2.6, §2.7; ADR 0025)."""

from envoi.packages.delivery.services.typologies.records import (
    RULE_FIELDS,
    change_rule,
    change_typology,
    create_rule,
    create_typology,
    delete_rule,
    delete_typology,
    find_typology,
    label_of,
    put_in,
    take_out,
)
from envoi.packages.delivery.services.typologies.selection import (
    DEFAULT,
    SUPPRESSION,
    Rules,
    rules_of,
    typology_of,
)
from envoi.packages.delivery.services.typologies.shipped import plant

__all__ = [
    "DEFAULT",
    "RULE_FIELDS",
    "SUPPRESSION",
    "Rules",
    "change_rule",
    "change_typology",
    "create_rule",
    "create_typology",
    "delete_rule",
    "delete_typology",
    "find_typology",
    "label_of",
    "plant",
    "put_in",
    "rules_of",
    "take_out",
    "typology_of",
]
