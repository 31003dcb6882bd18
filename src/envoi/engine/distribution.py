"""Data distribution: how many rows of each value of a field a subset takes (engine.md §6.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from envoi.engine import targeting
from envoi.engine.activities.base import Misconfigured, TaskContext

TYPES = {"percentage": "percent", "set": "count"}


def applied(limiter: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Return the limiter of a subset with its data distribution as a limit for each group.

    `{"type": "distribution", "distribution": {"targetingDimension", "field" (an expression), "type":
    "percentage" (of the rows with that value) | "set" (a number of rows), "lines": [{"value", "limit",
    "label"}]}}`; other limiters are returned as they are. A value without a line gets no row. Raises
    Misconfigured, naming `place`.
    """
    if limiter.get("type") != "distribution" or limiter.get("enabled") is False:
        return limiter
    said = cast("Mapping[str, Any]", limiter.get("distribution") or {})
    field, kind = str(said.get("field") or ""), TYPES.get(str(said.get("type") or "percentage"))
    lines = targeting.listed(said.get("lines"), f"the data distribution of {place}")
    if not field or kind is None or not lines or not all(isinstance(each, Mapping) for each in lines):
        raise Misconfigured(
            f"The data distribution of {place} needs a field, the type percentage or set, and lines of value"
            " and limit."
        )
    values = [{"value": each.get("value"), kind: each.get("limit", 0)} for each in lines]
    known = [str(each["value"]) for each in values]
    if len(set(known)) < len(known):
        raise Misconfigured(f"The data distribution of {place} names a value twice.")
    rest = {name: value for name, value in limiter.items() if name != "distribution"}
    return {**rest, "type": kind, "groupBy": field, "values": values}


def fit(ctx: TaskContext, subsets: Any, dimension: str) -> None:
    """Raise Misconfigured for a data distribution of another dimension than that of the population."""
    for each in targeting.listed(subsets, "the list of subsets"):
        limiter: Mapping[str, Any] = dict[str, Any]() if isinstance(each, str) else each.get("limiter") or {}
        said = cast("Mapping[str, Any]", limiter.get("distribution") or {})
        wanted = str(said.get("targetingDimension") or dimension)
        if wanted != dimension:
            raise Misconfigured(
                f"A data distribution of activity {ctx.activity.name} is one of {wanted}, and the population"
                f" one of {dimension or 'no dimension'}."
            )


def problems(limiter: Mapping[str, Any], place: str) -> Iterable[str]:
    """Yield what is wrong with a limiter."""
    try:
        applied(limiter, place)
    except Misconfigured as error:
        yield str(error)
