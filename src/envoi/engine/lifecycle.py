"""The life of a workflow: begin, pause, resume, end; what the end of a task means for it (engine.md §1.3,
§3, §5.6).

Every function here works in the caller's transaction and under the lock of the workflow's row.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db import transaction
from django.utils.translation import gettext_noop as _

from envoi.engine import definitions, dispatcher, journal, notify, scripts, sql, subworkflow, worktable
from envoi.engine.activities.base import Fired, Misconfigured
from envoi.engine.definition import ABORT, IGNORE, INHERIT, SUSPEND, Activity
from envoi.engine.graph import Step
from envoi.engine.journal import Pen
from envoi.engine.models import ErrorPolicy, State, TaskState
from envoi.engine.scripting import ScriptFailed
from envoi.kernel import clock
from envoi.kernel.errors import Invalid, PlatformError, Retry

logger = logging.getLogger(__name__)

ENDING = frozenset({State.STOPPING, State.STOPPING2, State.RESTARTING, State.RESTARTING2})
"""States in which whatever still runs is to be given up."""
_POLICY = {ErrorPolicy.SUSPEND: SUSPEND, ErrorPolicy.IGNORE: IGNORE, ErrorPolicy.ABORT: ABORT}


class Stopped(Exception):  # noqa: N818  the operator's wish, not a fault
    """The workflow is being stopped: what the activity did is not wanted any more."""


def lock(workflow_id: int) -> sql.Row | None:
    """Lock the workflow's row and return it; None when it is gone."""
    return sql.one(
        """SELECT workflow_id, internal_name, label, state, failed, run_number, definition_number, variables,
        affinity,
             simulation, on_error, consecutive_errors, keep_results, started_by_id, parent_task_id, script,
             timezone,
             supervisor_operator_id, supervisor_group_id, scenario
           FROM xtk_workflow WHERE workflow_id = %(workflow)s FOR NO KEY UPDATE""",
        {"workflow": workflow_id},
    )


def step_of(row: sql.Row, pen: Pen, now: datetime) -> Step:
    """Return a walk through the present definition of a locked workflow."""
    return Step(
        row["workflow_id"],
        row["run_number"],
        definitions.of(row["workflow_id"], row["definition_number"]),
        row["affinity"],
        now,
        pen,
        simulation=row["simulation"],
    )


def begin(
    row: sql.Row,
    pen: Pen,
    *,
    operator_id: int | None,
    operator: str,
    variables: Mapping[str, Any] | None,
    simulation: bool = False,
) -> None:
    """Start at the beginning. `variables` None keeps the instance variables (restart), else they replace
    them.
    """
    now = clock.now()
    workflow = row["workflow_id"]
    abort_open(workflow, row["run_number"], now, None)
    worktable.drop_all(workflow)
    kept: Mapping[str, Any] = row["variables"] if variables is None else variables
    fresh = sql.one(
        """UPDATE xtk_workflow SET state = 11, failed = false, run_number = run_number + 1, start_state = 0,
             started_at = %(now)s, started_by_id = %(operator)s, finished_at = NULL, paused_at = NULL,
             stopped_by_hand = false, simulation = %(simulation)s, variables = %(variables)s,
             version = version + 1
           WHERE workflow_id = %(workflow)s RETURNING run_number""",
        {
            "now": now,
            "operator": operator_id,
            "simulation": simulation,
            "variables": sql.json(dict(kept)),
            "workflow": workflow,
        },
    )
    assert fresh is not None  # noqa: S101  the row is locked
    row.update(run_number=fresh["run_number"], state=int(State.STARTED), failed=False, simulation=simulation,
               started_by_id=operator_id, variables=dict(kept))  # fmt: skip
    if simulation:
        pen.info(_("Starting workflow in simulation mode (operator '%(operator)s')"), operator=operator)
    else:
        pen.info(_("Starting workflow (operator '%(operator)s')"), operator=operator)
    pen.info(_("Workflow '%(workflow)s' is being run"), workflow=row["internal_name"])
    if row["script"] and not _on_start(row, pen):
        return
    step = step_of(row, pen, now)
    step.start()
    step.flush()
    after_task(workflow, row["run_number"], State.STARTED, step, open_left=False)


