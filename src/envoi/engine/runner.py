"""Runs one task: claim, work, settle (architecture §2.3, §3.1).

The claim commits first: lease token, worker, server process, start. The activity's transaction then ends
with what it led to, and last of all with the task's own row, `WHERE lease_token = mine`. Whoever lost the
lease changes no row there and rolls everything back.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils.translation import gettext_noop as _

from envoi.engine import definitions, dispatcher, journal, lifecycle, scripts, sql, worktable
from envoi.engine.activities import kind_of
from envoi.engine.activities.base import (
    ActivityType,
    InboundEvent,
    Misconfigured,
    Outcome,
    TaskContext,
)
from envoi.engine.definition import Activity, Definition
from envoi.engine.graph import Step
from envoi.engine.journal import Pen
from envoi.engine.models import State, TaskState
from envoi.kernel import clock
from envoi.kernel.errors import Retry
from envoi.kernel.models import Operator
from envoi.kernel.rights import Actor, actor_with_id, internal

logger = logging.getLogger(__name__)


class Fenced(Exception):  # noqa: N818  not a fault: somebody else has the task now
    """The lease is no longer ours."""


@dataclass
class Cancellation:
    """Lets another thread tell a running activity that its workflow is being stopped."""

    token: uuid.UUID | None = None
    """The lease under which it works; None until the claim is committed."""
    show: Callable[[], None] = lambda: None
    """Writes the lines of its journal so far, on the connection of the thread that calls."""
    requested: bool = False
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def register(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the request, from whatever thread; at once when it was made before."""
        self.callbacks.append(callback)
        if self.requested:
            callback()

    def request(self) -> None:
        """Tell it once; a callback may be called twice when it is registered at this very moment."""
        if not self.requested:
            self.requested = True
            for callback in tuple(self.callbacks):
                callback()


running: dict[int, Cancellation] = {}
"""Tasks that this process is working on, or about to claim."""

_LOADED = """t.task_id, t.activity, t.variables AS task_variables, t.memory, t.woken, t.forced, t.created_at,
    t.attempts, t.affinity AS task_affinity, w.workflow_id, w.internal_name, w.label, w.run_number,
    w.definition_number,
    w.variables, w.timezone, w.simulation, w.show_sql, w.affinity, w.started_by_id, w.parent_task_id,
    coalesce((SELECT l.operator_id FROM xtk_workflow_login l WHERE l.workflow_id = w.workflow_id),
      w.started_by_id) AS runs_as,
    (SELECT jsonb_agg(jsonb_build_object('event_id', e.event_id, 'source', e.source,
      'transition', e.transition, 'variables', e.variables) ORDER BY e.event_id)
      FROM xtk_workflow_event e WHERE e.task_id = t.task_id) AS events"""
_TAKE = """WITH w AS (
    UPDATE xtk_workflow SET version = version + 1, busy_since = coalesce(busy_since, %(now)s)
    WHERE workflow_id = (SELECT workflow_id FROM xtk_workflow_task WHERE task_id = %(task)s AND status = 0)
      AND state = 11
    RETURNING workflow_id, internal_name, label, run_number, definition_number, variables, timezone,
      simulation, show_sql, affinity, started_by_id, parent_task_id)
  UPDATE xtk_workflow_task AS t SET status = 2, queued = false, lease_token = %(token)s,
    worker_id = %(worker)s, backend_pid = pg_backend_pid(), started_at = %(now)s, attempts = attempts + 1,
    cancel_requested = false
  FROM w WHERE t.task_id = %(task)s AND t.status = 0 AND t.run_number = w.run_number AND t.due_at <= %(now)s
  RETURNING """
_MINE = """ FROM xtk_workflow_task t JOIN xtk_workflow w ON w.workflow_id = t.workflow_id
    WHERE t.task_id = %(task)s AND t.lease_token = %(token)s AND t.status = 2"""
