"""What people see of workflows: lists, one workflow, its journal (engine.md §1.3, §1.4, §8.3). Reads only.

Every sentence is given in the language asked for; dates are left to whoever shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Any

from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.engine import access, definitions, sql
from envoi.engine.definition import Definition
from envoi.engine.models import Level, Severity, State, TaskState, Workflow
from envoi.engine.schedule import Schedule
from envoi.kernel import clock, folders
from envoi.kernel.errors import Invalid
from envoi.kernel.models import Operator, Option
from envoi.kernel.rights import Actor

LATE_AFTER = timedelta(seconds=60)
LONG_FACTOR = 3
RUNS_SHOWN = 14
_FACES = {
    "editing": "draft",
    "never": "draft",
    "starting": "asked",
    "resuming": "asked",
    "pausing": "asked",
    "stopping": "asked",
    "restarting": "asked",
    "waiting": "waiting",
    "signal": "waiting",
    "working": "working",
    "approval": "ask",
    "late": "warn",
    "long": "warn",
    "paused": "warn",
    "failed": "bad",
    "stopped": "stopped",
    "finished": "done",
}
_ASKED = {
    State.STARTING: "starting",
    State.RESUMING: "resuming",
    State.PAUSING: "pausing",
    State.STOPPING: "stopping",
    State.STOPPING2: "stopping",
    State.RESTARTING: "restarting",
    State.RESTARTING2: "restarting",
}


@dataclass(frozen=True)
class Run:
    """One time at work: how long (seconds), and whether it ended in an error."""

    started_at: datetime
    duration_s: float
    failed: bool


@dataclass(frozen=True)
class WorkflowRow:
    """A line of a list. `face` is the family of the state, `word` the state as people see it
    (late, paused, …).
    """

    id: int
    internal_name: str
    label: str
    package: str
    folder_path: str
    folder_label: str
    state: int
    state_name: str
    failed: bool
    severity: int
    face: str
    word: str
    reason: str
    schedule: str
    last_run: datetime | None
    next_run: datetime | None
    last_duration_s: float | None
    durations: tuple[Run, ...]
    version: int
    technical: bool
    is_model: bool
    simulation: bool


@dataclass(frozen=True)
class ActivityState:
    """How an activity stands in this run. `state`: "", done, working, warning, failed, person,
    waiting or held.
    """

    name: str
    state: str
    executions: int
    duration_s: float | None
    started_at: datetime | None
    next_at: datetime | None
    message: str
    too_long: bool


@dataclass(frozen=True)
class FiredTransition:
    """A transition that has fired in this run. `count` is the population of the last firing, if it
    carried one.
    """

    source: str
    transition: str
    firings: int
    count: int | None
    last_at: datetime
    carrying: bool


@dataclass(frozen=True)
class TaskRow:
    """One task of this run."""

    id: int
    activity: str
    status: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    next_at: datetime | None
    duration_s: float | None
    message: str
    worker: str


@dataclass(frozen=True)
class WorkflowDetail:
    """All that the page of one workflow shows."""

    row: WorkflowRow
    description: str
    definition: Definition
    definition_number: int
    activities: tuple[ActivityState, ...]
    transitions: tuple[FiredTransition, ...]
    tasks: tuple[TaskRow, ...]
    variables: Mapping[str, Any]
    run_number: int
    runs_as: str
    started_at: datetime | None
    started_by: str
    finished_at: datetime | None
    paused_at: datetime | None


@dataclass(frozen=True)
class JournalLine:
    """One line of the journal, in the reader's language."""

    id: int
    at: datetime
    level: str
    activity: str
    message: str
    task_id: int | None
    run_number: int


def workflows(actor: Actor, *, folder_path: str | None = None, language: str) -> list[WorkflowRow]:
    """Return the workflows that the actor may see, of a branch of folders if one is given, by label."""
    # The copies that sub-workflows run are part of their parents, until one fails and has to be looked at.
    found = access.visible(actor).filter(Q(parent_task_id=None) | Q(failed=True))
    if folder_path is not None:
        found = found.filter(folder__path__startswith=folder_path)
    with translation.override(language):
        rows = _rows(list(found.defer("definition", "script", "description")), language)
    return sorted(rows, key=lambda row: (row.label.casefold(), row.id))


def workflow(actor: Actor, name: str, language: str) -> WorkflowDetail:
    """Return one workflow by internal name or number. Raises NotFound when there is none that the
    actor may see.
    """
    found = access.find(actor, name)
    with translation.override(language):
        return _detail(found, language)