def _on_start(row: sql.Row, pen: Pen) -> bool:
    """Run the workflow's own script; when it fails the workflow ends before anything was activated."""
    try:
        variables = scripts.on_start(
            row["script"],
            name=row["internal_name"],
            workflow_id=row["workflow_id"],
            label=row["label"],
            instance_variables=row["variables"],
        )
    except PlatformError as error:
        pen.error("%(error)s", error=str(error))
        finish(row, pen, failed=True)
        notify.failed(
            row, Activity("start", "onStart"), f"start-{row['workflow_id']}", row["run_number"], str(error)
        )
        return False
    sql.run(
        "UPDATE xtk_workflow SET variables = %(variables)s WHERE workflow_id = %(workflow)s",
        {"variables": sql.json(variables), "workflow": row["workflow_id"]},
    )
    row["variables"] = variables
    return True


def resume(row: sql.Row, pen: Pen, *, operator: str) -> None:
    """Go on after a pause: tasks in error and held ones run, pending ones are looked at again."""
    now = clock.now()
    workflow, run = row["workflow_id"], row["run_number"]
    pen.info(_("Resuming workflow (operator '%(operator)s')"), operator=operator)
    _set_state(workflow, State.STARTED, failed=False)
    sql.run(
        "UPDATE xtk_workflow SET paused_at = NULL WHERE workflow_id = %(workflow)s", {"workflow": workflow}
    )
    step = step_of(row, pen, now)
    tasks = sql.rows(
        """UPDATE xtk_workflow_task SET forced = forced OR status = 6, status = 0, due_at = CASE
             WHEN status IN (5, 6) OR due_at < %(now)s THEN %(now)s ELSE due_at END, queued = true
           WHERE workflow_id = %(workflow)s AND run_number = %(run)s
             AND (status IN (5, 6) OR (status = 0 AND due_at <= %(now)s)) RETURNING task_id, affinity""",
        {"workflow": workflow, "run": run, "now": now},
    )
    step.due += [(task["task_id"], task["affinity"]) for task in tasks]
    waiting = sql.rows(
        """SELECT event_id, source_task_id AS source_task, source, transition, target, variables
           FROM xtk_workflow_event
           WHERE workflow_id = %(workflow)s AND run_number = %(run)s AND status = 0 AND task_id IS NULL
           ORDER BY event_id""",
        {"workflow": workflow, "run": run},
    )
    for event in waiting:
        _reroute(step, event)
    step.flush()
    dispatcher.schedule()
    after_task(workflow, run, State.STARTED, step, open_left=bool(tasks))


def pause(row: sql.Row, *, failed: bool = False) -> None:
    """Pause now, or as soon as what runs is through."""
    children = sql.rows(
        """SELECT t.task_id FROM xtk_workflow c JOIN xtk_workflow_task t ON t.task_id = c.parent_task_id
           WHERE t.workflow_id = %(workflow)s AND c.state = 11""",
        {"workflow": row["workflow_id"]},
    )
    if children:
        ids = [child["task_id"] for child in children]
        subworkflow.tell_children(ids, "Pause", State.PAUSING, instead_of=[State.STARTED])
    state = State.PAUSING if _has_running(row["workflow_id"], row["run_number"]) else State.PAUSED
    _set_state(row["workflow_id"], state, failed=failed or row["failed"])
    if state == State.PAUSED:
        _mark_paused(row["workflow_id"])


def stop(row: sql.Row, pen: Pen) -> None:
    """Abort what waits and cancel what runs; the end comes when nothing runs any more."""
    now = clock.now()
    workflow, run = row["workflow_id"], row["run_number"]
    abort_open(workflow, run, now, pen)
    running = sql.rows(
        """UPDATE xtk_workflow_task SET cancel_requested = true
           WHERE workflow_id = %(workflow)s AND run_number = %(run)s AND status = 2 RETURNING backend_pid""",
        {"workflow": workflow, "run": run},
    )
    if not running:
        end(row, pen)
        return
    restarts = row["state"] in (State.RESTARTING, State.RESTARTING2)
    _set_state(workflow, State.RESTARTING2 if restarts else State.STOPPING2, failed=False)
    dispatcher.recall()
    for task in running:
        # Under our lock none of these tasks can settle, so the server process is still at that task.
        if task["backend_pid"]:
            dispatcher.cancel(task["backend_pid"])


