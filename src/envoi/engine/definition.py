"""A workflow's diagram as a frozen value: activities, transitions, settings; to and from JSON; checks
(engine.md §5, §9).

JSON: {"activities": [{"type", "name", "label", "x", "y", "transitions": [{"name", "target", "label", "kind",
"enabled", "condition"}], "parameters": {…}, … settings that differ from their defaults}]}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self, cast

from envoi.kernel.errors import Invalid

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
AFFINITY = re.compile(r"^\w{0,64}$", re.ASCII)
"""Affinities are names without spaces or punctuation (engine.md §2)."""
NORMAL, SKIP, HOLD = "normal", "skip", "hold"
"""Execution of an activity: normally; do not activate; activate but do not execute (engine.md §5.2)."""
MULTIPLE, PRIORITY = "multiple", "priority"
"""Re-entrance: several tasks at a time; the task in progress has priority (engine.md §5.4)."""
INHERIT, SUSPEND, IGNORE, ABORT = "inherit", "suspend", "ignore", "abort"
_CHOICES = {
    "execution": (NORMAL, SKIP, HOLD),
    "behavior": (MULTIPLE, PRIORITY),
    "on_error": (INHERIT, SUSPEND, IGNORE, ABORT),
}


@dataclass(frozen=True)
class Transition:
    """A way out of an activity. `target` empty: not terminated. `condition` is a JavaScript test (kind
    "test").
    """

    name: str
    target: str = ""
    label: str = ""
    kind: str = "transition"
    enabled: bool = True
    condition: str = ""

    @property
    def optional(self) -> bool:
        """True for outputs that may well be left open: they never count as not terminated."""
        return self.kind in {"error", "remainder", "default", "timeout"}


@dataclass(frozen=True)
class Activity:
    """One activity. Durations in seconds. `parameters` belong to its type; see `engine.activities`."""

    type: str
    name: str
    label: str = ""
    x: int = 0
    y: int = 0
    transitions: tuple[Transition, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    execution: str = NORMAL
    affinity: str = ""
    max_duration_s: int = 0
    behavior: str = MULTIPLE
    timezone: str = ""
    """Empty: the workflow's. "server", "operator", "database" or a zone's name."""
    on_error: str = INHERIT
    process_errors: bool = False
    run_on_simulation: bool = True
    init_script: str = ""
    comment: str = ""
    image: str = ""

    def transition(self, name: str) -> Transition | None:
        """Return the way out called `name`."""
        return next((way for way in self.transitions if way.name == name), None)


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where. `severe`: the definition cannot run; otherwise it is a warning."""

    activity: str
    message: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    severe: bool = True

    def __str__(self) -> str:
        return self.message % self.params


