"""Filtering rules as parts of the statement that finds a target: one join and one check a rule.

A rule sees every row, with the rights of the instance: whoever analyses, nobody is reached whom a rule
excludes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from envoi.engine import targeting
from envoi.kernel import query, registry
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import DeliveryMapping, TypologyRule
from envoi.packages.delivery.services.typologies import definitions

_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True)
class Clauses:
    """`joins` to a table `u`, and `checks` as WHENs that give the number of the rule below zero.

    With `person`, `u` has the key of the person in a column of that name.
    """

    joins: str
    checks: tuple[str, ...]
    params: dict[str, Any]
    person: bool
    elsewhere: tuple[TypologyRule, ...]
    """Rules about another schema than that of the mapping and its person."""


def clauses(rules: Sequence[TypologyRule], mapping: DeliveryMapping, *, now: datetime) -> Clauses:
    """Return what these rules add. Raises Invalid for a condition that is wrong by now."""
    joins: list[str] = []
    checks: list[str] = []
    params: dict[str, Any] = {}
    elsewhere: list[TypologyRule] = []
    person = person_of(mapping)
    needs_person = False
    for place, rule in enumerate(rules):
        said = definitions.filtering(rule.definition)
        if said.schema not in (mapping.schema, person):
            elsewhere.append(rule)
            continue
        own = said.schema == mapping.schema
        needs_person = needs_person or not own
        name = f"f{place}"
        text, values = select(said.schema, ("@id",), said.where, prefix=name, now=now)
        joins.append(f"LEFT JOIN ({text}) {name} ON {name}.c0 = u.{'id' if own else 'person'}")
        checks.append(f"WHEN {name}.c0 IS NOT NULL THEN {-int(rule.pk)}")
        params |= values
    return Clauses(" ".join(joins), tuple(checks), params, needs_person, tuple(elsewhere))


def person_of(mapping: DeliveryMapping) -> str:
    """Return the schema of the person that the rows of a mapping lead to; empty when it is the dimension."""
    if not mapping.schema:
        return ""
    at = registry.fresh()[mapping.schema]
    steps = [step for step in mapping.recipient_path.split("/") if step]
    for step in steps:
        at = registry.fresh()[at.links[step].target]
    return at.name if steps else ""


def select(
    schema: str,
    expressions: Sequence[str],
    where: tuple[Condition, ...],
    *,
    prefix: str,
    now: datetime,
) -> tuple[str, dict[str, Any]]:
    """Return a select of the columns c0, c1, … to stand in a statement, with its parameters, named after
    `prefix`. A row of the schema is in it once.
    """
    definition = QueryDef(
        schema, select=tuple(Field(each) for each in expressions), where=where, line_count=targeting.EVERY
    )
    if targeting.multiplies(definition, registry.fresh()):
        definition = replace(definition, distinct=True)
    compiled = query.compile(definition, actor=internal(), now=now)
    text = _PARAMETER.sub(lambda found: f"%({prefix}_{found[1]})s", compiled.sql)
    return text, {f"{prefix}_{name}": value for name, value in compiled.params.items()}
