"""Commands to a workflow: who may give which, what each would do, and how it is applied (engine.md §3).

A command is checked and written by whoever gives it; the state then says that it was asked for. A worker
that serves the workflow's affinity applies it. Only the unconditional stop acts at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from envoi.engine import access, dispatcher, journal, lifecycle, runner, sql, subworkflow, worktable
from envoi.engine.activities.base import Fired
from envoi.engine.definition import Definition
from envoi.engine.journal import Pen
from envoi.engine.models import CommandState, QueuedCommand, State, Workflow
from envoi.kernel import audit, clock
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.rights import Actor

logger = logging.getLogger(__name__)


class Command(StrEnum):
    """The commands; values are their names in the audit trail."""

    START = "Start"
    SIMULATE = "Simulate"
    PAUSE = "Pause"
    STOP = "Stop"
    KILL = "Unconditional Stop"
    RESTART = "Restart"
    WAKEUP = "Wakeup"
    CLEANUP = "Cleanup"
    RESTART_TASK = "RestartTask"
    POST_EVENT = "PostEvent"


S = State
_LATER = "later"
"""Parameter of a command whose state is looked at, and changed, when it is applied."""
_NEED_TASK = frozenset({"signal", "validation"})
"""Activities that take an event from outside only while a task of theirs waits for it."""
_FROM: dict[Command, frozenset[State]] = {
    Command.START: frozenset({S.EDITION, S.FINISHED, S.PAUSED}),
    Command.SIMULATE: frozenset({S.EDITION, S.FINISHED}),
    Command.PAUSE: frozenset({S.STARTED}),
    Command.STOP: frozenset(
        {S.STARTING, S.STARTED, S.PAUSING, S.PAUSED, S.RESUMING, S.RESTARTING, S.RESTARTING2}
    ),
    Command.RESTART: frozenset({S.STARTED, S.PAUSING, S.PAUSED, S.STOPPING, S.STOPPING2}),
    Command.WAKEUP: frozenset({S.STARTED}),
    Command.CLEANUP: frozenset(State),
    Command.RESTART_TASK: frozenset({S.STARTED, S.PAUSED, S.FINISHED}),
    Command.POST_EVENT: frozenset(State),
    Command.KILL: frozenset(State) - {S.EDITION, S.FINISHED},
}
_REQUESTED = {
    Command.PAUSE: S.PAUSING,
    Command.STOP: S.STOPPING,
    Command.RESTART: S.RESTARTING,
    Command.SIMULATE: S.STARTING,
}


class HasState(Protocol):
    """What `allowed` looks at: a workflow, or a row of the read model."""

    @property
    def state(self) -> int:
        """Return the state's code."""
        ...


def post(actor: Actor, name: str, command: Command, **parameters: Any) -> int:
    """Ask for a command and return the number of its row in the queue; the effect comes later.

    Parameters: `variables` (start, simulate, post event), `activity` (wake up one, restart from, source of
    an event),
    `transition` and `complete` (post event). Raises NotFound, NotAllowed, Conflict (the state forbids it) or
    Invalid
    (the definition cannot run); then nothing was written.
    """
    with transaction.atomic():
        workflow = access.find(actor, name)
        access.require_operate(actor, workflow, to=gettext(_TO[command]))
        row = lifecycle.lock(workflow.workflow_id)
        if row is None:
            raise NotFound(gettext("The workflow %(name)r no longer exists.") % {"name": name})
        state = State(row["state"])
        _require_kill(actor, name, command)
        _require_state(command, name, state)
        _check(workflow, command, state, parameters)
        if command is Command.RESTART_TASK:
            _check_inbound(row, str(parameters.get("activity", "")))
        now = clock.now()
        queued = QueuedCommand.objects.create(
            workflow_id=workflow.workflow_id,
            command=command.value,
            parameters=parameters,
            operator_id=actor.operator_id,
            operator_name=actor.name,
            created_at=now,
        )
        audit.record(actor, "xtk:workflow", workflow.internal_name, command.value, workflow.workflow_id)
        if command is Command.KILL:
            _apply(row, queued)
        else:
            _request(row, command)
            dispatcher.enqueue_commands(workflow.workflow_id, workflow.affinity)
        return queued.job_id


