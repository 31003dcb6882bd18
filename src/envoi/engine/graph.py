"""Steps through the diagram: what an event makes of its target, what a start activates (engine.md §3, §5,
§6.5).

Everything here happens under the lock of the workflow's row, so two branches never see each other half done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_noop as _

from envoi.engine import dispatcher, sql
from envoi.engine.activities import kind_of
from envoi.engine.activities.base import FILE_HOST, Fired
from envoi.engine.definition import HOLD, PRIORITY, SKIP, Activity, Definition
from envoi.engine.journal import Pen
from envoi.engine.models import EventState, TaskState


@dataclass
class Step:
    """One walk under the lock. `created` counts new open tasks, `queued` those of them that are due;
    `pauses`: the
    workflow must pause now.
    """

    workflow_id: int
    run_number: int
    definition: Definition
    affinity: str
    now: datetime
    pen: Pen
    simulation: bool = False
    pauses: bool = False
    created: int = 0
    queued: int = 0
    due: list[tuple[int, str]] = field(default_factory=list)

    def start(self) -> None:
        """Activate the initial activities."""
        for activity in self.definition.initial():
            self.activate(activity, None)

    def activate(self, activity: Activity, event: Mapping[str, Any] | None) -> None:
        """Make a task of `activity`, fed by an event of these columns, unless it is set not to be
        activated.
        """
        if activity.execution == SKIP or (self.simulation and not _simulated(activity)):
            self.pen.info(
                _("Activity '%(activity)s' is set not to run; its branch ends here"), activity=activity.name
            )
            self._drop(event)
            return
        if event is not None and activity.behavior == PRIORITY and self._busy(activity.name):
            self.pen.warning(
                _("Activity '%(activity)s' is still in progress and has priority; this event is dropped"),
                activity=activity.name,
            )
            self._drop(event)
            return
        held = activity.execution == HOLD
        task = self._insert(activity, event, TaskState.HELD if held else TaskState.PENDING, due=not held)
        self.created += 1
        if held:
            self.pauses = True
            self.pen.info(
                _("Activity '%(activity)s' is set not to be executed; paused"),
                activity=activity.name,
                task=task,
            )
        else:
            self.due.append((task, self._affinity(activity, event)))

    def fire(
        self, source: Activity, source_task: int | None, fired: Fired, variables: Mapping[str, Any]
    ) -> bool:
        """Fire a transition; returns whether it led anywhere. Without a target the workflow pauses there
        (§3).
        """
        way = source.transition(fired.transition)
        if fired.target is None and way is None:
            return False
        enabled = way is None or way.enabled
        target = fired.target or (way.target if way else "")
        event = {
            "source_task": source_task,
            "source": source.name,
            "transition": fired.transition,
            "target": target,
            "variables": {**variables, **fired.variables},
        }
        activity = self.definition.by_name.get(target)
        if not enabled or (activity is None and way is not None and way.optional):
            self._drop(event)
            return False
        if activity is None:
            self._keep(event)
            self.pauses = True
            self.pen.warning(
                _("Transition '%(transition)s' of activity '%(activity)s' leads nowhere; paused"),
                transition=fired.transition,
                activity=source.name,
            )
            return True
        self.arrive(activity, event)
        return True

    def arrive(self, activity: Activity, event: Mapping[str, Any]) -> None:
        """Bring an event to its target: at once, or when all that the target joins are there."""
        kind = kind_of(activity.type)
        if kind is None or not kind.joins or activity.execution == SKIP:
            self.activate(activity, event)
            return
        self._join(activity, event)

    def take(self, affinity: str) -> int | None:
        """Take the first task that became due out of the queue, if its affinity is this one."""
        for position, (task, wanted) in enumerate(self.due):
            if wanted == affinity:
                del self.due[position]
                self.queued += 1
                return task
        return None

    def flush(self) -> None:
        """Queue what became due."""
        if self.due:
            dispatcher.enqueue(self.due)
            self.queued += len(self.due)
            self.due = []

    def _join(self, activity: Activity, event: Mapping[str, Any]) -> None:
        """Give the event to the oldest task of the join that still misses its inbound; make one if there is
        none.
        """
        found = sql.one(
            """SELECT t.task_id FROM xtk_workflow_task t
               WHERE t.workflow_id = %(workflow)s AND t.run_number = %(run)s AND t.activity = %(target)s
                 AND t.status = 0 AND t.due_at IS NULL AND NOT EXISTS (
                   SELECT 1 FROM xtk_workflow_event e WHERE e.task_id = t.task_id
                   AND e.source = %(source)s AND e.transition = %(transition)s)
               ORDER BY t.task_id LIMIT 1""",
            {"workflow": self.workflow_id, "run": self.run_number, **event},
        )
        if found is None:
            task = self._insert(activity, event, TaskState.PENDING, due=False)
            self.created += 1
        else:
            task = int(found["task_id"])
            self._keep(event, task)
        there = sql.rows(
            "SELECT source, transition FROM xtk_workflow_event WHERE task_id = %(task)s", {"task": task}
        )
        missing = set(self.definition.inbound[activity.name]) - {
            (row["source"], row["transition"]) for row in there
        }
        if not missing:
            held = activity.execution == HOLD
            self.pauses = self.pauses or held
            sql.run(
                """UPDATE xtk_workflow_task SET due_at = %(now)s, queued = %(queued)s, status = %(status)s
                   WHERE task_id = %(task)s""",
                {
                    "now": self.now,
                    "queued": not held,
                    "status": int(TaskState.HELD if held else TaskState.PENDING),
                    "task": task,
                },
            )
            if not held:
                self.due.append((task, self._affinity(activity, event)))

    def _affinity(self, activity: Activity, event: Mapping[str, Any] | None) -> str:
        """Return where a task is done: where the activity says, where its file lies, or the workflow."""
        host = (event or {}).get("variables", {}).get(FILE_HOST)
        kind = kind_of(activity.type)
        if not activity.affinity and host and kind is not None and kind.reads_files:
            return dispatcher.affinity_of_host(str(host))
        return activity.affinity or self.affinity

    def _busy(self, activity: str) -> bool:
        return (
            sql.one(
                """SELECT 1 FROM xtk_workflow_task WHERE workflow_id = %(workflow)s AND run_number = %(run)s
                   AND activity = %(activity)s AND status IN (0, 2, 5, 6) LIMIT 1""",
                {"workflow": self.workflow_id, "run": self.run_number, "activity": activity},
            )
            is not None
        )

    def _insert(
        self, activity: Activity, event: Mapping[str, Any] | None, status: TaskState, *, due: bool
    ) -> int:
        params = {
            "workflow": self.workflow_id,
            "run": self.run_number,
            "activity": activity.name,
            "status": int(status),
            "now": self.now,
            "due": self.now if due else None,
            "affinity": self._affinity(activity, event),
        }
        if event is None:
            row = sql.one(_INSERT_TASK + _ALONE, params)
        elif "event_id" in event:
            row = sql.one(_INSERT_TASK + _TAKE_EVENT, {**params, "event": event["event_id"]})
        else:
            row = sql.one(_INSERT_TASK + _FEED_TASK, {**params, **_event_params(event)})
        assert row is not None  # noqa: S101  RETURNING of an INSERT without conditions
        return int(row["task_id"])

    def _keep(self, event: Mapping[str, Any], task: int | None = None) -> None:
        self._event(event, EventState.PENDING if task is None else EventState.ASSIGNED, task)

    def _drop(self, event: Mapping[str, Any] | None) -> None:
        if event is not None:
            self._event(event, EventState.DROPPED, None)

    def _event(self, event: Mapping[str, Any], status: EventState, task: int | None) -> None:
        params = {
            "workflow": self.workflow_id,
            "run": self.run_number,
            "now": self.now,
            "status": int(status),
            "task": task,
        }
        if "event_id" in event:
            sql.run(
                """UPDATE xtk_workflow_event SET status = %(status)s, task_id = %(task)s, target = %(target)s,
                   processed_at = CASE WHEN %(status)s > 2 THEN %(now)s::timestamptz END WHERE event_id =
                   %(event)s""",
                {**params, "event": event["event_id"], "target": event["target"]},
            )
            return
        sql.run(
            """INSERT INTO xtk_workflow_event (workflow_id, run_number, source_task_id, source, transition,
            target,
                 task_id, status, variables, created_at, processed_at)
               VALUES (%(workflow)s, %(run)s, %(source_task)s, %(source)s, %(transition)s, %(target)s,
               %(task)s,
                 %(status)s, %(variables)s, %(now)s, CASE WHEN %(status)s > 2 THEN %(now)s::timestamptz
                 END)""",
            {**params, **_event_params(event)},
        )


_INSERT_TASK = """WITH t AS (
    INSERT INTO xtk_workflow_task (workflow_id, run_number, activity, status, created_at, due_at, queued,
    affinity,
      attempts, woken, cancel_requested, forced, variables, memory, message)
    VALUES (%(workflow)s, %(run)s, %(activity)s, %(status)s, %(now)s, %(due)s, %(due)s::timestamptz IS NOT
    NULL,
      %(affinity)s, 0, false, false, false, '{}', '{}', '') RETURNING task_id) """
_ALONE = "SELECT task_id FROM t"
_FEED_TASK = """, e AS (
    INSERT INTO xtk_workflow_event (workflow_id, run_number, source_task_id, source, transition, target,
    task_id,
      status, variables, created_at)
    SELECT %(workflow)s, %(run)s, %(source_task)s, %(source)s, %(transition)s, %(target)s, t.task_id, 1,
      %(variables)s, %(now)s FROM t) SELECT task_id FROM t"""
_TAKE_EVENT = """, e AS (UPDATE xtk_workflow_event SET task_id = t.task_id, status = 1, target = %(activity)s
    FROM t WHERE event_id = %(event)s) SELECT task_id FROM t"""


def _event_params(event: Mapping[str, Any]) -> dict[str, Any]:
    return {**event, "variables": sql.json(event["variables"])}


def _simulated(activity: Activity) -> bool:
    kind = kind_of(activity.type)
    return activity.run_on_simulation and kind is not None and not kind.effects