def version(actor: Actor, name: str) -> tuple[int, ...]:
    """Return numbers that change with each visible change of a workflow; one small read. Raises NotFound.

    First its own, which grows; then id and version of each copy that it runs as a sub-workflow, whose lines
    stand in its journal. The copies are read and not counted in the parent's row: a copy that wrote there
    would wait for its parent, and the parent for it.
    """
    seen = access.visible(actor).filter(internal_name=name).values_list("workflow_id", "version").first()
    if seen is None:
        found = access.find(actor, name)
        seen = found.workflow_id, found.version
    number, own = seen
    below = sql.rows(
        """WITH RECURSIVE below AS (
             SELECT %(workflow)s::bigint AS workflow_id, 0::bigint AS version
             UNION ALL
             SELECT c.workflow_id, c.version FROM below
             JOIN xtk_workflow_task t ON t.workflow_id = below.workflow_id AND t.status IN (0, 2, 5, 6)
             JOIN xtk_workflow c ON c.parent_task_id = t.task_id)
           SELECT workflow_id, version FROM below WHERE workflow_id <> %(workflow)s ORDER BY workflow_id""",
        {"workflow": number},
    )
    return (own, *(part for copy in below for part in (copy["workflow_id"], copy["version"])))


def journal(
    actor: Actor,
    name: str,
    *,
    language: str | None = None,
    before_id: int | None = None,
    after_id: int | None = None,
    activity: str | None = None,
    limit: int = 100,
) -> list[JournalLine]:
    """Return lines of the journal, newest first: older than `before_id`, newer than `after_id`, of
    one activity.
    """
    workflow_id = access.find(actor, name).workflow_id
    rows = sql.rows(
        """SELECT log_id, at, level, activity, message, params, task_id, run_number FROM xtk_workflow_log
           WHERE workflow_id = %(workflow)s AND (%(before)s::bigint IS NULL OR log_id < %(before)s)
             AND (%(after)s::bigint IS NULL OR log_id > %(after)s)
             AND (%(activity)s::text IS NULL OR activity = %(activity)s)
           ORDER BY log_id DESC LIMIT %(limit)s""",
        {
            "workflow": workflow_id,
            "before": before_id,
            "after": after_id,
            "activity": activity,
            "limit": limit,
        },
    )
    with translation.override(language or translation.get_language() or "en"):
        return [
            JournalLine(
                row["log_id"],
                row["at"],
                Level(row["level"]).label,
                row["activity"],
                shown(row["message"], row["params"]),
                row["task_id"],
                row["run_number"],
            )
            for row in rows
        ]


def shown(message: str, params: Mapping[str, Any] | None) -> str:
    """Return a stored message in the active language; a text without parameters is what a script said."""
    if params is None:
        return message
    try:
        return _(message) % params
    except (KeyError, TypeError, ValueError):
        return message


def _rows(found: Sequence[Workflow], language: str) -> list[WorkflowRow]:
    ids = [workflow.workflow_id for workflow in found]
    drawn = definitions.many((w.workflow_id, w.definition_number) for w in found)
    open_tasks = _open_tasks(ids)
    runs = _runs(ids)
    errors = _errors([w.workflow_id for w in found if w.failed])
    pausers = _pausers([w.workflow_id for w in found if State(w.state) is State.PAUSED and not w.failed])
    paused_for = _paused_for() if any(State(w.state) is State.PAUSED for w in found) else timedelta.max
    return [
        _row(
            workflow,
            drawn.get(workflow.workflow_id, Definition()),
            language,
            open_tasks.get(workflow.workflow_id, []),
            runs.get(workflow.workflow_id, []),
            errors.get(workflow.workflow_id),
            pausers.get(workflow.workflow_id, ""),
            paused_for,
        )
        for workflow in found
    ]