_SELECT = "SELECT "
_CLAIM: LiteralString = _TAKE + _LOADED
_GO_ON: LiteralString = _SELECT + _LOADED + _MINE
MOST_COLLISIONS, COLLISION_S = 5, 1.0
"""How often an activity is tried again at once when it ran into a lock of another, and after how long."""
LONGEST_CHAIN_S = 0.25
"""So long a thread follows one chain of activities before others get their turn."""


@dataclass(frozen=True)
class Lease:
    """What a thread holds while it works on a task. `chains`: it may go on with what the task leads to."""

    task_id: int
    token: uuid.UUID
    worker_id: int | None
    until: float
    draining: Callable[[], bool]

    @property
    def chains(self) -> bool:
        """Return whether the thread may claim the next task together with the end of this one."""
        return clock.monotonic() < self.until and not self.draining()


def run_task(
    task_id: int,
    *,
    worker_id: int | None = None,
    chain_s: float = 0.0,
    draining: Callable[[], bool] = lambda: False,
) -> bool:
    """Run one task if it is due and its workflow is started; returns whether it was claimed.

    For `chain_s` seconds the thread then goes on with what the task leads to. Errors of an activity are its
    own
    business (the workflow's error policy); only a lost database escapes.
    """
    lease = Lease(task_id, uuid.uuid4(), worker_id, clock.monotonic() + chain_s, draining)
    # Known before it is claimed: what is claimed and not known was lost, and is given back.
    running[task_id] = Cancellation()
    try:
        claim = sql.one(
            _CLAIM, {"task": task_id, "token": lease.token, "worker": worker_id, "now": clock.now()}
        )
        claimed = claim is not None
        running[task_id].token = lease.token
        while claim is not None:
            following = _work(claim, lease, running[lease.task_id])
            if following is None:
                break
            running.pop(lease.task_id, None)
            lease = following
            running[lease.task_id] = Cancellation(lease.token)
            claim = sql.one(_GO_ON, {"task": lease.task_id, "token": lease.token})
        return claimed
    finally:
        running.pop(lease.task_id, None)


def _work(claim: sql.Row, lease: Lease, cancellation: Cancellation) -> Lease | None:
    pen = Pen(claim["activity"], claim["task_id"])
    token = lease.token
    cancellation.show = lambda: pen.show(
        claim["workflow_id"], claim["run_number"], parent_task_id=claim["parent_task_id"]
    )
    try:
        definition = definitions.of(claim["workflow_id"], claim["definition_number"])
        activity = definition.by_name.get(claim["activity"])
        kind = kind_of(activity.type) if activity else None
        if activity is None or kind is None:
            raise Misconfigured(f"The workflow has no activity {claim['activity']!r} that can run.")
        with transaction.atomic():
            ctx = _context(claim, activity, definition, pen, cancellation)
            outcome = _run(kind, ctx)
            pen.seal()
            return _settle(claim, lease, ctx, outcome, pen)
    except Fenced:
        logger.warning("task %s: the lease was lost, the work is rolled back", claim["task_id"])
    except BaseException as error:
        pen.seal()
        if connection_lost(error):
            connection.close()
            try:
                lifecycle.give_back(claim["task_id"], token, Pen(pen.activity, pen.task_id))
            except (DatabaseError, psycopg.Error) as again:
                # The database is away for longer: the worker's beat gives the task back when it has returned.
                logger.warning("task %s waits for the database: %s", claim["task_id"], again)
        elif isinstance(error, Retry):
            _retry(claim, token, error, pen)
        elif _met_another(error) and claim["attempts"] < MOST_COLLISIONS:
            _retry(claim, token, Retry(lifecycle.describe(error), seconds=COLLISION_S), pen)
        elif isinstance(error, Exception):
            failure = error  # the name `error` ends with this clause
            _surely(lambda: lifecycle.fail(claim, token, failure, pen, cancelled=cancellation.requested), pen)
        else:
            lifecycle.give_back(claim["task_id"], token, Pen(pen.activity, pen.task_id))
            raise
    return None


def _retry(claim: sql.Row, token: uuid.UUID, error: Retry, pen: Pen) -> None:
    _surely(lambda: lifecycle.give_back(claim["task_id"], token, pen, again=error), pen)


