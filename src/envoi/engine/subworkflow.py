"""Sub-workflows: a copy of the model runs beside its parent and tells it how it ended (engine.md §6.2).

Parent and copy never lock each other: the copy writes a command into the parent's queue, and the other way
round.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoi.engine import dispatcher, journal, sql
from envoi.engine.activities.base import Misconfigured, TaskContext
from envoi.engine.definition import Activity, Definition, jump_number
from envoi.engine.graph import Step
from envoi.engine.journal import Pen
from envoi.engine.models import QueuedCommand, State, Workflow, WorkflowVersion
from envoi.kernel import clock

DEEPEST = 10
ENDED, FAILED = "ChildEnded", "ChildFailed"
"""What a copy tells its parent."""


def entry_of(definition: Definition) -> Activity | None:
    """Return where a sub-workflow begins: its jump end point with the lowest number."""
    found = [activity for activity in definition.activities if activity.type == "jumpout"]
    return min(found, key=jump_number, default=None)


def exit_of(definition: Definition) -> Activity | None:
    """Return where a sub-workflow ends: its jump start point with the highest number."""
    found = [activity for activity in definition.activities if activity.type == "jumpin"]
    return max(found, key=jump_number, default=None)


def launch(ctx: TaskContext, model: Workflow) -> int:
    """Make a copy of `model` and let it run from its entry; returns the copy's number. In the
    activity's transaction.
    """
    definition = Definition.from_json(model.definition)
    entry = entry_of(definition)
    if entry is None or exit_of(definition) is None:
        raise Misconfigured(f"{model.internal_name} has no jump points by which it can be entered and left.")
    if model.internal_name in _ancestors(ctx.workflow_id):
        raise Misconfigured(f"{model.internal_name} would run inside of itself.")
    now = clock.now()
    copy = Workflow.objects.create(
        internal_name=f"{model.internal_name}_{ctx.task_id}",
        label=model.label,
        folder_id=model.folder_id,
        model_name=model.internal_name,
        definition=model.definition,
        state=State.STARTED,
        run_number=1,
        simulation=ctx.simulation,
        timezone=model.timezone,
        affinity=model.affinity,
        schema=model.schema,
        parent_task_id=ctx.task_id,
        started_at=now,
        started_by_id=ctx.actor.operator_id,
        created_at=now,
        modified_at=now,
    )
    WorkflowVersion.objects.create(workflow=copy, number=1, definition=model.definition, created_at=now)
    pen = Pen()
    step = Step(copy.workflow_id, 1, definition, copy.affinity, now, pen, simulation=ctx.simulation)
    step.activate(
        entry,
        {
            "source_task": None,
            "source": "",
            "transition": "",
            "target": entry.name,
            "variables": dict(ctx.variables),
        },
    )
    step.flush()
    journal.write(copy.workflow_id, 1, pen.lines, parent_task_id=ctx.task_id)
    return copy.workflow_id


def result_of(child: Workflow) -> tuple[str, dict[str, Any]]:
    """Return the name of the exit by which a copy has ended, and the variables that came to it."""
    way_out = exit_of(Definition.from_json(child.definition))
    row = sql.one(
        """SELECT e.variables FROM xtk_workflow_event e JOIN xtk_workflow_task t ON t.task_id = e.task_id
           WHERE t.workflow_id = %(child)s AND t.activity = %(activity)s AND t.status = 1
           ORDER BY e.event_id DESC LIMIT 1""",
        {"child": child.workflow_id, "activity": way_out.name if way_out else ""},
    )
    return (way_out.name if way_out else "", row["variables"] if row else {})


def tell_parent(parent_task: int, word: str, message: str = "") -> None:
    """Write into the parent's queue that its copy has ended or failed."""
    row = sql.one(
        """SELECT w.workflow_id, w.affinity FROM xtk_workflow_task t
           JOIN xtk_workflow w ON w.workflow_id = t.workflow_id WHERE t.task_id = %(task)s""",
        {"task": parent_task},
    )
    if row is None:
        return
    _queue(row["workflow_id"], word, {"task": parent_task, "message": message}, row["affinity"])


def tell_children(
    parent_tasks: Iterable[int], word: str, state: State, *, instead_of: Iterable[State]
) -> None:
    """Ask the copies that these tasks run to stop, pause or go on."""
    rows = sql.rows(
        """UPDATE xtk_workflow SET state = %(state)s, version = version + 1
           WHERE parent_task_id = ANY(%(tasks)s) AND state = ANY(%(from)s) RETURNING workflow_id, affinity""",
        {"state": int(state), "tasks": list(parent_tasks), "from": [int(each) for each in instead_of]},
    )
    for row in rows:
        _queue(row["workflow_id"], word, {}, row["affinity"])


def _queue(workflow_id: int, word: str, parameters: dict[str, Any], affinity: str) -> None:
    QueuedCommand.objects.create(
        workflow_id=workflow_id,
        command=word,
        parameters=parameters,
        operator_name="internal",
        created_at=clock.now(),
    )
    dispatcher.enqueue_commands(workflow_id, affinity)


def _ancestors(workflow_id: int) -> set[str]:
    """Return the names of a workflow, of the models above it, and of those workflows themselves."""
    names: set[str] = set()
    current: int | None = workflow_id
    for _level in range(DEEPEST):
        row = sql.one(
            """SELECT w.internal_name, w.model_name, t.workflow_id AS above FROM xtk_workflow w
               LEFT JOIN xtk_workflow_task t ON t.task_id = w.parent_task_id
               WHERE w.workflow_id = %(workflow)s""",
            {"workflow": current},
        )
        if row is None:
            return names
        names |= {row["internal_name"], row["model_name"]}
        current = row["above"]
        if current is None:
            return names
    raise Misconfigured(f"Sub-workflows are nested more than {DEEPEST} deep.")