def end(row: sql.Row, pen: Pen, *, failed: bool = False) -> None:
    """End a workflow that was stopped or aborted: finished, or begun anew when a restart was asked."""
    if row["state"] in (State.RESTARTING, State.RESTARTING2):
        operator = sql.one(
            "SELECT operator_id, name FROM xtk_operator WHERE operator_id = %(id)s",
            {"id": row["started_by_id"]},
        )
        name = operator["name"] if operator else "internal"
        pen.info(_("Workflow restarted (operator '%(operator)s')"), operator=name)
        begin(row, pen, operator_id=row["started_by_id"], operator=name, variables=None)
        return
    finish(row, pen, failed=failed, by_hand=not failed)


def finish(row: sql.Row, pen: Pen, *, failed: bool = False, by_hand: bool = False) -> None:
    """Set the workflow to Finished."""
    now = clock.now()
    sql.run(
        """UPDATE xtk_workflow SET state = 20, failed = %(failed)s, finished_at = %(now)s, stopped_by_hand =
        %(hand)s,
             paused_at = NULL, version = version + 1 WHERE workflow_id = %(workflow)s""",
        {"now": now, "failed": failed, "hand": by_hand, "workflow": row["workflow_id"]},
    )
    row["state"] = int(State.FINISHED)
    rest(row["workflow_id"], failed=failed)
    if row["parent_task_id"] is not None:
        subworkflow.tell_parent(row["parent_task_id"], subworkflow.ENDED)
    else:
        pen.info(_("Workflow finished"))
    # The tables of a sub-workflow go with its copy, when the parent has taken the one that it goes on with.
    if not row["keep_results"] and row["parent_task_id"] is None:
        worktable.drop_all(row["workflow_id"])


def kill(row: sql.Row, pen: Pen, *, operator: str) -> None:
    """Set Finished at once, without cleaning; whoever still works on it is fenced off."""
    pen.info(_("Unconditional stop of the workflow (operator '%(operator)s')"), operator=operator)
    policy = notify.kill_policy()
    for task in sql.rows(
        """SELECT backend_pid FROM xtk_workflow_task
           WHERE workflow_id = %(workflow)s AND status = 2 FOR UPDATE""",
        {"workflow": row["workflow_id"]},
    ):
        if policy and task["backend_pid"]:
            query = (
                "SELECT pg_terminate_backend(%(pid)s)" if policy == 2 else "SELECT pg_cancel_backend(%(pid)s)"
            )
            sql.run(query, {"pid": task["backend_pid"]})
    abort_open(row["workflow_id"], row["run_number"], clock.now(), pen, running=True)
    rest(row["workflow_id"], failed=True)
    sql.run(
        """UPDATE xtk_workflow SET state = 20, failed = false, finished_at = %(now)s, stopped_by_hand = true,
             paused_at = NULL, version = version + 1 WHERE workflow_id = %(workflow)s""",
        {"now": clock.now(), "workflow": row["workflow_id"]},
    )


def abort_open(
    workflow: int, run: int, now: datetime, pen: Pen | None, *, running: bool = False, but: int = 0
) -> list[sql.Row]:
    """Abort the open tasks of a run, the running ones only when asked; a line for each goes to `pen`."""
    aborted = sql.rows(
        """UPDATE xtk_workflow_task SET status = 3, completed_at = %(now)s, queued = false, due_at = NULL,
             lease_token = NULL
           WHERE workflow_id = %(workflow)s AND run_number <= %(run)s AND task_id <> %(but)s
             AND (status IN (0, 5, 6) OR (%(running)s AND status = 2)) RETURNING task_id, activity""",
        {"now": now, "workflow": workflow, "run": run, "running": running, "but": but},
    )
    sql.run(
        """UPDATE xtk_workflow_event SET status = 4, processed_at = %(now)s
           WHERE workflow_id = %(workflow)s AND run_number <= %(run)s AND status < 3
             AND (task_id IS NULL OR task_id = ANY(%(tasks)s))""",
        {"now": now, "workflow": workflow, "run": run, "tasks": [task["task_id"] for task in aborted]},
    )
    sql.run(
        """UPDATE xtk_workflow_approval SET closed_at = %(now)s
           WHERE workflow_id = %(workflow)s AND closed_at IS NULL AND task_id = ANY(%(tasks)s)""",
        {"now": now, "workflow": workflow, "tasks": [task["task_id"] for task in aborted]},
    )
    if running:
        dispatcher.recall()
    if aborted:
        subworkflow.tell_children(
            [task["task_id"] for task in aborted],
            "Stop",
            State.STOPPING,
            instead_of=[State.STARTED, State.PAUSED, State.PAUSING, State.RESUMING],
        )
    for task in sorted(aborted, key=lambda task: task["task_id"]):
        if pen is None:
            break
        pen.info(
            _("Task %(task)s (activity '%(activity)s') aborted"),
            task=task["task_id"],
            activity=task["activity"],
        )
    return aborted