def _run(kind: ActivityType, ctx: TaskContext) -> Outcome:
    if ctx.activity.init_script:
        ctx.activity = scripts.prepared(ctx)
    return kind.run(ctx)


def _settle(claim: sql.Row, lease: Lease, ctx: TaskContext, outcome: Outcome, pen: Pen) -> Lease | None:
    """Write what the execution led to, under the lock of the workflow's row.

    Returns the lease of the task that this thread goes on with, if it does.
    """
    before = claim["variables"]
    changed = {k: v for k, v in ctx.instance_variables.items() if before.get(k, _MISSING) != v}
    removed = [k for k in before if k not in ctx.instance_variables]
    now = clock.now()
    row = sql.one(
        """UPDATE xtk_workflow SET version = version + 1, last_processing_at = %(now)s,
             worked = worked OR %(fires)s,
             variables = (variables || %(changed)s::jsonb) - %(removed)s::text[]
           WHERE workflow_id = %(workflow)s AND run_number = %(run)s
           RETURNING state, definition_number, simulation, affinity""",
        {
            "now": now,
            "fires": bool(outcome.fired) or outcome.completes,
            "changed": sql.json(changed),
            "removed": removed,
            "workflow": ctx.workflow_id,
            "run": ctx.run_number,
        },
    )
    if row is None:
        raise Fenced
    definition = definitions.of(ctx.workflow_id, row["definition_number"])
    step = Step(
        ctx.workflow_id, ctx.run_number, definition, row["affinity"], now, pen, simulation=row["simulation"]
    )
    state = row["state"]
    if state in lifecycle.ENDING:
        raise lifecycle.Stopped
    if outcome.stop_all:
        lifecycle.abort_others(ctx.workflow_id, ctx.run_number, ctx.task_id, now, pen)
    for fired in outcome.fired:
        step.fire(ctx.activity, ctx.task_id, fired, ctx.variables)
    if outcome.completes:
        pen.info(
            _("Task %(task)s (activity '%(activity)s') completed"),
            task=ctx.task_id,
            activity=ctx.activity.name,
        )
        sql.run(
            """UPDATE xtk_workflow_event SET status = 3, processed_at = %(now)s
               WHERE task_id = %(task)s AND status = 1""",
            {"now": now, "task": ctx.task_id},
        )
    goes_on = state == State.STARTED and not step.pauses
    following: Lease | None = None
    if goes_on:
        if lease.chains:
            following = _claim_next(step, lease, claim["task_affinity"])
        step.flush()
    due_now = outcome.due is not None and outcome.due <= now
    if due_now and goes_on:
        dispatcher.enqueue([(ctx.task_id, claim["task_affinity"])])
    elif outcome.due is not None:
        dispatcher.schedule()
    mine = sql.run(
        """UPDATE xtk_workflow_task SET status = %(status)s, completed_at = %(completed)s, due_at = %(due)s,
             queued = %(queued)s, variables = %(variables)s, memory = %(memory)s, woken = false, lease_token
             = NULL,
             worker_id = NULL, backend_pid = NULL
           WHERE task_id = %(task)s AND lease_token = %(token)s AND status = 2""",
        {
            "status": int(TaskState.COMPLETED if outcome.completes else TaskState.PENDING),
            "completed": now if outcome.completes else None,
            "due": outcome.due,
            "queued": due_now,
            "variables": sql.json(ctx.task_variables),
            "memory": sql.json(ctx.memory),
            "task": ctx.task_id,
            "token": lease.token,
        },
    )
    if mine != 1:
        raise Fenced
    if outcome.completes and goes_on and any("tableName" in event.variables for event in ctx.events):
        worktable.drop_unneeded(ctx.workflow_id)
    lifecycle.after_task(
        ctx.workflow_id, ctx.run_number, state, step, open_left=not outcome.completes, busy=due_now
    )
    journal.write(ctx.workflow_id, ctx.run_number, pen.lines, parent_task_id=claim["parent_task_id"])
    return following