def post_later(actor: Actor, name: str, command: Command, **parameters: Any) -> int:
    """Ask for a command from inside an activity, of its own workflow or of another one; returns its number.

    Rights and definition are checked at once, as by `post`, which raises the same. Nothing is locked: the
    state changes when a worker applies the command, so that an activity neither holds up others for as long
    as it works, nor finds its own workflow stopped under it. A state that forbids it then is an error in the
    journal of that workflow (engine.md §3, §7.2).
    """
    workflow = access.find(actor, name)
    access.require_operate(actor, workflow, to=gettext(_TO[command]))
    _require_kill(actor, name, command)
    _check(workflow, command, State(workflow.state), parameters)
    with transaction.atomic():
        queued = QueuedCommand.objects.create(
            workflow_id=workflow.workflow_id,
            command=command.value,
            parameters={**parameters, _LATER: True},
            operator_id=actor.operator_id,
            operator_name=actor.name,
            created_at=clock.now(),
        )
        audit.record(actor, "xtk:workflow", workflow.internal_name, command.value, workflow.workflow_id)
        # The unconditional stop must not wait for a worker of an affinity that nobody serves.
        anywhere = command is Command.KILL
        dispatcher.enqueue_commands(workflow.workflow_id, workflow.affinity, anywhere=anywhere)
    return queued.job_id


def _require_kill(actor: Actor, name: str, command: Command) -> None:
    if command is Command.KILL and not actor.is_administrator:
        raise NotAllowed(
            gettext(
                "%(actor)s may not stop %(name)s unconditionally: the right ADMINISTRATION "
                "is missing. An administrator can do it."
            )
            % {"actor": actor.name, "name": name}
        )


def _require_state(command: Command, name: str, state: State) -> None:
    if state not in _FROM[command]:
        raise Conflict(
            gettext("%(command)s is not possible for %(name)s: its state is %(state)s.")
            % {"command": command.value, "name": name, "state": gettext(state.label)}
        )


def _request(row: sql.Row, command: Command) -> None:
    """Let the state of a locked workflow say that a command was asked for."""
    state = State(row["state"])
    requested = _REQUESTED.get(command, state)
    if command is Command.START:
        requested = S.RESUMING if state == S.PAUSED else S.STARTING
    sql.run(
        """UPDATE xtk_workflow SET state = %(state)s, version = version + 1
           WHERE workflow_id = %(workflow)s""",
        {"state": int(requested), "workflow": row["workflow_id"]},
    )
    row["state"] = int(requested)


def allowed(row: HasState, actor: Actor) -> list[Command]:
    """Return the commands that the state and the actor's rights allow; `row` needs `state` and
    `technical`.
    """
    if not access.may_operate(actor, technical=bool(getattr(row, "technical", False))):
        return []
    shown = (c for c in Command if c not in (Command.POST_EVENT, Command.RESTART_TASK))
    return [c for c in shown if row.state in _FROM[c] and (c is not Command.KILL or actor.is_administrator)]


def effect(name: str, command: Command) -> tuple[str, dict[str, Any]]:
    """Return what a command will do, as a message and the counts in it."""
    counts = sql.one(
        """SELECT count(*) FILTER (WHERE t.status = 0) AS waiting, count(*) FILTER (WHERE t.status = 2) AS
        running,
             count(*) FILTER (WHERE t.status IN (5, 6)) AS standing,
             (SELECT count(*) FROM xtk_workflow_log l WHERE l.workflow_id = w.workflow_id) AS lines,
             (SELECT count(*) FROM xtk_workflow_task d WHERE d.workflow_id = w.workflow_id
               AND d.status IN (1, 3, 4)) AS done
           FROM xtk_workflow w LEFT JOIN xtk_workflow_task t ON t.workflow_id = w.workflow_id
             AND t.status IN (0, 2, 5, 6) WHERE w.internal_name = %(name)s GROUP BY w.workflow_id""",
        {"name": name},
    )
    return _EFFECT[command], dict(counts or {})


