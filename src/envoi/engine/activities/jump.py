"""Jumps: a start point passes on to the end point with the same number, undrawn (engine.md §6.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Fired, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition, jump_number


class JumpStart(ActivityType):
    """Start point. Without an end point of its number it is the exit of a sub-workflow. Parameter:
    `number`.
    """

    type = "jumpin"
    ways = ()

    def run(self, ctx: TaskContext) -> Outcome:
        """Go on at the end point."""
        entry = ctx.definition.entry(jump_number(ctx.activity))
        if entry is None:
            return Outcome()
        return Outcome((Fired("jump", target=entry.name),))


class JumpEnd(ActivityType):
    """End point; never an initial activity. Parameter: `number`."""

    type = "jumpout"

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that its number is its own."""
        number = jump_number(activity)
        first = definition.entry(number)
        if first is not None and first.name != activity.name:
            yield _("Jump end points %(activity)s and %(other)s have the same number"), {"other": first.name}

    def run(self, ctx: TaskContext) -> Outcome:
        """Go on."""
        return fire("transition")