def _row(
    workflow: Workflow,
    definition: Definition,
    language: str,
    open_tasks: list[sql.Row],
    runs: list[Run],
    error: sql.Row | None,
    pauser: str,
    paused_for: timedelta,
) -> WorkflowRow:
    now = clock.now()
    due = [task["due_at"] for task in open_tasks if task["status"] == TaskState.PENDING and task["due_at"]]
    word = _word(workflow, definition, open_tasks, runs, now)
    reason = _reason(word, definition, error, pauser, open_tasks)
    return WorkflowRow(
        id=workflow.workflow_id,
        internal_name=workflow.internal_name,
        label=workflow.label_in(language),
        package=workflow.package,
        folder_path=workflow.folder.path,
        folder_label=folders.label_of(workflow.folder, language),
        state=workflow.state,
        state_name=State(workflow.state).label,
        failed=workflow.failed,
        severity=workflow.production,
        face=_FACES[word],
        word=word,
        reason=_with_days(reason, workflow, now, paused_for),
        schedule=_schedule(definition),
        last_run=runs[0].started_at if runs else None,
        next_run=min(due, default=None) if State(workflow.state) is State.STARTED else None,
        last_duration_s=runs[0].duration_s if runs else None,
        durations=tuple(reversed(runs)),
        version=workflow.version,
        technical=access.is_technical(workflow),
        is_model=workflow.is_model,
        simulation=workflow.simulation,
    )


def _word(
    workflow: Workflow, definition: Definition, open_tasks: list[sql.Row], runs: list[Run], now: datetime
) -> str:
    state = State(workflow.state)
    # What somebody has asked for comes first: a failed workflow that is being resumed has been looked at.
    if state in _ASKED:
        return _ASKED[state]
    if workflow.failed:
        return "failed"
    if state == State.PAUSED:
        return "paused"
    if state == State.EDITION:
        return "editing" if workflow.run_number or not workflow.built_in else "never"
    if state == State.FINISHED:
        return "stopped" if workflow.stopped_by_hand else "finished"
    waiting = [task for task in open_tasks if task["status"] == TaskState.PENDING]
    if any(task["due_at"] and now - task["due_at"] > LATE_AFTER for task in waiting):
        return "late"
    if any(task["status"] == TaskState.RUNNING or task["queued"] for task in open_tasks):
        return "long" if _is_long(workflow, runs, now) else "working"
    types = {_type(definition, task["activity"]) for task in waiting}
    if "validation" in types:
        return "approval"
    return "signal" if waiting and all(task["due_at"] is None for task in waiting) else "waiting"


def _is_long(workflow: Workflow, runs: list[Run], now: datetime) -> bool:
    if workflow.busy_since is None or len(runs) < 3:
        return False
    usual = median(run.duration_s for run in runs)
    return (now - workflow.busy_since).total_seconds() > LONG_FACTOR * max(usual, 1)


def _reason(
    word: str, definition: Definition, error: sql.Row | None, pauser: str, open_tasks: list[sql.Row]
) -> str:
    if word == "failed" and error is not None:
        return _("%(activity)s: %(reason)s") % {
            "activity": _activity_label(definition, error["activity"]),
            "reason": error["message"],
        }
    if word == "paused":
        held = [task["activity"] for task in open_tasks if task["status"] == TaskState.HELD]
        if held:
            return _("%(activity)s is not to be executed") % {
                "activity": _activity_label(definition, held[0])
            }
        if pauser:
            return _("paused by %(operator)s") % {"operator": pauser}
        return _("a transition leads nowhere")
    if word == "late":
        return _("no worker has taken the work that is due")
    return ""


def _with_days(reason: str, workflow: Workflow, now: datetime, paused_for: timedelta) -> str:
    """Return the reason, with a warning that it lasts for too long; severity Normal alone has it (§8.2)."""
    since, state = workflow.paused_at, State(workflow.state)
    if since is None or state != State.PAUSED or now - since <= paused_for:
        return reason
    if Severity(workflow.production) != Severity.NORMAL:
        return reason
    days = (now - since).days
    lasts = ngettext("paused for %(days)s day", "paused for %(days)s days", days) % {"days": days}
    return f"{reason}; {lasts}"


def _paused_for() -> timedelta:
    """Return how long a workflow may be paused before that is worth a warning."""
    option = Option.objects.filter(name="NmsServer_PausedWorkflowPeriod").first()
    return timedelta(days=option.long_value if option else 7)


def _activity_label(definition: Definition, name: str) -> str:
    activity = definition.by_name.get(name)
    return (activity.label if activity else "") or name


def _type(definition: Definition, name: str) -> str:
    activity = definition.by_name.get(name)
    return activity.type if activity else ""


def _schedule(definition: Definition) -> str:
    sentences: list[str] = []
    for activity in definition.activities:
        if activity.type == "schedule":
            try:
                sentences.append(
                    str(Schedule.from_json(activity.parameters.get("schedule") or {}).describe())
                )
            except Invalid:
                sentences.append("?")
    return "; ".join(sentences)