def apply_queued(workflow_id: int) -> int:
    """Apply the commands that wait for a workflow, in their order; returns how many. The job of the
    dispatcher.
    """
    with transaction.atomic():
        row = lifecycle.lock(workflow_id)
        if row is None:
            return 0
        waiting = QueuedCommand.objects.filter(workflow_id=workflow_id, status=CommandState.QUEUED)
        applied = 0
        for queued in waiting.order_by("job_id"):
            if queued.command == Command.POST_EVENT and row["state"] in (
                S.PAUSED,
                S.PAUSING,
                S.RESUMING,
                S.STARTING,
            ):
                continue  # it waits until the workflow goes on (engine.md §7.2)
            _apply_or_refuse(row, queued)
            applied += 1
            row = lifecycle.lock(workflow_id) or row
        return applied


def _apply_or_refuse(row: sql.Row, queued: QueuedCommand) -> None:
    """Apply one command; one that cannot be carried out is refused with its reason and stands in
    nobody's way.
    """
    if queued.parameters.get(_LATER) and not _take_up(row, queued):
        return
    try:
        with transaction.atomic():
            _apply(row, queued)
    except Exception as error:
        if runner.connection_lost(error):
            raise
        logger.exception("command %s of workflow %s failed", queued.command, row["internal_name"])
        sql.run(
            """UPDATE xtk_workflow SET failed = true, version = version + 1,
                 state = CASE state WHEN 10 THEN 20 WHEN 14 THEN 13 ELSE state END
               WHERE workflow_id = %(workflow)s AND state IN (10, 14)""",
            {"workflow": row["workflow_id"]},
        )
        _refuse(row, queued, lifecycle.describe(error))


def _take_up(row: sql.Row, queued: QueuedCommand) -> bool:
    """Change the state as a command asks that was given later; False when the state forbids it by now."""
    command = Command(queued.command)
    state = State(row["state"])
    if state not in _FROM[command]:
        _refuse(row, queued, f"the state of the workflow is {state.label}.")
        return False
    _request(row, command)
    return True


def _refuse(row: sql.Row, queued: QueuedCommand, reason: str) -> None:
    queued.status, queued.done_at, queued.message = CommandState.REFUSED, clock.now(), reason
    queued.save(update_fields=["status", "done_at", "message"])
    pen = Pen()
    pen.error(_("Command %(command)s failed: %(error)s"), command=queued.command, error=reason)
    journal.write(row["workflow_id"], row["run_number"], pen.lines, parent_task_id=row["parent_task_id"])
    sql.run(
        "UPDATE xtk_workflow SET version = version + 1 WHERE workflow_id = %(workflow)s",
        {"workflow": row["workflow_id"]},
    )