def abort_others(workflow: int, run: int, task_id: int, now: datetime, pen: Pen) -> None:
    """End every task but one: End with "stop all tasks in progress" (engine.md §6.2)."""
    for task in sql.rows(
        """SELECT backend_pid FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND run_number = %(run)s
           AND status = 2 AND task_id <> %(task)s AND backend_pid IS NOT NULL""",
        {"workflow": workflow, "run": run, "task": task_id},
    ):
        dispatcher.cancel(task["backend_pid"])
    abort_open(workflow, run, now, pen, running=True, but=task_id)


def after_task(
    workflow: int, run: int, state: int, step: Step, *, open_left: bool, busy: bool = False
) -> None:
    """Look at the workflow as a whole when a task has settled: it pauses, finishes, rests, or goes on.

    open_left: the task itself stays open. busy: it is due again at once.
    """
    at = State(state)
    if step.pauses and at is State.STARTED:
        row = lock(workflow)
        if row is not None:
            pause(row)
        return
    if at is State.PAUSING:
        if not _has_running(workflow, run):
            _set_state(workflow, State.PAUSED)
            _mark_paused(workflow)
        return
    if at is not State.STARTED or step.queued or busy:
        return
    open_tasks = sql.one(
        """SELECT count(*) AS all, count(*) FILTER (WHERE status = 2 OR (status = 0 AND queued)) AS busy,
             EXISTS (SELECT 1 FROM xtk_work_table WHERE workflow_id = %(workflow)s) AS tables
           FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND run_number = %(run)s
             AND status IN (0, 2, 5, 6)""",
        {"workflow": workflow, "run": run},
    )
    if open_tasks is None or open_tasks["busy"]:
        return
    if open_tasks["all"] or open_left:
        if open_tasks["tables"]:
            worktable.drop_unneeded(workflow)
        rest(workflow)
        return
    row = lock(workflow)
    if row is not None:
        finish(row, step.pen)


def rest(workflow: int, *, failed: bool = False) -> None:
    """Note that the workflow has nothing to do now; what it did since it woke up was one run."""
    sql.run(
        """WITH old AS (SELECT workflow_id, busy_since, worked FROM xtk_workflow
               WHERE workflow_id = %(workflow)s AND busy_since IS NOT NULL),
             noted AS (INSERT INTO xtk_workflow_run (workflow_id, started_at, ended_at, failed)
               SELECT workflow_id, busy_since, %(now)s, %(failed)s FROM old WHERE worked)
           UPDATE xtk_workflow SET busy_since = NULL, worked = false
           WHERE workflow_id = (SELECT workflow_id FROM old)""",
        {"workflow": workflow, "now": clock.now(), "failed": failed},
    )


def fail(claim: sql.Row, token: uuid.UUID, error: Exception, pen: Pen, *, cancelled: bool) -> None:
    """Write down that an activity failed, and do what the workflow's or the activity's error policy says
    (§5.6).
    """
    with transaction.atomic():
        row = lock(claim["workflow_id"])
        now = clock.now()
        if row is None or not _mine(claim["task_id"], token):
            return
        ending = row["state"] in ENDING
        if ending or isinstance(error, Stopped):
            _close_task(claim["task_id"], TaskState.ABORTED, now, "")
            pen.info(
                _("Task %(task)s (activity '%(activity)s') aborted"),
                task=claim["task_id"],
                activity=claim["activity"],
            )
            if not _has_running(row["workflow_id"], row["run_number"]):
                end(row, pen)
        elif was_cancelled(error) and not cancelled:
            # A cancel that was meant for the work before ours on this connection: do it again.
            give_back(claim["task_id"], token, Pen())
        else:
            _apply_policy(row, claim, error, pen, now)
        journal.write(row["workflow_id"], row["run_number"], pen.lines, parent_task_id=row["parent_task_id"])


