"""Call: runs one of our own services; how our technical workflows are made (exported as `nlmodule`).

Parameters: `function`, "package.module:function". It takes the actor as keyword and may take `ctx`. It
returns None, a number (`recCount`), a dict of event variables, or an `Outcome` of its own.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from django.utils.translation import gettext_noop as _

from envoi.engine.activities.base import ActivityType, Misconfigured, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition

PLACES = ("envoi.packages.", "envoi.engine.testing")
"""Only services can be named: whoever edits a workflow must not reach the inside of the platform."""


class Call(ActivityType):
    """Fires `done` with what the function returned."""

    type = "call"
    family = "action"
    ways = (("done", "done"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Find the function."""
        try:
            find(str(activity.parameters.get("function", "")))
        except Misconfigured as error:
            yield _("Activity %(activity)s cannot call its module: %(error)s"), {"error": str(error)}

    def run(self, ctx: TaskContext) -> Outcome:
        """Call it."""
        function = find(str(ctx.parameters.get("function", "")))
        wanted = inspect.signature(function).parameters
        arguments: dict[str, Any] = {"actor": ctx.actor}
        if "ctx" in wanted:
            arguments["ctx"] = ctx
        result = function(**arguments, **cast("Mapping[str, Any]", ctx.parameters.get("arguments", {})))
        if isinstance(result, Outcome):
            return result
        if isinstance(result, bool) or not isinstance(result, (int, dict)):
            return fire("done")
        return fire(
            "done", **(cast("dict[str, Any]", result) if isinstance(result, dict) else {"recCount": result})
        )


def find(path: str) -> Callable[..., Any]:
    """Import "package.module:function". Only services of the packages can be named.

    Raises Misconfigured when there is no such function.
    """
    module, _separator, name = path.partition(":")
    if not module.startswith(PLACES) or not name.isidentifier():
        raise Misconfigured(f"{path!r} does not name a function of the platform.")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise Misconfigured(f"There is no function {path!r}.") from error
    if not inspect.isfunction(function) or "actor" not in inspect.signature(function).parameters:
        raise Misconfigured(f"{path!r} is not a service: it takes no actor.")
    return cast("Callable[..., Any]", function)