def _open_tasks(ids: list[int]) -> dict[int, list[sql.Row]]:
    found: dict[int, list[sql.Row]] = {}
    for row in sql.rows(
        """SELECT workflow_id, activity, status, due_at, queued FROM xtk_workflow_task
           WHERE workflow_id = ANY(%(ids)s) AND status IN (0, 2, 5, 6)""",
        {"ids": ids},
    ):
        found.setdefault(row["workflow_id"], []).append(row)
    return found


def _runs(ids: list[int]) -> dict[int, list[Run]]:
    """Return the last runs of each workflow, newest first."""
    found: dict[int, list[Run]] = {}
    for row in sql.rows(
        """SELECT r.* FROM unnest(%(ids)s::bigint[]) AS w(id) CROSS JOIN LATERAL (
             SELECT workflow_id, started_at, ended_at, failed FROM xtk_workflow_run
             WHERE workflow_id = w.id ORDER BY workflow_run_id DESC LIMIT %(limit)s) AS r""",
        {"ids": ids, "limit": RUNS_SHOWN},
    ):
        duration = (row["ended_at"] - row["started_at"]).total_seconds()
        found.setdefault(row["workflow_id"], []).append(Run(row["started_at"], duration, row["failed"]))
    return found


def _errors(ids: list[int]) -> dict[int, sql.Row]:
    rows = sql.rows(
        """SELECT DISTINCT ON (workflow_id) workflow_id, activity, message FROM xtk_workflow_task
           WHERE workflow_id = ANY(%(ids)s) AND status IN (4, 5) ORDER BY workflow_id, task_id DESC""",
        {"ids": ids},
    )
    return {row["workflow_id"]: row for row in rows}


def _pausers(ids: list[int]) -> dict[int, str]:
    rows = sql.rows(
        """SELECT DISTINCT ON (c.workflow_id) c.workflow_id, c.command, coalesce(o.label, c.operator_name) AS
        who
           FROM xtk_workflow_job c LEFT JOIN xtk_operator o ON o.operator_id = c.operator_id
           WHERE c.workflow_id = ANY(%(ids)s) AND c.command IN ('Pause', 'Start', 'Restart', 'Simulate')
             AND c.status <> 2
           ORDER BY c.workflow_id, c.job_id DESC""",
        {"ids": ids},
    )
    return {row["workflow_id"]: row["who"] for row in rows if row["command"] == "Pause"}


def _detail(found: Workflow, language: str) -> WorkflowDetail:
    definition = definitions.of(found.workflow_id, found.definition_number)
    run = {"workflow": found.workflow_id, "run": found.run_number}
    tasks = sql.rows(
        """SELECT t.*, w.name AS worker FROM xtk_workflow_task t LEFT JOIN xtk_worker w ON w.worker_id =
        t.worker_id
           WHERE t.workflow_id = %(workflow)s AND t.run_number = %(run)s ORDER BY t.task_id DESC LIMIT 500""",
        run,
    )
    warned = sql.rows(
        """SELECT DISTINCT task_id FROM xtk_workflow_log WHERE workflow_id = %(workflow)s
           AND run_number = %(run)s AND level = 1 AND task_id IS NOT NULL""",
        run,
    )
    fired = sql.rows(
        """SELECT e.source, e.transition, count(*) AS firings, max(e.created_at) AS last_at,
             (array_agg(e.variables->>'recCount' ORDER BY e.event_id DESC))[1] AS count,
             coalesce(bool_or(t.status = 2 OR (t.status = 0 AND t.queued)), false) AS carrying
           FROM xtk_workflow_event e LEFT JOIN xtk_workflow_task t ON t.task_id = e.task_id
           WHERE e.workflow_id = %(workflow)s AND e.run_number = %(run)s GROUP BY e.source, e.transition""",
        run,
    )
    now = clock.now()
    login = Operator.objects.filter(operator_id__in=_login_of(found)).first()
    return WorkflowDetail(
        row=_rows([found], language)[0],
        description=found.description,
        definition=definition,
        definition_number=found.definition_number,
        activities=tuple(
            _activity_state(
                activity.name,
                activity.max_duration_s,
                tasks,
                {row["task_id"] for row in warned},
                definition,
                now,
            )
            for activity in definition.activities
        ),
        transitions=tuple(
            FiredTransition(
                row["source"],
                row["transition"],
                row["firings"],
                _count(row["count"]),
                row["last_at"],
                row["carrying"],
            )
            for row in fired
        ),
        tasks=tuple(_task_row(task, now) for task in tasks),
        variables=found.variables,
        run_number=found.run_number,
        runs_as=str(login) if login else "",
        started_at=found.started_at,
        started_by=str(found.started_by) if found.started_by else "",
        finished_at=found.finished_at,
        paused_at=found.paused_at,
    )