def _apply(row: sql.Row, queued: QueuedCommand) -> None:
    pen = Pen()
    operator, parameters = queued.operator_name, queued.parameters
    state = State(row["state"])
    match queued.command:
        case subworkflow.ENDED:
            lifecycle.child_ended(row, parameters["task"], pen, error=None)
        case subworkflow.FAILED:
            lifecycle.child_ended(row, parameters["task"], pen, error=parameters["message"])
        case Command.START | Command.SIMULATE if state == S.STARTING:
            lifecycle.begin(
                row,
                pen,
                operator_id=queued.operator_id,
                operator=operator,
                variables=parameters.get("variables") or {},
                simulation=queued.command == Command.SIMULATE,
            )
        case Command.START if state == S.RESUMING:
            lifecycle.resume(row, pen, operator=operator)
            dispatcher.enqueue_commands(row["workflow_id"], row["affinity"])
        case Command.PAUSE if state == S.PAUSING:
            pen.info(_("Pausing workflow (operator '%(operator)s')"), operator=operator)
            lifecycle.pause(row)
        case Command.STOP if state == S.STOPPING:
            pen.info(_("Stop workflow (operator '%(operator)s')"), operator=operator)
            lifecycle.stop(row, pen)
        case Command.RESTART if state == S.RESTARTING:
            row["started_by_id"] = queued.operator_id
            sql.run("UPDATE xtk_workflow SET started_by_id = %(operator)s WHERE workflow_id = %(workflow)s",
                    {"operator": queued.operator_id, "workflow": row["workflow_id"]})  # fmt: skip
            pen.info(_("Stop workflow (operator '%(operator)s')"), operator=operator)
            lifecycle.stop(row, pen)
        case Command.KILL:
            lifecycle.kill(row, pen, operator=operator)
            QueuedCommand.objects.filter(
                workflow_id=row["workflow_id"], status=CommandState.QUEUED, job_id__lt=queued.job_id
            ).update(
                status=CommandState.REFUSED, done_at=clock.now(), message="overtaken by an unconditional stop"
            )
        case Command.WAKEUP:
            _wake(row, pen, operator, parameters.get("activity"))
        case Command.CLEANUP:
            _purge(row)
        case Command.RESTART_TASK:
            _restart_task(row, pen, queued)
        case Command.POST_EVENT:
            _post_event(row, pen, operator, parameters)
        case _:
            pass  # the state has moved on since: the command is without object
    journal.write(row["workflow_id"], row["run_number"], pen.lines, parent_task_id=row["parent_task_id"])
    queued.status, queued.done_at = CommandState.DONE, clock.now()
    queued.save(update_fields=["status", "done_at"])


def _wake(row: sql.Row, pen: Pen, operator: str, activity: str | None) -> None:
    tasks = sql.rows(
        """UPDATE xtk_workflow_task SET due_at = %(now)s, woken = true, queued = true
           WHERE workflow_id = %(workflow)s AND run_number = %(run)s AND status = 0 AND due_at IS NOT NULL
             AND (%(activity)s::text IS NULL OR activity = %(activity)s) RETURNING task_id, affinity""",
        {"now": clock.now(), "workflow": row["workflow_id"], "run": row["run_number"], "activity": activity},
    )
    pen.info(_("Executing pending tasks now (operator '%(operator)s')"), operator=operator)
    dispatcher.enqueue([(task["task_id"], task["affinity"]) for task in tasks])


def _purge(row: sql.Row) -> None:
    """Delete journal, runs, finished tasks and processed events; open ones, definition and variables stay."""
    workflow = {"workflow": row["workflow_id"]}
    sql.run("DELETE FROM xtk_workflow_log WHERE workflow_id = %(workflow)s", workflow)
    sql.run("DELETE FROM xtk_workflow_event WHERE workflow_id = %(workflow)s AND status > 2", workflow)
    sql.run(
        "DELETE FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND status IN (1, 3, 4)", workflow
    )
    sql.run(
        "DELETE FROM xtk_workflow_approval WHERE workflow_id = %(workflow)s AND closed_at IS NOT NULL",
        workflow,
    )
    sql.run("DELETE FROM xtk_workflow_run WHERE workflow_id = %(workflow)s", workflow)
    sql.run("UPDATE xtk_workflow SET version = version + 1 WHERE workflow_id = %(workflow)s", workflow)