def _claim_next(step: Step, lease: Lease, affinity: str) -> Lease | None:
    """Claim the first task that became due, in the transaction that made it due; no job is needed
    for it then.
    """
    task_id = step.take(affinity)
    if task_id is None:
        return None
    following = replace(lease, task_id=task_id, token=uuid.uuid4())
    sql.run(
        """UPDATE xtk_workflow_task SET status = 2, queued = false, lease_token = %(token)s,
             worker_id = %(worker)s, backend_pid = pg_backend_pid(), started_at = %(now)s, attempts =
             attempts + 1
           WHERE task_id = %(task)s""",
        {"token": following.token, "worker": lease.worker_id, "now": clock.now(), "task": task_id},
    )
    return following


_MISSING = object()


def _actor(runs_as: int | None) -> Actor:
    """Return in whose name a workflow runs (engine.md §8.1): the execution account's, else that of who
    started it, else the instance's own.
    """
    return internal() if runs_as is None else actor_with_id(runs_as)


def _context(
    claim: sql.Row, activity: Activity, definition: Definition, pen: Pen, cancellation: Cancellation
) -> TaskContext:
    events = tuple(InboundEvent(**event) for event in claim["events"] or ())
    variables: dict[str, Any] = {}
    for event in events:
        variables.update(event.variables)
    return TaskContext(
        workflow_id=claim["workflow_id"],
        workflow_name=claim["internal_name"],
        workflow_label=claim["label"],
        task_id=claim["task_id"],
        run_number=claim["run_number"],
        activity=activity,
        definition=definition,
        events=events,
        variables=variables,
        instance_variables=dict(claim["variables"]),
        task_variables=claim["task_variables"],
        memory=claim["memory"],
        now=clock.now(),
        zone=zone_of(activity, claim["timezone"], claim["runs_as"]),
        created_at=claim["created_at"],
        woken=claim["woken"],
        simulation=claim["simulation"],
        journal=pen,
        load_actor=lambda: _actor(claim["runs_as"]),
        cancelled=lambda: cancellation.requested,
        on_cancel=cancellation.register,
        attempts=claim["attempts"],
        shows_sql=claim["show_sql"],
    )


def zone_of(activity: Activity, workflow_zone: str, runs_as: int | None) -> ZoneInfo:
    """Return the zone of an activity's dates (engine.md §5.5). Raises Misconfigured for an unknown name."""
    name = activity.timezone or workflow_zone
    if name in {"_inherit_", "server", ""}:
        name = settings.CONFIG.instance.timezone
    elif name == "database":
        name = "UTC"
    elif name == "operator":
        operator = Operator.objects.filter(operator_id=runs_as).first()
        name = (operator.timezone if operator else "") or settings.CONFIG.instance.timezone
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Misconfigured(f"There is no time zone {name!r}.") from error


def connection_lost(error: BaseException | None) -> bool:
    """Return whether an error means that the database connection is gone, rather than that a statement
    failed.
    """
    while error is not None:
        if isinstance(error, (psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown)):
            return True
        if isinstance(
            error, (psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError)
        ):
            raw = connection.connection
            if raw is None or raw.closed or raw.broken or getattr(error, "sqlstate", None) is None:
                return raw is None or raw.closed or raw.broken
        error = error.__cause__ or error.__context__
    return False


def _met_another(error: BaseException | None) -> bool:
    """Return whether the transaction was given up because of another one: nothing is wrong with
    the activity.
    """
    while error is not None:
        if isinstance(error, (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)):
            return True
        error = error.__cause__
    return False


def _surely(write: Callable[[], None], pen: Pen) -> None:
    """Write how an execution ended, again when a cancel meant for the activity met that instead.

    pen: what was added by the attempt that failed is taken away.
    """
    lines = len(pen.lines)
    for left in reversed(range(MOST_COLLISIONS)):
        try:
            return write()
        except (DatabaseError, psycopg.Error) as error:
            if not left or not lifecycle.was_cancelled(error):
                raise
            del pen.lines[lines:]
