"""When workflows ran: the numbers behind the heat map (engine.md §8.4).

A workflow counts in a slot of five minutes when one of its activities ran at some time in it, however short.
The map reads the tasks themselves, so that it works while nothing collects; for tasks that the cleanup has
taken away it reads what `collect` kept of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from django.db import DataError, OperationalError, connection, transaction

from envoi.kernel import clock
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor, Right
from envoi.packages.core_default.hookspecs import campaigns_of_workflows
from envoi.packages.core_default.models import HeatMapTask

SLOT = timedelta(minutes=5)
STEPS = (1, 2, 3, 5, 8, 12, 18, 24, 30, 38, 50)
"""Numbers of workflows at which the colour changes."""
KEPT = timedelta(days=90)
"""How long collected executions are kept."""
_PATIENCE_MS = 1000
_TO = "see the heat map"


class Kind(StrEnum):
    """Which workflows the map shows."""

    ALL = "all"
    TECHNICAL = "technical"
    """Those of no campaign: the built-in ones and those of data management."""
    MARKETING = "marketing"
    """Those of campaigns."""


@dataclass(frozen=True)
class Filters:
    """What is left out of the map."""

    activity_seconds: float = 0
    """Executions of activities that were shorter."""
    workflow_seconds: float = 0
    """Runs of workflows that were shorter."""
    workflow_id: int | None = None
    kind: Kind = Kind.ALL
    name: str = ""
    """A regular expression that the internal name or the label must match somewhere, in either case."""


@dataclass(frozen=True)
class Execution:
    """One execution of an activity that touches the day."""

    workflow_id: int
    workflow_name: str
    workflow_label: str
    campaign: str
    activity: str
    task_id: int
    started_at: datetime
    seconds: float
    run_seconds: float


@dataclass(frozen=True)
class Cell:
    """Five minutes of the local day. Repeated at the end of summer time it is one cell for both passes."""

    hour: int
    minute: int
    workflows: int
    exists: bool = True
    """False for an hour that the change of the clocks leaves out."""

    @property
    def step(self) -> int:
        """Number of the colour: 0 for none, else how many of STEPS are reached."""
        return sum(self.workflows >= each for each in STEPS)


@dataclass(frozen=True)
class HeatMap:
    """One day: 24 rows of 12 cells, and the workflows that the other filters leave for choosing one."""

    day: date
    rows: list[list[Cell]]
    workflows: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    """Id, internal name and label, by label."""

    @property
    def peak(self) -> Cell:
        """The fullest cell, the first of several."""
        return max((cell for row in self.rows for cell in row), key=lambda cell: cell.workflows)


def day_of(day: date, tz: tzinfo, filters: Filters, *, actor: Actor) -> HeatMap:
    """Return the map of one local day. Raises Invalid for an expression that cannot be used."""
    actor.require(Right.ADMINISTRATION, to=_TO)
    start, end = _bounds(day, tz)
    found = _executions(start, end, filters)
    chosen = filters.workflow_id
    slots: list[set[int]] = [set() for _ in range((end - start) // SLOT)]
    for each in found:
        if chosen not in (None, each.workflow_id):
            continue
        first = max(0, (each.started_at - start) // SLOT)
        last = min(len(slots) - 1, (each.started_at + timedelta(seconds=each.seconds) - start) // SLOT)
        for slot in range(first, last + 1):
            slots[slot].add(each.workflow_id)
    cells: dict[tuple[int, int], set[int]] = {}
    for index, workflows in enumerate(slots):
        local = (start + index * SLOT).astimezone(tz)
        cells.setdefault((local.hour, local.minute // 5 * 5), set()).update(workflows)
    rows = [
        [
            Cell(hour, minute, len(cells.get((hour, minute), ())), (hour, minute) in cells)
            for minute in range(0, 60, 5)
        ]
        for hour in range(24)
    ]
    names = {each.workflow_id: (each.workflow_id, each.workflow_name, each.workflow_label) for each in found}
    return HeatMap(day, rows, sorted(names.values(), key=lambda each: each[2]))


def cell_of(
    day: date, hour: int, minute: int, tz: tzinfo, filters: Filters, *, actor: Actor
) -> list[Execution]:
    """Return what ran in one cell, by workflow and time. Raises as `day_of`."""
    actor.require(Right.ADMINISTRATION, to=_TO)
    start, end = _bounds(day, tz)
    index = 0
    found: dict[int, Execution] = {}
    while start + index * SLOT < end:
        at = start + index * SLOT
        local = at.astimezone(tz)
        if (local.hour, local.minute // 5 * 5) == (hour, minute):
            found |= {each.task_id: each for each in _executions(at, at + SLOT, filters)}
        index += 1
    return sorted(
        (each for each in found.values() if filters.workflow_id in (None, each.workflow_id)),
        key=lambda each: (each.workflow_label, each.started_at, each.task_id),
    )


def collect(*, actor: Actor) -> int:
    """Keep what finished since the last time; returns the number of executions kept.

    Safe to run again: an execution is kept once. What is older than KEPT goes.
    """
    actor.require(Right.ADMINISTRATION, to="collect data for the heat map")
    now = clock.now()
    HeatMapTask.objects.filter(completed_at__lt=now - KEPT).delete()
    last = HeatMapTask.objects.order_by("-completed_at").values_list("completed_at", flat=True).first()
    # A day more, for what was finished at that time in a transaction that was not.
    since = now - KEPT if last is None else last - timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, {"since": since, "until": now, "now": now})
        rows = [row for row in cursor.fetchall() if not row[-1]]
    campaigns = _campaigns([row[0] for row in rows])
    known = set(HeatMapTask.objects.filter(completed_at__gte=since).values_list("task_id", flat=True))
    fresh = [_execution(row, campaigns) for row in rows if row[5] not in known]
    HeatMapTask.objects.bulk_create(
        (
            HeatMapTask(
                task_id=each.task_id,
                workflow_id=each.workflow_id,
                workflow_name=each.workflow_name,
                workflow_label=each.workflow_label,
                campaign=each.campaign,
                activity=each.activity,
                started_at=each.started_at,
                completed_at=each.started_at + timedelta(seconds=each.seconds),
                run_seconds=each.run_seconds,
            )
            for each in fresh
        ),
        batch_size=2000,
        ignore_conflicts=True,
    )
    return len(fresh)


# Columns: workflow id, name, label, campaign, activity, task id, start, seconds, seconds of the run, whether
# it still runs. A task that waits is not one that runs: its interval is that of its last execution.
_LIVE = """
    SELECT w.workflow_id, w.internal_name, w.label, '', t.activity, t.task_id,
           t.started_at, extract(epoch FROM coalesce(t.completed_at, %(now)s) - t.started_at)::float8,
           coalesce((SELECT max(extract(epoch FROM r.ended_at - r.started_at)) FROM xtk_workflow_run r
                     WHERE r.workflow_id = w.workflow_id
                       AND r.started_at <= t.started_at AND r.ended_at >= t.started_at),
                    CASE WHEN w.busy_since <= t.started_at
                         THEN extract(epoch FROM %(now)s - w.busy_since) END,
                    extract(epoch FROM coalesce(t.completed_at, %(now)s) - t.started_at))::float8,
           t.completed_at IS NULL
    FROM xtk_workflow_task t JOIN xtk_workflow w USING (workflow_id)
    WHERE t.started_at < %(until)s AND (t.completed_at >= %(since)s OR t.status = 2)"""
_KEPT = """
    SELECT h.workflow_id, h.workflow_name, h.workflow_label, h.campaign, h.activity, h.task_id,
           h.started_at, extract(epoch FROM h.completed_at - h.started_at)::float8, h.run_seconds, false
    FROM xtk_heat_map_task h
    WHERE h.started_at < %(until)s AND h.completed_at >= %(since)s
      AND NOT EXISTS (SELECT FROM xtk_workflow_task t WHERE t.task_id = h.task_id)"""


def _executions(since: datetime, until: datetime, filters: Filters) -> list[Execution]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_LIVE} UNION ALL {_KEPT}",
            {"since": since, "until": until, "now": clock.now()},
        )
        rows = cursor.fetchall()
    campaigns = _campaigns([row[0] for row in rows])
    found = [_execution(row, campaigns) for row in rows]
    found = [
        each
        for each in found
        if each.seconds >= filters.activity_seconds
        and each.run_seconds >= filters.workflow_seconds
        and (filters.kind is Kind.ALL or (filters.kind is Kind.MARKETING) == bool(each.campaign))
    ]
    if filters.name:
        named = _matching({each.workflow_id: each for each in found}, filters.name)
        found = [each for each in found if each.workflow_id in named]
    return found


def _execution(row: Sequence[Any], campaigns: dict[int, str]) -> Execution:
    workflow_id, name, label, campaign, activity, task_id, started_at, seconds, run_seconds, _ = row
    campaign = campaigns.get(workflow_id) or campaign
    return Execution(workflow_id, name, label, campaign, activity, task_id, started_at, seconds, run_seconds)


def _campaigns(workflow_ids: Sequence[int]) -> dict[int, str]:
    ids = sorted(set(workflow_ids))
    return {key: label for answer in campaigns_of_workflows.ask(ids) for key, label in answer.items()}


def _matching(workflows: dict[int, Execution], expression: str) -> set[int]:
    """Return the workflows that the expression names; the database tries it, which can be stopped."""
    ids = list(workflows)
    texts = [f"{workflows[each].workflow_name}\n{workflows[each].workflow_label}" for each in ids]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            ((before,),) = cursor.fetchall()
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(_PATIENCE_MS)])
            cursor.execute(
                "SELECT id FROM unnest(%s::bigint[], %s::text[]) AS each(id, text) WHERE text ~* %s",
                [ids, texts, f"(?n){expression}"],
            )
            found = {row[0] for row in cursor.fetchall()}
            # The setting would last until the end of the transaction that this is part of.
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
            return found
    except DataError as error:
        reason = str(error).split("\n")[0]
        raise Invalid(f"{expression} is not a regular expression: {reason}.") from error
    except OperationalError as error:
        raise Invalid(f"{expression} takes too long. Use a simpler expression.") from error


def _bounds(day: date, tz: tzinfo) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(), tz).astimezone(UTC)
    return start, datetime.combine(day + timedelta(days=1), time(), tz).astimezone(UTC)