def _login_of(found: Workflow) -> list[int]:
    account = sql.one(
        "SELECT operator_id FROM xtk_workflow_login WHERE workflow_id = %(id)s", {"id": found.workflow_id}
    )
    who = account["operator_id"] if account else found.started_by_id
    return [] if who is None else [who]


def _activity_state(
    name: str, limit_s: int, tasks: list[sql.Row], warned: set[int], definition: Definition, now: datetime
) -> ActivityState:
    own = [task for task in tasks if task["activity"] == name]
    last = own[0] if own else None
    # An open task says more than one that is done.
    shown_task = next((t for t in own if t["status"] in (TaskState.ERROR, TaskState.RUNNING)), None) or next(
        (t for t in own if t["status"] in (TaskState.PENDING, TaskState.HELD)), last
    )
    if shown_task is None:
        return ActivityState(name, "", 0, None, None, None, "", False)
    duration = _duration(shown_task, now)
    running = shown_task["status"] == TaskState.RUNNING
    return ActivityState(
        name=name,
        state=_overlay(shown_task, shown_task["task_id"] in warned, _type(definition, name)),
        executions=len(own),
        duration_s=duration,
        started_at=shown_task["started_at"],
        next_at=shown_task["due_at"],
        message=shown_task["message"],
        too_long=running and bool(limit_s) and duration is not None and duration > limit_s,
    )


def _overlay(task: sql.Row, warned: bool, kind: str) -> str:
    match TaskState(task["status"]):
        case TaskState.RUNNING:
            return "working"
        case TaskState.ERROR:
            return "failed"
        case TaskState.HELD:
            return "held"
        case TaskState.FAILED:
            return "warning"
        case TaskState.COMPLETED:
            return "warning" if warned else "done"
        case TaskState.PENDING:
            if kind == "validation" and not task["queued"]:
                return "person"
            return "working" if task["queued"] else "waiting"
        case _:
            return ""


def _duration(task: sql.Row, now: datetime) -> float | None:
    if task["started_at"] is None:
        return None
    if task["completed_at"] is not None:
        return max(0.0, (task["completed_at"] - task["started_at"]).total_seconds())
    if task["status"] == TaskState.RUNNING:
        return max(0.0, (now - task["started_at"]).total_seconds())
    return None


def _task_row(task: sql.Row, now: datetime) -> TaskRow:
    return TaskRow(
        id=task["task_id"],
        activity=task["activity"],
        status=TaskState(task["status"]).label,
        created_at=task["created_at"],
        started_at=task["started_at"],
        completed_at=task["completed_at"],
        next_at=task["due_at"],
        duration_s=_duration(task, now),
        message=task["message"],
        worker=task["worker"] or "",
    )


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None


class Filter(StrEnum):
    """Filters of the monitoring page (engine.md §8.3)."""

    ALL = "all"
    EDITING = "editing"
    IN_PROGRESS = "in_progress"
    STARTED = "started"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED_PRODUCTION = "stopped_production"
    ACTION_REQUIRED = "action_required"


def matches(row: WorkflowRow, wanted: Filter) -> bool:
    """Return whether a row belongs under a filter. Templates belong under no other than "all"."""
    if wanted is Filter.ALL:
        return True
    if row.is_model:
        return False
    state = State(row.state)
    match wanted:
        case Filter.EDITING:
            return state is State.EDITION
        case Filter.IN_PROGRESS:
            return row.word in {"working", "long", "late"}
        case Filter.STARTED:
            return state is State.STARTED
        case Filter.PAUSED:
            return state is State.PAUSED
        case Filter.FINISHED:
            return state is State.FINISHED
        case Filter.FAILED:
            return row.failed
        case Filter.STOPPED_PRODUCTION:
            # Whoever gives a workflow the severity Production wants it to run; Normal silences this.
            return row.severity > 0 and state in (State.EDITION, State.FINISHED, State.PAUSED)
        case _:
            return row.failed or row.word in {"approval", "late"}


def summary(rows: Sequence[WorkflowRow]) -> list[str]:
    """Return the lines of the monitoring page's summary, in the active language: one for each that
    has failed.
    """
    return [
        _("Workflow failed: %(label)s (%(name)s)") % {"label": row.label, "name": row.internal_name}
        for row in rows
        if row.failed
    ]