def _apply_policy(row: sql.Row, claim: sql.Row, error: Exception, pen: Pen, now: datetime) -> None:
    step = step_of(row, pen, now)
    activity = step.definition.by_name.get(claim["activity"]) or Activity("unknown", claim["activity"])
    text = describe(error)
    # An error in a script is one of its work, though a wrong value elsewhere is one of configuration (§5.6).
    wrong = isinstance(error, (Misconfigured, Invalid)) and not isinstance(error, ScriptFailed)
    if activity.process_errors and not wrong:
        pen.warning("%(error)s", error=text)
        _close_task(claim["task_id"], TaskState.COMPLETED, now, text)
        events = claim["events"] or ()
        variables = {name: value for event in events for name, value in event["variables"].items()}
        step.fire(activity, claim["task_id"], Fired("error", {"errorMessage": text}), variables)
        _go_on(row, step, now)
        return
    pen.error("%(error)s", error=text)
    logger.info("workflow %s, activity %s failed", row["internal_name"], activity.name, exc_info=error)
    policy = _POLICY[ErrorPolicy(row["on_error"])] if activity.on_error == INHERIT else activity.on_error
    if policy == IGNORE:
        _close_task(claim["task_id"], TaskState.FAILED, now, text)
        if not _too_many(row, activity.name):
            _go_on(row, step, now)
            return
        pen.error(
            _("Activity '%(activity)s' failed %(count)s times in a row"),
            activity=activity.name,
            count=row["consecutive_errors"],
        )
        pause(row, failed=True)
    elif policy == ABORT:
        _close_task(claim["task_id"], TaskState.FAILED, now, text)
        abort_open(row["workflow_id"], row["run_number"], now, pen, running=True)
        finish(row, pen, failed=True)
    else:
        _close_task(claim["task_id"], TaskState.ERROR, None, text)
        pause(row, failed=True)
    if row["parent_task_id"] is not None:
        # The parent fails with it, and it is the parent's supervisors who are told.
        subworkflow.tell_parent(row["parent_task_id"], subworkflow.FAILED, text)
        return
    notify.failed(row, activity, claim["task_id"], claim["attempts"], text)


def _go_on(row: sql.Row, step: Step, now: datetime) -> None:
    if row["state"] == State.STARTED:
        step.flush()
    after_task(row["workflow_id"], row["run_number"], row["state"], step, open_left=False)
    sql.run("UPDATE xtk_workflow SET version = version + 1 WHERE workflow_id = %(workflow)s",
            {"workflow": row["workflow_id"]})  # fmt: skip


def withdraw(row: sql.Row, task_id: int, pen: Pen) -> bool:
    """Abort one task that waits; its branch ends, and the workflow with it when nothing else is left.

    Returns False when the task does not wait: it is over, or at work at this moment.
    """
    now = clock.now()
    task = sql.one(
        """UPDATE xtk_workflow_task SET status = 3, completed_at = %(now)s, due_at = NULL, queued = false
           WHERE task_id = %(task)s AND status = 0 RETURNING activity""",
        {"now": now, "task": task_id},
    )
    if task is None:
        return False
    sql.run(
        """UPDATE xtk_workflow_event SET status = 4, processed_at = %(now)s
           WHERE task_id = %(task)s AND status = 1""",
        {"now": now, "task": task_id},
    )
    pen.info(_("Task %(task)s (activity '%(activity)s') aborted"), task=task_id, activity=task["activity"])
    _go_on(row, step_of(row, pen, now), now)
    return True