@dataclass(frozen=True)
class Definition:
    """The whole diagram."""

    activities: tuple[Activity, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read a definition. Raises Invalid that names the activity for anything that is not of
        this shape.
        """
        raw = data.get("activities")
        if not isinstance(raw, list):
            raise Invalid("A workflow's definition needs a list of activities.")
        return cls(tuple(_activity(item) for item in cast("list[Any]", raw)))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; settings at their defaults are left out, so that equal diagrams are equal
        JSON.
        """
        return {"activities": [_to_json(activity) for activity in self.activities]}

    @cached_property
    def by_name(self) -> dict[str, Activity]:
        """Return the activities by name."""
        return {activity.name: activity for activity in self.activities}

    @cached_property
    def inbound(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return for each activity the (source, transition) pairs that lead to it, jumps included."""
        found: dict[str, list[tuple[str, str]]] = {activity.name: [] for activity in self.activities}
        for activity in self.activities:
            for way in activity.transitions:
                if way.enabled and way.target in found:
                    found[way.target].append((activity.name, way.name))
        return {name: tuple(pairs) for name, pairs in found.items()}

    def initial(self) -> tuple[Activity, ...]:
        """Return what a start activates: every Start, and all without inbound but the jump's end points."""
        return tuple(
            activity
            for activity in self.activities
            if activity.type == "start" or (not self.inbound[activity.name] and activity.type != "jumpout")
        )

    def entry(self, number: int) -> Activity | None:
        """Return the jump end point with `number` (engine.md §6.5)."""
        return next((a for a in self.activities if a.type == "jumpout" and jump_number(a) == number), None)

    def check(self) -> list[Problem]:
        """Return every problem, each with the activity's name. An empty list means that it can run."""
        from envoi.engine.activities import kind_of

        problems: list[Problem] = []
        seen: set[str] = set()
        if not self.activities:
            problems.append(Problem("", "The workflow has no activity."))
        for activity in self.activities:
            problems += _check_names(activity, seen)
            seen.add(activity.name)
            kind = kind_of(activity.type)
            if kind is None:
                problems.append(_problem(activity, "Activity %(activity)s is of an unknown type, %(type)s."))
                continue
            problems += _check_ways(activity, self.by_name)
            problems += [
                Problem(activity.name, message, {"activity": activity.name, **params})
                for message, params in kind.check(activity, self)
            ]
        problems += self._check_graph()
        return problems

    def require_valid(self) -> None:
        """Raise Invalid with every severe problem; each names its activity."""
        severe = [str(problem) for problem in self.check() if problem.severe]
        if severe:
            raise Invalid(" ".join(severe))

    def _check_graph(self) -> list[Problem]:
        problems: list[Problem] = []
        reached = {activity.name for activity in self.initial()}
        queue = list(reached)
        while queue:
            activity = self.by_name.get(queue.pop())
            targets = [way.target for way in activity.transitions] if activity else []
            if activity and activity.type == "jumpin" and (entry := self.entry(jump_number(activity))):
                targets.append(entry.name)
            for name in targets:
                if name in self.by_name and name not in reached:
                    reached.add(name)
                    queue.append(name)
        if self.activities and not reached and not any(a.type == "jumpout" for a in self.activities):
            problems.append(Problem("", "Nothing can start: every activity has an inbound transition."))
        for activity in self.activities:
            # A jump's end point may be entered from outside: by the workflow that runs this one.
            if activity.name not in reached and reached and not self._behind_entry(activity.name):
                problems.append(_problem(activity, "Activity %(activity)s cannot be reached from any start."))
        return problems

    def _behind_entry(self, name: str) -> bool:
        before, queue = {name}, [name]
        while queue:
            current = queue.pop()
            activity = self.by_name.get(current)
            if activity and activity.type == "jumpout":
                return True
            for source, _way in self.inbound.get(current, ()):
                if source not in before:
                    before.add(source)
                    queue.append(source)
        return False


def jump_number(activity: Activity) -> int:
    """Return the number that pairs a jump's start and end points; 0 unless set."""
    return int(activity.parameters.get("number", 0))


def with_parameters(activity: Activity, **changes: Any) -> Activity:
    """Return a copy of `activity` with other parameters."""
    return replace(activity, parameters={**activity.parameters, **changes})


def _problem(activity: Activity, message: str, *, severe: bool = True, **params: Any) -> Problem:
    return Problem(
        activity.name, message, {"activity": activity.name, "type": activity.type, **params}, severe
    )


def _check_names(activity: Activity, seen: set[str]) -> list[Problem]:
    if not NAME.match(activity.name):
        return [_problem(activity, "Activity name %(activity)r must be letters, digits and underscores.")]
    if activity.name in seen:
        return [_problem(activity, "There are two activities called %(activity)s.")]
    if not AFFINITY.match(activity.affinity):
        message = "The affinity of activity %(activity)s must be letters and digits, without spaces."
        return [_problem(activity, message)]
    return []


def _check_ways(activity: Activity, by_name: Mapping[str, Activity]) -> list[Problem]:
    problems: list[Problem] = []
    names: set[str] = set()
    for way in activity.transitions:
        if way.name in names:
            message = "Activity %(activity)s has two transitions called %(transition)s."
            problems.append(_problem(activity, message, transition=way.name))
        names.add(way.name)
        if way.target and way.target not in by_name:
            message = "Transition %(transition)s of activity %(activity)s leads to %(target)s: there is none."
            problems.append(_problem(activity, message, transition=way.name, target=way.target))
        if way.target and way.target in by_name and by_name[way.target].type == "schedule":
            message = (
                "Transition %(transition)s of activity %(activity)s leads to a scheduler, which takes none."
            )
            problems.append(_problem(activity, message, transition=way.name))
        if not way.target and way.enabled and not way.optional:
            message = (
                "Transition %(transition)s of activity %(activity)s leads nowhere: the workflow pauses there."
            )
            problems.append(_problem(activity, message, severe=False, transition=way.name))
    return problems


def _to_json(activity: Activity) -> dict[str, Any]:
    data = _without_defaults(activity)
    if activity.transitions:
        data["transitions"] = [_without_defaults(way) for way in activity.transitions]
    if activity.parameters:
        data["parameters"] = dict(activity.parameters)
    return data


def _without_defaults(value: Activity | Transition) -> dict[str, Any]:
    return {
        f.name: getattr(value, f.name)
        for f in fields(value)
        if f.name not in {"transitions", "parameters"}
        and (f.default is MISSING or getattr(value, f.name) != f.default)
    }


def _activity(item: Any) -> Activity:
    if not isinstance(item, dict):
        raise Invalid("An activity must be an object with a type and a name.")
    data = dict(cast("dict[str, Any]", item))
    name = data.get("name")
    if not isinstance(name, str) or not isinstance(data.get("type"), str):
        raise Invalid(f"Activity {name!r} needs a name and a type.")
    ways = data.pop("transitions", [])
    if not isinstance(ways, list):
        raise Invalid(f"The transitions of activity {name} must be a list.")
    transitions = tuple(
        _build(Transition, way, f"a transition of activity {name}") for way in cast("list[Any]", ways)
    )
    activity = _build(Activity, data, f"activity {name}")
    for key, choices in _CHOICES.items():
        if getattr(activity, key) not in choices:
            raise Invalid(f"{key} of activity {name} must be one of {', '.join(choices)}.")
    if not isinstance(activity.parameters, Mapping):
        raise Invalid(f"The parameters of activity {name} must be an object.")
    return replace(activity, transitions=transitions)


def _build(kind: type[Any], data: Any, place: str) -> Any:
    if not isinstance(data, dict):
        raise Invalid(f"{place} must be an object.")
    values = cast("dict[str, Any]", data)
    known = {f.name: f for f in fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise Invalid(f"{place} has an unknown setting, {key}.")
        wanted = str(known[key].type)
        if (wanted == "str" and not isinstance(value, str)) or (
            wanted in {"int", "bool"} and not isinstance(value, (int, bool))
        ):
            raise Invalid(f"{key} of {place} must be a {wanted}, not {value!r}.")
    try:
        return kind(**values)
    except TypeError as error:
        raise Invalid(f"{place} is incomplete: {error}") from error
