"""Ready-made filters: questions that packages know how to ask about a dimension (engine.md §6.1, §6.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from envoi.engine import targeting
from envoi.engine.activities.base import Misconfigured
from envoi.kernel.hooks import Hook
from envoi.kernel.query import Condition


@dataclass(frozen=True)
class ReadyFilter:
    """A question about rows of `schema`. `conditions` takes the value that a user gives, never empty."""

    schema: str
    label: str
    """English; translated where it is shown."""
    value: str
    """Name of the parameter that holds the value."""
    conditions: Callable[[str], tuple[Condition, ...]]


ready_filters: Hook[[], Mapping[str, ReadyFilter]] = Hook("ready_filters")
"""`()`: filters by the name that settings call them by ("subscribers")."""


def known(schema: str) -> dict[str, ReadyFilter]:
    """Return the filters on a dimension by name."""
    answers = [(name, each) for answer in ready_filters.ask() for name, each in answer.items()]
    return {name: each for name, each in answers if each.schema == schema}


def conditions(said: Any, schema: str, place: str) -> tuple[Condition, ...]:
    """Return the conditions of a list such as `[{"filter": "subscribers", "service": "news"}]`, all of which
    must hold. Raises Misconfigured with the place.
    """
    found: list[Condition] = []
    of_schema = known(schema) if said else {}
    for number, each in enumerate(targeting.listed(said, place), 1):
        node: Mapping[str, Any] = {"filter": each} if isinstance(each, str) else each
        ready = of_schema.get(str(node.get("filter") or ""))
        if ready is None:
            names = ", ".join(sorted(of_schema)) or "none"
            raise Misconfigured(f"{place}[{number}]: there is no such filter on {schema}; there are {names}.")
        value = str(node.get(ready.value) or "").strip()
        if not value:
            raise Misconfigured(f"{place}[{number}] needs {ready.value}.")
        found.append(Condition(conditions=ready.conditions(value)))
    return tuple(found)