def child_ended(row: sql.Row, task_id: int, pen: Pen, *, error: str | None) -> None:
    """Hear from a sub-workflow: its task runs again, or fails as the sub-workflow did."""
    now = clock.now()
    if error is None:
        task = sql.one(
            """UPDATE xtk_workflow_task SET due_at = %(now)s, queued = true
               WHERE task_id = %(task)s AND status = 0 RETURNING affinity""",
            {"now": now, "task": task_id},
        )
        if task is not None and row["state"] == State.STARTED:
            dispatcher.enqueue([(task_id, task["affinity"])])
        return
    task = sql.one(
        """UPDATE xtk_workflow_task SET status = 5, message = %(message)s, due_at = NULL
           WHERE task_id = %(task)s AND status = 0 RETURNING activity, attempts""",
        {"message": error, "task": task_id},
    )
    if task is None:
        return
    activity = step_of(row, pen, now).definition.by_name.get(task["activity"])
    if row["state"] in (State.STARTED, State.PAUSED, State.PAUSING):
        pause(row, failed=True)
    notify.failed(row, activity or Activity("", task["activity"]), task_id, task["attempts"], error)


def take_over(task_id: int, workflow_id: int, worker_id: int, worker: str) -> None:
    """Free a task of a dead worker: it runs again from its stored input, unless the workflow is being
    stopped.
    """
    row = lock(workflow_id)
    now = clock.now()
    task = sql.one(
        """UPDATE xtk_workflow_task SET status = 0, queued = true, lease_token = NULL, worker_id = NULL,
             backend_pid = NULL, due_at = least(due_at, %(now)s)
           WHERE task_id = %(task)s AND status = 2 AND worker_id = %(worker)s
           RETURNING activity, affinity, run_number, queued""",
        {"now": now, "task": task_id, "worker": worker_id},
    )
    if row is None or task is None:
        return
    pen = Pen(task["activity"], task_id)
    pen.warning(
        _("Worker %(worker)s has died; task %(task)s (activity '%(activity)s') is run again"),
        worker=worker,
        task=task_id,
        activity=task["activity"],
    )
    _freed(row, task_id, task, pen, now)


def give_back(task_id: int, token: uuid.UUID, pen: Pen, *, again: Retry | None = None) -> None:
    """Put a task back that its worker cannot go on with: to be run at once, or when `again` asks for it.

    Nothing happens if the lease is no longer that one. In a workflow that is being stopped the task ends.
    """
    with transaction.atomic():
        found = sql.one(
            "SELECT workflow_id FROM xtk_workflow_task WHERE task_id = %(task)s", {"task": task_id}
        )
        row = lock(found["workflow_id"]) if found else None
        now = clock.now()
        task = sql.one(
            """UPDATE xtk_workflow_task SET status = 0, queued = %(due)s::timestamptz IS NULL,
                 due_at = coalesce(%(due)s, due_at), lease_token = NULL, worker_id = NULL, backend_pid = NULL
               WHERE task_id = %(task)s AND lease_token = %(token)s AND status = 2
               RETURNING activity, affinity, run_number, queued""",
            {
                "task": task_id,
                "token": token,
                "due": now + timedelta(seconds=again.seconds) if again else None,
            },
        )
        if row is None or task is None:
            return
        if again is not None:
            pen.warning(
                _("Activity '%(activity)s' will be tried again: %(error)s"),
                activity=task["activity"],
                error=str(again),
            )
        _freed(row, task_id, task, pen, now)


def _freed(row: sql.Row, task_id: int, task: sql.Row, pen: Pen, now: datetime) -> None:
    """Go on after a task came back without a result: it ends, rests or is queued, as the state says."""
    workflow, run, state = row["workflow_id"], row["run_number"], row["state"]
    if state in ENDING or task["run_number"] != run:
        _close_task(task_id, TaskState.ABORTED, now, "")
        pen.info(
            _("Task %(task)s (activity '%(activity)s') aborted"), task=task_id, activity=task["activity"]
        )
        if state in ENDING and not _has_running(workflow, run):
            end(row, pen)
    elif state == State.PAUSING and not _has_running(workflow, run):
        _set_state(workflow, State.PAUSED)
        _mark_paused(workflow)
    elif not task["queued"]:
        dispatcher.schedule()
    elif state == State.STARTED:
        dispatcher.enqueue([(task_id, task["affinity"])])
    sql.run("UPDATE xtk_workflow SET version = version + 1 WHERE workflow_id = %(workflow)s",
            {"workflow": workflow})  # fmt: skip
    journal.write(workflow, run, pen.lines, parent_task_id=row["parent_task_id"])


