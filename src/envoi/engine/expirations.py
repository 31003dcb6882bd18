"""Expirations: what happens when nobody has answered or signalled in time (engine.md §7.3).

Stored in the activity's parameter `expirations`: [{"name": "timeout", "delay_s": 3600, "terminate": true}]
with, instead of `delay_s` (after the task's start), `at` (a date) or `before` (a date) and `before_s`
(seconds before it). Each has a transition of its name and of kind "timeout".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import Fired, Misconfigured, Outcome, TaskContext, stay, wait
from envoi.engine.definition import Activity


@dataclass(frozen=True)
class Expiration:
    """One expiration of a task: when it comes, and whether it ends the task."""

    name: str
    at: datetime
    terminate: bool


def of(ctx: TaskContext) -> list[Expiration]:
    """Return the enabled expirations of the task in the order in which they come. Raises Misconfigured."""
    found: list[Expiration] = []
    for raw in ctx.parameters.get("expirations", ()):
        if raw.get("enabled", True):
            found.append(Expiration(raw["name"], _when(raw, ctx), bool(raw.get("terminate", True))))
    return sorted(found, key=lambda expiration: expiration.at)


def check(activity: Activity) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield what is wrong with the expirations of an activity."""
    for raw in activity.parameters.get("expirations", ()):
        if activity.transition(str(raw.get("name", ""))) is None:
            yield (
                _("Expiration %(name)s of activity %(activity)s has no transition"),
                {"name": raw.get("name")},
            )
        if not {"delay_s", "at", "before"} & set(raw):
            yield _("Expiration %(name)s of activity %(activity)s has no date"), {"name": raw.get("name")}


def step(ctx: TaskContext) -> Outcome:
    """Fire what has expired, and wait for the next one; complete when one that ends the task has come."""
    passed: list[str] = ctx.memory.setdefault("expired", [])
    fired: list[Fired] = []
    for expiration in of(ctx):
        if expiration.name in passed:
            continue
        if expiration.at > ctx.now:
            return wait(expiration.at, *fired)
        passed.append(expiration.name)
        fired.append(Fired(expiration.name))
        if expiration.terminate:
            return Outcome(tuple(fired))
    return stay(*fired)


def _when(raw: Mapping[str, Any], ctx: TaskContext) -> datetime:
    try:
        if "delay_s" in raw:
            return ctx.created_at + timedelta(seconds=float(raw["delay_s"]))
        moment = datetime.fromisoformat(str(raw.get("at") or raw["before"]))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=ctx.zone)
        return moment - timedelta(seconds=float(raw.get("before_s", 0)))
    except (KeyError, TypeError, ValueError) as error:
        raise Misconfigured(f"Expiration {raw.get('name')!r} has no date that can be read.") from error
