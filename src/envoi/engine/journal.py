"""Lines for the journal: kept in memory while an activity works, written with its transaction or its failure.

Those of one that works for longer are shown before, on another connection, and stay even if it is rolled
back: they tell what was tried.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from envoi.engine import sql
from envoi.engine.models import Level
from envoi.kernel import clock


@dataclass(frozen=True)
class Line:
    """One line to be written. `params` None: the text is shown as it is."""

    level: Level
    message: str
    params: Mapping[str, Any] | None
    activity: str
    task_id: int | None
    at: datetime


class Pen:
    """Collects the lines of one activity, command or take-over."""

    def __init__(self, activity: str = "", task_id: int | None = None) -> None:
        self.activity = activity
        self.task_id = task_id
        self.lines: list[Line] = []
        self._shown = 0
        self._sealed = False
        self._gate = threading.Lock()

    def __call__(
        self,
        level: Level,
        message: str,
        params: Mapping[str, Any] | None = None,
        *,
        activity: str | None = None,
        task_id: int | None = None,
    ) -> None:
        """Add a line."""
        where = self.activity if activity is None else activity
        self.lines.append(Line(level, message, params, where, task_id or self.task_id, clock.now()))

    def info(self, message: str, **params: Any) -> None:
        """Add a line of level info. Parameters `activity` and `task`, if given, are also the line's own."""
        self._write(Level.INFO, message, params)

    def warning(self, message: str, **params: Any) -> None:
        """Add a line of level warning."""
        self._write(Level.WARNING, message, params)

    def error(self, message: str, **params: Any) -> None:
        """Add a line of level error."""
        self._write(Level.ERROR, message, params)

    def show(self, workflow_id: int, run_number: int, *, parent_task_id: int | None = None) -> None:
        """Write the lines so far, on the connection of the thread that calls, which is not the activity's."""
        with self._gate:
            lines = self.lines[self._shown :]
            if self._sealed or not lines:
                return
            with transaction.atomic():
                write(workflow_id, run_number, lines, parent_task_id=parent_task_id)
                # So that pages show it. The row may be locked by the activity itself.
                sql.run(
                    """UPDATE xtk_workflow SET version = version + 1 WHERE workflow_id = (SELECT workflow_id
                       FROM xtk_workflow WHERE workflow_id = %(workflow)s FOR NO KEY UPDATE SKIP LOCKED)""",
                    {"workflow": workflow_id},
                )
            self._shown += len(lines)

    def seal(self) -> None:
        """The work is done: what comes now is written with its end, and so is what was not shown yet."""
        with self._gate:
            if not self._sealed:
                self._sealed = True
                del self.lines[: self._shown]

    def _write(self, level: Level, message: str, params: Mapping[str, Any]) -> None:
        self(level, message, params, activity=params.get("activity"), task_id=params.get("task"))


def write(
    workflow_id: int, run_number: int, lines: Sequence[Line], *, parent_task_id: int | None = None
) -> None:
    """Insert lines in the caller's transaction, in their order; those of a sub-workflow into its
    parent's journal.
    """
    if not lines:
        return
    if parent_task_id is not None:
        workflow_id, run_number = _top(parent_task_id, workflow_id, run_number)
    sql.run(
        """INSERT INTO xtk_workflow_log (workflow_id, run_number, task_id, activity, level, message, params,
        at)
           SELECT %(workflow)s, %(run)s, l.* FROM unnest(%(tasks)s::bigint[], %(activities)s::text[],
           %(levels)s::smallint[], %(messages)s::text[], %(params)s::jsonb[], %(ats)s::timestamptz[]) AS l""",
        {
            "workflow": workflow_id,
            "run": run_number,
            "tasks": [line.task_id for line in lines],
            "activities": [line.activity for line in lines],
            "levels": [int(line.level) for line in lines],
            "messages": [line.message.replace("\x00", "") for line in lines],
            "params": [None if line.params is None else sql.json(dict(line.params)) for line in lines],
            "ats": [line.at for line in lines],
        },
    )


def _top(parent_task_id: int, workflow_id: int, run_number: int) -> tuple[int, int]:
    """Return the outermost workflow of a sub-workflow, and its run."""
    row = sql.one(
        """WITH RECURSIVE up AS (
             SELECT t.workflow_id, t.run_number, 1 AS level FROM xtk_workflow_task t WHERE t.task_id =
             %(task)s
             UNION ALL
             SELECT t.workflow_id, t.run_number, level + 1 FROM up
             JOIN xtk_workflow w ON w.workflow_id = up.workflow_id
             JOIN xtk_workflow_task t ON t.task_id = w.parent_task_id)
           SELECT workflow_id, run_number FROM up ORDER BY level DESC LIMIT 1""",
        {"task": parent_task_id},
    )
    return (row["workflow_id"], row["run_number"]) if row else (workflow_id, run_number)
