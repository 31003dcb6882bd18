"""How a package writes a workflow that it ships: the table of activities is the diagram (checked at
import).

    workflow = Workflow(
        name="aliasCleansing",
        label=_("Alias cleansing"),
        activities=(
            schedule("every_night", daily("03:00"), then="cleanse"),
            call("cleanse", aliases.cleanse, then="end"),
            end(),
        ),
    )

The file is `workflows/alias_cleansing.py` of the package; it is found by its `workflow` and stored when the
package is installed or upgraded. What an operator changed is never overwritten (architecture §3.10).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from envoi.engine.definition import Activity, Definition, Transition
from envoi.engine.models import Severity
from envoi.engine.schedule import Schedule
from envoi.kernel.errors import Invalid

STEP_X, STEP_Y = 172, 96
"""Pitch of the diagram (pixels)."""


@dataclass(frozen=True)
class Workflow:
    """A shipped workflow. `labels`: translations by language. `folder`: internal name of its folder."""

    name: str
    label: str
    activities: tuple[Activity, ...]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str = ""
    folder: str = "nmsTechnicalWorkflow"
    severity: Severity = Severity.NORMAL
    starts: bool = False
    """Started by the installation itself."""

    @property
    def definition(self) -> Definition:
        """Return the diagram, laid out from left to right."""
        return Definition(_laid_out(self.activities))

    def __post_init__(self) -> None:
        """Refuse what cannot be a diagram: double names, targets that do not exist."""
        names = [activity.name for activity in self.activities]
        doubles = {name for name in names if names.count(name) > 1}
        if doubles:
            raise Invalid(f"Workflow {self.name} has two activities called {', '.join(sorted(doubles))}.")
        for activity in self.activities:
            for way in activity.transitions:
                if way.target and way.target not in names:
                    raise Invalid(
                        f"Workflow {self.name}: {activity.name} leads to {way.target}, which does not exist."
                    )


def start(name: str = "start", *, then: str, label: str = "") -> Activity:
    """A start."""
    return Activity("start", name, label, transitions=(Transition("transition", then),))


def end(name: str = "end", *, stop_all: bool = False, label: str = "") -> Activity:
    """An end; `stop_all` ends every other branch too."""
    return Activity("end", name, label, parameters={"stop_all": True} if stop_all else {})


def schedule(name: str, when: Schedule, *, then: str, label: str = "") -> Activity:
    """A scheduler."""
    ways = (Transition("transition", then),)
    return Activity("schedule", name, label, transitions=ways, parameters={"schedule": when.to_json()})


def call(
    name: str,
    service: Callable[..., Any],
    *,
    then: str,
    on_error: str = "",
    label: str = "",
    arguments: Mapping[str, Any] | None = None,
    max_duration_s: int = 0,
) -> Activity:
    """Call a service, a module-level function that takes `actor`. `on_error`: where a run-time
    error leads.
    """
    parameters: dict[str, Any] = {"function": f"{service.__module__}:{service.__qualname__}"}
    if arguments:
        parameters["arguments"] = dict(arguments)
    ways = [Transition("done", then, kind="done")]
    if on_error:
        ways.append(Transition("error", on_error, kind="error"))
    return Activity(
        "call",
        name,
        label,
        transitions=tuple(ways),
        parameters=parameters,
        process_errors=bool(on_error),
        max_duration_s=max_duration_s,
    )


def fork(name: str, *, then: tuple[str, ...], label: str = "") -> Activity:
    """Several branches, in parallel."""
    ways = tuple(Transition(f"transition{n}", target) for n, target in enumerate(then, 1))
    return Activity("fork", name, label, transitions=ways)


def shipped(package: str) -> tuple[Workflow, ...]:
    """Return the workflows that a package ships, by name: the `workflow` of each file in its `workflows`
    folder.
    """
    folder = f"envoi.packages.{package}.workflows"
    spec = find_spec(folder)
    if spec is None or spec.submodule_search_locations is None:
        return ()
    modules = (
        importlib.import_module(f"{folder}.{found.name}")
        for found in pkgutil.iter_modules(spec.submodule_search_locations)
    )
    return tuple(sorted((module.workflow for module in modules), key=lambda workflow: workflow.name))


def _laid_out(activities: tuple[Activity, ...]) -> tuple[Activity, ...]:
    """Place activities that have no place: one column a step from the starts, one row a branch."""
    by_name = {activity.name: activity for activity in activities}
    inbound = {way.target for activity in activities for way in activity.transitions}
    column: dict[str, int] = {}
    queue = [(activity.name, 0) for activity in activities if activity.name not in inbound]
    while queue:
        name, depth = queue.pop(0)
        if column.get(name, -1) >= depth or depth > len(activities):
            continue
        column[name] = depth
        queue += [(way.target, depth + 1) for way in by_name[name].transitions if way.target]
    rows: dict[int, int] = {}
    placed: list[Activity] = []
    for activity in activities:
        x = column.get(activity.name, 0)
        y = rows.get(x, 0)
        rows[x] = y + 1
        free = activity.x == activity.y == 0
        placed.append(replace(activity, x=x * STEP_X, y=y * STEP_Y) if free else activity)
    return tuple(placed)
