"""The contract of an activity type, and what one execution gets and gives (engine.md §5, architecture
§3.1).

A type is a class with `run(ctx) -> Outcome` in a file of this folder (or of a package's `activities`).
Everything that `run` writes to the database commits together with the transitions that it fires; it never
commits by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_noop as _

from envoi.engine.definition import Activity, Definition
from envoi.engine.models import Level
from envoi.kernel.rights import Actor

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fired:
    """One firing of a transition. `variables` are added to those that came in."""

    transition: str
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    target: str | None = None
    """Where it leads when that is not drawn: the end point of a jump."""


@dataclass(frozen=True)
class Outcome:
    """What an execution led to.

    fired: transitions, in order. due: the task stays and runs again then. stays: the task stays without a
    date, until an
    event or a command. Neither: the task is complete. `stop_all`: every other task of the workflow ends too.
    """

    fired: tuple[Fired, ...] = ()
    due: datetime | None = None
    stays: bool = False
    stop_all: bool = False
    dropped: bool = False
    """The branch was abandoned on purpose; no transition is missed."""

    @property
    def completes(self) -> bool:
        """True when the task is over."""
        return self.due is None and not self.stays


def fire(*names: str, **variables: Any) -> Outcome:
    """Complete, firing the named transitions with these variables."""
    return Outcome(tuple(Fired(name, variables) for name in names))


def wait(until: datetime, *fired: Fired) -> Outcome:
    """Stay, and run again at `until`."""
    return Outcome(fired, due=until)


def stay(*fired: Fired) -> Outcome:
    """Stay until an event or a command."""
    return Outcome(fired, stays=True)


class Misconfigured(Exception):  # noqa: N818  it is what the activity is, like the errors of the kernel
    """The activity's settings cannot work: the workflow fails even where run-time errors are processed."""


class Failed(Exception):  # noqa: N818
    """The activity could not do its work; a run-time error. `shown` is the text for the journal."""


@dataclass(frozen=True)
class InboundEvent:
    """An event that feeds the task."""

    event_id: int
    source: str
    transition: str
    variables: Mapping[str, Any]


class Journal(Protocol):
    """Where lines of the journal go."""

    def __call__(
        self,
        level: Level,
        message: str,
        params: Mapping[str, Any] | None = None,
        *,
        activity: str | None = None,
    ) -> None:
        """Write one line in the activity's transaction."""
        ...


@dataclass
class TaskContext:
    """What one execution of an activity knows and may change.

    `variables` (event), `instance_variables` and `task_variables` are plain dicts of strings, numbers,
    booleans, None and
    ISO dates; changes to them are kept when the activity succeeds. `memory` is the activity's own, kept
    between two
    executions of the same task.
    """

    workflow_id: int
    workflow_name: str
    workflow_label: str
    task_id: int
    run_number: int
    activity: Activity
    definition: Definition
    events: tuple[InboundEvent, ...]
    variables: dict[str, Any]
    instance_variables: dict[str, Any]
    task_variables: dict[str, Any]
    memory: dict[str, Any]
    now: datetime
    zone: ZoneInfo
    created_at: datetime
    woken: bool
    simulation: bool
    journal: Journal
    load_actor: Callable[[], Actor]
    cancelled: Callable[[], bool] = lambda: False
    on_cancel: Callable[[Callable[[], None]], None] = lambda callback: None
    """Register what ends foreign work (a child process) when the operator stops the workflow."""
    attempts: int = 1
    shows_sql: bool = False
    """The property "Log SQL queries in the journal" of the workflow."""

    @property
    def actor(self) -> Actor:
        """Return in whose name the workflow runs."""
        return self.load_actor()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Return the activity's own parameters."""
        return self.activity.parameters

    def info(self, message: str, **params: Any) -> None:
        """Write a line of level info; `message` is a message id with %(name)s places."""
        self.journal(Level.INFO, message, params)

    def log_sql(self, statement: str, parameters: Sized = ()) -> None:
        """Show a statement in the journal, if the workflow says so: how many parameters it has, never which.

        `statement` must hold no values of its own, since lines outlive the data that they were about.
        """
        if self.shows_sql:
            self.info(
                _("SQL with %(count)s parameter(s): %(statement)s"),
                count=len(parameters),
                statement=statement.strip(),
            )

    def warning(self, message: str, **params: Any) -> None:
        """Write a line of level warning."""
        self.journal(Level.WARNING, message, params)


FILE_HOST = "fileHost"
"""Event variable: the host on which the file `filename` lies."""


class ActivityType:
    """Base of every type. Class attributes say what the engine and the designer must know."""

    type: ClassVar[str]
    family: ClassVar[str] = "flow"
    """Shape in the diagram: flow, targeting, action or event."""
    ways: ClassVar[tuple[tuple[str, str], ...]] = (("transition", "transition"),)
    """(name, kind) of the outputs that a new activity of this type has."""
    joins: ClassVar[bool] = False
    """Waits for one event of each inbound transition before it runs."""
    effects: ClassVar[bool] = False
    """Changes something outside the workflow: not executed in a simulation."""

    reads_files: ClassVar[bool] = False
    """Works on the file that a transition brings (`filename`): done on the host where that lies."""

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Yield (message id, params) of each problem in the activity's settings."""
        return ()

    def run(self, ctx: TaskContext) -> Outcome:
        """Do the work once."""
        raise NotImplementedError

    def posted(self, ctx: TaskContext, transition: str, variables: Mapping[str, Any]) -> None:
        """React to an event that a command fired from this activity while its task is open."""