def _restart_task(row: sql.Row, pen: Pen, queued: QueuedCommand) -> None:
    """Run the last task of an activity again, fed by the same events; a finished workflow is
    started for it.
    """
    activity = str(queued.parameters.get("activity", ""))
    last = _last_task(row["workflow_id"], row["run_number"], activity)
    gone = worktable.missing(last) if last else ""
    if gone:
        pen.error(_("Activity '%(activity)s' cannot run again: its table %(table)s was dropped"),
                  activity=activity, table=gone)  # fmt: skip
        return
    task = sql.one(
        """UPDATE xtk_workflow_task SET status = 0, due_at = %(now)s, queued = true, completed_at = NULL,
             message = '', memory = '{}', run_number = %(run)s
           WHERE task_id = %(task)s RETURNING task_id, affinity""",
        {"now": clock.now(), "run": row["run_number"], "task": last},
    )
    if task is None:
        pen.error(_("Activity '%(activity)s' has no finished task to run again"), activity=activity)
        return
    sql.run(
        """UPDATE xtk_workflow_event SET status = 1, processed_at = NULL WHERE task_id = %(task)s""",
        {"task": last},
    )
    pen.info(
        _("Restarting from activity '%(activity)s' (operator '%(operator)s')"),
        activity=activity,
        operator=queued.operator_name,
    )
    sql.run(
        """UPDATE xtk_workflow SET state = 11, failed = false, paused_at = NULL, finished_at = NULL,
             stopped_by_hand = false, version = version + 1 WHERE workflow_id = %(workflow)s""",
        {"workflow": row["workflow_id"]},
    )
    dispatcher.enqueue([(task["task_id"], task["affinity"])])


def _last_task(workflow: int, run: int, activity: str) -> int | None:
    """Return the last task of an activity that is over, or stands in error, in this run."""
    row = sql.one(
        """SELECT max(task_id) AS last FROM xtk_workflow_task WHERE workflow_id = %(workflow)s
             AND run_number = %(run)s AND activity = %(activity)s AND status IN (1, 3, 4, 5)""",
        {"workflow": workflow, "run": run, "activity": activity},
    )
    return row["last"] if row else None


def _post_event(row: sql.Row, pen: Pen, operator: str, parameters: Mapping[str, Any]) -> None:
    """Fire a transition of an activity from outside (engine.md §7.2)."""
    name = str(parameters.get("activity", ""))
    now = clock.now()
    if row["state"] != S.STARTED:
        pen.error(
            _("An event for activity '%(activity)s' was lost: the workflow is not started"), activity=name
        )
        return
    step = lifecycle.step_of(row, pen, now)
    activity = step.definition.by_name.get(name)
    if activity is None:
        pen.error(_("An event was lost: there is no activity '%(activity)s'"), activity=name)
        return
    wanted = str(parameters.get("transition") or "")
    way = activity.transition(wanted) if wanted else next(
        (w for w in activity.transitions if w.enabled and w.kind not in {"timeout", "error"}), None
    )  # fmt: skip
    task = sql.one(
        """SELECT task_id FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND run_number = %(run)s
           AND activity = %(activity)s AND status IN (0, 2) AND (%(task)s::bigint IS NULL OR task_id =
           %(task)s)
           ORDER BY task_id LIMIT 1""",
        {
            "workflow": row["workflow_id"],
            "run": row["run_number"],
            "activity": name,
            "task": parameters.get("task"),
        },
    )
    if (
        way is None
        or activity.execution != "normal"
        or (activity.type in _NEED_TASK and task is None and "task" not in parameters)
    ):
        pen.warning(_("Activity '%(activity)s' does not take this event"), activity=name)
        return
    pen.info(
        _("Posting an event on activity '%(activity)s' (operator '%(operator)s')"),
        activity=name,
        operator=operator,
    )
    variables = _inbound_variables(task["task_id"]) if task else {}
    fired = Fired(way.name, dict(parameters.get("variables") or {}))
    step.fire(activity, task["task_id"] if task else None, fired, variables)
    if parameters.get("complete"):
        sql.run(
            """WITH done AS (UPDATE xtk_workflow_task SET status = 1, completed_at = %(now)s, due_at = NULL,
                 queued = false WHERE workflow_id = %(workflow)s AND run_number = %(run)s
                 AND activity = %(activity)s AND status = 0
                 AND (%(task)s::bigint IS NULL OR task_id = %(task)s) RETURNING task_id)
               UPDATE xtk_workflow_event SET status = 3, processed_at = %(now)s
               WHERE task_id IN (SELECT task_id FROM done) AND status = 1""",
            {
                "now": now,
                "workflow": row["workflow_id"],
                "run": row["run_number"],
                "activity": name,
                "task": parameters.get("task"),
            },
        )
    step.flush()
    lifecycle.after_task(row["workflow_id"], row["run_number"], row["state"], step, open_left=False)
    sql.run("UPDATE xtk_workflow SET version = version + 1 WHERE workflow_id = %(workflow)s",
            {"workflow": row["workflow_id"]})  # fmt: skip


