"""What a script of an activity finds and may do (engine.md §5.8): the engine's side of `engine.scripting`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from django.conf import settings

from envoi.engine.activities.base import Failed, Fired, TaskContext
from envoi.engine.definition import Activity, Definition
from envoi.engine.models import Level as JournalLevel
from envoi.engine.scripting import (
    EXPRESSION_LIMITS,
    Closed,
    Kind,
    Level,
    Limits,
    Scalar,
    ScriptResult,
    Value,
    Variables,
    holds,
    render,
    run_script,
)
from envoi.engine.scripting.values import decode, encode
from envoi.kernel import options
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.hooks import Hook
from envoi.kernel.rights import Right

FILES = "files"
"""The folder of HOME that scripts may read."""
LONGEST_FILE = 16 * 1024 * 1024
_LEVELS = {Level.INFO: JournalLevel.INFO, Level.WARNING: JournalLevel.WARNING}


@dataclass(frozen=True)
class Function:
    """One further function of scripts. `least` arguments are given at least; one that `reads` changes
    nothing, so conditions and texts have it too.

    `answer` raises Refused for what the script may catch, before anything is written.
    """

    answer: Callable[[TaskHost, Sequence[Value]], Value]
    least: int = 1
    reads: bool = False


script_functions: Hook[[], Mapping[str, Function]] = Hook("script_functions")
"""`()`: functions by the name that scripts call them by ("xtk.workflow.Start")."""


@dataclass
class TaskHost(Closed):
    """Answers a script with the rights of the workflow, and collects what it wants to happen."""

    ctx: TaskContext
    reads_only: bool = False
    after: list[Callable[[], object]] = field(default_factory=list[Callable[[], object]])
    """What is to be done once the script has come to its end without an error."""
    fired: list[Fired] = field(default_factory=list[Fired])
    completed: bool = False
    next_at: datetime | None = None

    @cached_property
    def _known(self) -> dict[str, Function]:
        found = {name: each for answer in script_functions.ask() for name, each in answer.items()}
        return {name: each for name, each in found.items() if each.reads or not self.reads_only}

    @property
    def functions(self) -> frozenset[str]:
        """What the platform and its packages bring."""
        return frozenset(self._known)

    def call(self, name: str, arguments: Sequence[Value]) -> Value:
        """Answer one of `functions`."""
        function = self._known[name]
        if len(arguments) < function.least:
            raise Invalid(f"{name} takes at least {function.least} argument(s), not {len(arguments)}.")
        return function.answer(self, arguments)

    def log(self, level: Level, message: str) -> None:
        """Write to the journal; an error ends the script and is written with its failure."""
        if level in _LEVELS:
            self.ctx.journal(_LEVELS[level], message)

    def get_option(self, name: str) -> Value:
        """Return an option."""
        return cast("Value", options.get(name, actor=self.ctx.actor))

    def set_option(self, name: str, value: Scalar) -> None:
        """Set an option, if the workflow's operator may."""
        options.set(name, value, actor=self.ctx.actor)

    def load_file(self, path: str) -> str:
        """Return a text file below HOME/files; takes the right FILES ACCESS."""
        self.ctx.actor.require(Right.FILES_ACCESS, to="read files in a script")
        folder = (Path(settings.ENVOI.home) / FILES).resolve()
        wanted = (folder / path).resolve()
        if not wanted.is_relative_to(folder):
            raise Invalid(f"{path} is not in the folder of files of the instance.")
        try:
            if wanted.stat().st_size > LONGEST_FILE:
                raise Invalid(f"{path} is larger than {LONGEST_FILE >> 20} MB.")
            return wanted.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise NotFound(f"{path} cannot be read: {error.strerror}.") from error

    def set_completed(self) -> None:
        """Note that the task is finished."""
        self.completed = True

    def post_event(self, transition: str, variables: Mapping[str, Scalar]) -> None:
        """Fire a transition when the script is through."""
        way = transition or next(
            (
                w.name
                for w in self.ctx.activity.transitions
                if w.enabled and w.kind not in {"error", "timeout"}
            ),
            "",
        )
        if self.ctx.activity.transition(way) is None:
            raise Invalid(f"Activity {self.ctx.activity.name} has no transition {way!r}.")
        self.fired.append(Fired(way, stored(variables)))

    def set_next_processing_date(self, moment: datetime) -> None:
        """Note when the task is to run again."""
        self.next_at = moment