def describe(error: BaseException) -> str:
    """Return an error in one line, as the journal shows it."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{error.diag.message_primary} ({error.diag.sqlstate})"
    text = str(error).strip() or type(error).__name__
    return text.replace("\x00", "")[:4000]


def _too_many(row: sql.Row, activity: str) -> bool:
    """Return whether this failure fills the measure of consecutive errors of an activity; a success resets
    it.
    """
    limit = row["consecutive_errors"]
    if not limit:
        return False
    found = sql.one(
        """SELECT count(*) AS count FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND run_number =
        %(run)s
           AND activity = %(activity)s AND status = 4 AND task_id > coalesce((SELECT max(task_id)
             FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND run_number = %(run)s
             AND activity = %(activity)s AND status = 1), 0)""",
        {"workflow": row["workflow_id"], "run": row["run_number"], "activity": activity},
    )
    return found is not None and found["count"] % limit == 0


def _reroute(step: Step, event: Mapping[str, Any]) -> None:
    """Bring an event on that stopped at an open transition, if the diagram has a target for it now."""
    source = step.definition.by_name.get(event["source"])
    way = source.transition(event["transition"]) if source else None
    target = step.definition.by_name.get(way.target if way else "")
    if target is None:
        if way is not None and not way.optional:
            step.pen.warning(
                _("Transition '%(transition)s' of activity '%(activity)s' leads nowhere; the branch ends"),
                transition=event["transition"],
                activity=event["source"],
            )
        sql.run("UPDATE xtk_workflow_event SET status = 4, processed_at = %(now)s WHERE event_id = %(event)s",
                {"now": step.now, "event": event["event_id"]})  # fmt: skip
        return
    step.arrive(target, {**event, "target": target.name})


def was_cancelled(error: BaseException | None) -> bool:
    """Return whether a statement was cancelled, and not by its time limit."""
    while error is not None:
        if isinstance(error, psycopg.errors.QueryCanceled):
            return "statement timeout" not in str(error)
        error = error.__cause__
    return False


def _mine(task: int, token: uuid.UUID) -> bool:
    return (
        sql.one(
            """SELECT 1 FROM xtk_workflow_task
           WHERE task_id = %(task)s AND lease_token = %(token)s AND status = 2 FOR UPDATE""",
            {"task": task, "token": token},
        )
        is not None
    )


def _close_task(task: int, status: TaskState, completed: datetime | None, message: str) -> None:
    sql.run(
        """UPDATE xtk_workflow_task SET status = %(status)s, completed_at = %(completed)s, message =
        %(message)s,
             lease_token = NULL, worker_id = NULL, backend_pid = NULL, due_at = NULL, queued = false, woken =
             false
           WHERE task_id = %(task)s""",
        {"status": int(status), "completed": completed, "message": message, "task": task},
    )
    if completed is not None:
        sql.run(
            """UPDATE xtk_workflow_event SET status = %(status)s, processed_at = %(now)s
               WHERE task_id = %(task)s AND status = 1""",
            {"status": 4 if status == TaskState.ABORTED else 3, "now": completed, "task": task},
        )


def _set_state(workflow: int, state: State, *, failed: bool | None = None) -> None:
    sql.run(
        """UPDATE xtk_workflow SET state = %(state)s, failed = coalesce(%(failed)s::boolean, failed),
           version = version + 1 WHERE workflow_id = %(workflow)s""",
        {"state": int(state), "failed": failed, "workflow": workflow},
    )


def _mark_paused(workflow: int) -> None:
    row = sql.one("SELECT failed FROM xtk_workflow WHERE workflow_id = %(workflow)s", {"workflow": workflow})
    rest(workflow, failed=row is not None and row["failed"])
    sql.run(
        "UPDATE xtk_workflow SET paused_at = coalesce(paused_at, %(now)s) WHERE workflow_id = %(workflow)s",
        {"now": clock.now(), "workflow": workflow},
    )


def _has_running(workflow: int, run: int) -> bool:
    return (
        sql.one(
            """SELECT 1 FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND run_number = %(run)s AND
            status = 2
           LIMIT 1""",
            {"workflow": workflow, "run": run},
        )
        is not None
    )