def _inbound_variables(task: int) -> dict[str, Any]:
    events = sql.rows(
        "SELECT variables FROM xtk_workflow_event WHERE task_id = %(task)s ORDER BY event_id", {"task": task}
    )
    return {name: value for event in events for name, value in event["variables"].items()}


def _check(workflow: Workflow, command: Command, state: State, parameters: Mapping[str, Any]) -> None:
    if workflow.is_model and command is not Command.CLEANUP:
        raise Conflict(
            gettext("%(internal_name)s is a template: make a workflow from it first.")
            % {"internal_name": workflow.internal_name}
        )
    unknown = set(parameters) - _PARAMETERS.get(command, set())
    if unknown:
        raise Invalid(
            gettext("%(command)s takes no %(names)s.")
            % {"command": command.value, "names": ", ".join(sorted(unknown))}
        )
    if command in (Command.START, Command.SIMULATE) and state != S.PAUSED:
        Definition.from_json(workflow.definition).require_valid()


def _check_inbound(row: sql.Row, activity: str) -> None:
    """See that what an activity was given is still there; Conflict says from where it can be made again."""
    last = _last_task(row["workflow_id"], row["run_number"], activity)
    gone = worktable.missing(last) if last else ""
    if gone:
        raise Conflict(
            gettext(
                "%(activity)s cannot run again: the table %(table)s that it was given was dropped when"
                " nothing needed it any more. Restart from an activity before it, or let the workflow keep"
                " the result of interim populations and start it again."
            )
            % {"activity": activity, "table": gone}
        )


_PARAMETERS = {
    Command.START: {"variables"},
    Command.SIMULATE: {"variables"},
    Command.WAKEUP: {"activity"},
    Command.RESTART_TASK: {"activity"},
    Command.POST_EVENT: {"activity", "transition", "variables", "complete"},
}
_STATES = (
    _("editing"), _("starting"), _("started"), _("pausing"), _("paused"), _("resuming"), _("stopping"),
    _("restarting"), _("finished"),
)  # fmt: skip
"""Labels of `State`, here for the catalogue."""
_TO = {
    Command.START: _("start"),
    Command.SIMULATE: _("start"),
    Command.PAUSE: _("pause"),
    Command.STOP: _("stop"),
    Command.KILL: _("stop"),
    Command.RESTART: _("restart"),
    Command.WAKEUP: _("execute"),
    Command.CLEANUP: _("change"),
    Command.RESTART_TASK: _("restart"),
    Command.POST_EVENT: _("operate"),
}
_EFFECT = {
    Command.START: _("It starts at the beginning, or goes on: %(standing)s task(s) run again."),
    Command.SIMULATE: _("It runs without changing data, files or anything outside."),
    Command.PAUSE: _(
        "%(running)s running task(s) are completed, %(waiting)s waiting one(s) stay; nothing new starts."
    ),
    Command.STOP: _("%(running)s running task(s) are cancelled and %(waiting)s waiting one(s) are dropped."),
    Command.KILL: _("%(running)s running and %(waiting)s waiting task(s) are given up without cleaning."),
    Command.RESTART: _(
        "%(running)s running and %(waiting)s waiting task(s) are dropped, then it starts again."
    ),
    Command.WAKEUP: _("%(waiting)s waiting task(s) become due now."),
    Command.CLEANUP: _("%(lines)s journal lines and %(done)s finished tasks are deleted."),
    Command.RESTART_TASK: _("The activity runs again with what it was given."),
    Command.POST_EVENT: _("The transition fires once."),
}