def run(
    ctx: TaskContext, source: str, *, kind: Kind = Kind.ACTIVITY, wall_s: float | None = None
) -> tuple[ScriptResult, TaskHost]:
    """Run a script of an activity; what it changed in the three scopes is in `ctx` afterwards."""
    host = TaskHost(ctx)
    limits = Limits() if wall_s is None else Limits(wall_seconds=wall_s)
    result = run_script(
        source,
        host=host,
        variables=variables_of(ctx),
        limits=limits,
        kind=kind,
        zone=str(ctx.zone),
        on_cancel=ctx.on_cancel,
    )
    for effect in host.after:
        effect()
    ctx.variables.clear()
    ctx.variables.update(stored(result.vars))
    ctx.instance_variables.clear()
    ctx.instance_variables.update(stored(result.instance_vars))
    ctx.task_variables.clear()
    ctx.task_variables.update(stored(result.task_vars))
    return result, host


def condition(ctx: TaskContext, expression: str) -> bool:
    """Return whether a condition holds; what it changes is forgotten."""
    host = TaskHost(ctx, reads_only=True)
    return holds(
        expression, variables=variables_of(ctx), host=host, zone=str(ctx.zone), on_cancel=ctx.on_cancel
    )


def text(ctx: TaskContext, template: str) -> str:
    """Return a text with its `<%= … %>` carried out."""
    return render(
        template,
        variables=variables_of(ctx),
        host=TaskHost(ctx, reads_only=True),
        zone=str(ctx.zone),
        on_cancel=ctx.on_cancel,
    )


def prepared(ctx: TaskContext) -> Activity:
    """Run the initialization script and return the activity as it left it; the stored definition
    is untouched.
    """
    result, _host = run(ctx, ctx.activity.init_script, kind=Kind.INIT, wall_s=EXPRESSION_LIMITS.wall_seconds)
    changed = Definition.from_json({"activities": [result.activity]}).activities[0]
    if (changed.name, changed.type) != (ctx.activity.name, ctx.activity.type):
        raise Failed("The initialization script may change neither name nor type of the activity.")
    return replace(changed, init_script=ctx.activity.init_script)


def on_start(
    source: str, *, name: str, workflow_id: int, label: str, instance_variables: Mapping[str, Any]
) -> dict[str, Any]:
    """Run `onStart` of a workflow's script, if it defines one; returns the instance variables as
    it left them.
    """
    result = run_script(
        f"{source}\n;if (typeof onStart === 'function') onStart();",
        host=Closed("when a workflow starts"),
        variables=Variables(
            instance_vars=loaded(instance_variables),
            instance={"id": workflow_id, "internalName": name, "label": label},
        ),
        limits=EXPRESSION_LIMITS,
    )
    return stored(result.instance_vars)


def variables_of(ctx: TaskContext) -> Variables:
    """Return what a script of this task finds."""
    return Variables(
        vars=loaded(ctx.variables),
        instance_vars=loaded(ctx.instance_variables),
        task_vars=loaded(ctx.task_variables),
        instance={
            "id": ctx.workflow_id,
            "internalName": ctx.workflow_name,
            "label": ctx.workflow_label,
            "simulation": ctx.simulation,
        },
        task={"id": ctx.task_id, "creationDate": ctx.created_at},
        events=[{"id": event.event_id, **loaded(event.variables)} for event in ctx.events],
        transitions=[{"name": way.name, "type": way.kind} for way in ctx.activity.transitions],
        incoming=[{"name": event.transition, **loaded(event.variables)} for event in ctx.events],
        activity=_model(ctx.activity),
    )


def stored(values: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return variables in the JSON form in which they are kept."""
    return {name: encode(value, name) for name, value in values.items()}


def loaded(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Undo `stored`."""
    return {name: cast("Scalar", decode(value)) for name, value in values.items()}


def _model(activity: Activity) -> dict[str, Any]:
    return cast("dict[str, Any]", Definition((activity,)).to_json()["activities"][0])
