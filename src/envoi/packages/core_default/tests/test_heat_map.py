"""The heat map: what counts in which five minutes, filters, the drill-down, and what outlives the tasks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from envoi.engine.models import Task, TaskState, Workflow, WorkflowRun
from envoi.kernel import clock as kernel_clock
from envoi.kernel.errors import Invalid, NotAllowed
from envoi.kernel.models import Folder
from envoi.kernel.testing import admin_actor, make_actor
from envoi.packages.core_default.hookspecs import campaigns_of_workflows
from envoi.packages.core_default.models import HeatMapTask
from envoi.packages.core_default.services import heat_map
from envoi.packages.core_default.services.heat_map import Filters, Kind

pytestmark = pytest.mark.django_db
PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 11, 20)


@pytest.fixture(autouse=True)
def _tuesday(clock):
    """All of this happens on 24 November 2026."""


def make_workflow(name: str, label: str = "") -> Workflow:
    now = kernel_clock.now()
    return Workflow.objects.create(
        internal_name=name,
        label=label or name,
        folder=Folder.objects.order_by("pk").first(),
        definition={},
        created_at=now,
        modified_at=now,
    )


def ran(workflow: Workflow, start: str, end: str, day: date = DAY) -> Task:
    """Let an activity run from `start` to `end`, times of a day in UTC."""
    at = [datetime.fromisoformat(f"{day}T{each}+00:00") for each in (start, end)]
    return Task.objects.create(
        workflow=workflow,
        run_number=1,
        activity="query",
        status=TaskState.COMPLETED,
        created_at=at[0],
        started_at=at[0],
        completed_at=at[1],
    )


def counted(day: date = DAY, tz=UTC, filters: Filters | None = None) -> dict[str, int]:
    found = heat_map.day_of(day, tz, filters or Filters(), actor=admin_actor())
    return {
        f"{cell.hour:02}:{cell.minute:02}": cell.workflows
        for row in found.rows
        for cell in row
        if cell.workflows
    }


@pytest.mark.case("E43")
def test_cells_count_workflows_and_take_their_colour():
    for name in "abc":
        ran(make_workflow(name), "08:00:10", "08:00:40")
    found = heat_map.day_of(DAY, UTC, Filters(), actor=admin_actor())
    assert (len(found.rows), {len(row) for row in found.rows}) == (24, {12})
    assert (found.rows[8][0].workflows, found.rows[8][0].step) == (3, 3)
    assert (found.rows[8][1].workflows, found.rows[8][1].step) == (0, 0)
    assert counted() == {"08:00": 3}
    later = DAY + timedelta(days=1)
    ran(make_workflow("d"), "08:04:00", "08:11:00", later)
    ran(make_workflow("e"), "09:00:00", "09:00:59", later)
    assert counted(later) == {"08:00": 1, "08:05": 1, "08:10": 1, "09:00": 1}
    assert counted(later, filters=Filters(activity_seconds=60)) == {"08:00": 1, "08:05": 1, "08:10": 1}
    with pytest.raises(NotAllowed):
        heat_map.day_of(DAY, UTC, Filters(), actor=make_actor("sofia"))
    with pytest.raises(NotAllowed):
        heat_map.cell_of(DAY, 8, 0, UTC, Filters(), actor=make_actor("paul"))


def test_steps_of_the_legend():
    reached = {count: heat_map.Cell(0, 0, count).step for count in (0, 1, 2, 4, 5, 17, 18, 49, 50, 500)}
    assert reached == {0: 0, 1: 1, 2: 2, 4: 3, 5: 4, 17: 6, 18: 7, 49: 10, 50: 11, 500: 11}


def test_a_workflow_counts_once_and_instants_count():
    one = make_workflow("one")
    ran(one, "10:01:00", "10:02:00")
    ran(one, "10:03:00", "10:03:00")
    assert counted() == {"10:00": 1}


def test_the_day_is_that_of_the_zone():
    ran(make_workflow("night"), "23:30:00", "23:31:00", DAY - timedelta(days=1))
    assert counted(tz=PARIS) == {"00:30": 1}
    assert counted(DAY - timedelta(days=1)) == {"23:30": 1}


def test_days_on_which_the_clocks_change():
    spring, autumn = date(2026, 3, 29), date(2026, 10, 25)
    found = heat_map.day_of(spring, PARIS, Filters(), actor=admin_actor())
    assert [cell.exists for cell in found.rows[2]] == [False] * 12
    assert all(cell.exists for hour, row in enumerate(found.rows) for cell in row if hour != 2)
    twice = make_workflow("twice")
    ran(twice, "00:30:00", "00:31:00", autumn)
    ran(twice, "01:30:00", "01:31:00", autumn)
    ran(make_workflow("second"), "01:30:00", "01:31:00", autumn)
    assert counted(autumn, PARIS) == {"02:30": 2}
    assert len(heat_map.cell_of(autumn, 2, 30, PARIS, Filters(), actor=admin_actor())) == 3


def test_what_runs_now_counts_until_now():
    task = ran(make_workflow("busy"), "08:51:00", "08:51:00", date(2026, 11, 24))
    Task.objects.filter(pk=task.pk).update(status=TaskState.RUNNING, completed_at=None)
    assert counted(date(2026, 11, 24)) == {"08:50": 1, "08:55": 1, "09:00": 1}


def test_what_waits_does_not_count():
    task = ran(make_workflow("waiting"), "08:51:00", "08:51:00", date(2026, 11, 24))
    Task.objects.filter(pk=task.pk).update(status=TaskState.PENDING, completed_at=None)
    assert counted(date(2026, 11, 24)) == {}


def test_filters():
    short, long = make_workflow("cleanup", "Database cleanup"), make_workflow("WKF12", "Spring sale")
    ran(short, "10:00:00", "10:00:01")
    ran(long, "11:00:00", "11:00:01")
    start = datetime(2026, 11, 20, 10, 59, tzinfo=UTC)
    WorkflowRun.objects.create(workflow=long, started_at=start, ended_at=start + timedelta(hours=1))
    only_long, only_short = {"11:00": 1}, {"10:00": 1}
    assert counted(filters=Filters(workflow_seconds=3600)) == only_long
    assert counted(filters=Filters(workflow_seconds=3601)) == {}
    assert counted(filters=Filters(workflow_id=short.pk)) == only_short
    assert counted(filters=Filters(name="^data.*up$")) == only_short
    assert counted(filters=Filters(name=r"wkf\d+")) == only_long
    with campaigns_of_workflows.temporarily(lambda ids: {long.pk: "Spring"} if long.pk in ids else {}):
        assert counted(filters=Filters(kind=Kind.MARKETING)) == only_long
        assert counted(filters=Filters(kind=Kind.TECHNICAL)) == only_short
    assert counted(filters=Filters(kind=Kind.TECHNICAL)) == only_short | only_long
    found = heat_map.day_of(DAY, UTC, Filters(workflow_id=short.pk), actor=admin_actor())
    assert [name for _, name, _ in found.workflows] == ["cleanup", "WKF12"]


def test_expression_that_is_none_is_refused():
    ran(make_workflow("one"), "10:00:00", "10:00:01")
    with pytest.raises(Invalid, match=r"\( is not a regular expression"):
        counted(filters=Filters(name="("))
    assert counted() == {"10:00": 1}


def test_expression_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(heat_map, "_PATIENCE_MS", 100)
    # Halves that are equal cannot be found in texts of odd length, and the search tries them all.
    ran(make_workflow("a" * 99, "a" * 199), "10:00:00", "10:00:01")
    with pytest.raises(Invalid, match="takes too long"):
        counted(filters=Filters(name=r"^(a+)(a+)(a+)(a+)(a+)\1\2\3\4\5$"))
    assert counted() == {"10:00": 1}


def test_drill_down_names_what_ran():
    workflow = make_workflow("WKF12", "Spring sale")
    task = ran(workflow, "08:04:00", "08:11:30")
    with campaigns_of_workflows.temporarily(lambda ids: {workflow.pk: "Spring"}):
        (found,) = heat_map.cell_of(DAY, 8, 5, UTC, Filters(), actor=admin_actor())
    assert (found.workflow_id, found.workflow_label, found.activity, found.task_id) == (
        workflow.pk,
        "Spring sale",
        "query",
        task.pk,
    )
    assert (found.seconds, found.campaign) == (450, "Spring")
    assert heat_map.cell_of(DAY, 8, 15, UTC, Filters(), actor=admin_actor()) == []


def test_collected_executions_outlive_tasks_and_workflows():
    workflow = make_workflow("gone", "Gone tomorrow")
    ran(workflow, "08:04:00", "08:11:00")
    actor = admin_actor()
    before = heat_map.cell_of(DAY, 8, 5, UTC, Filters(), actor=actor)
    assert heat_map.collect(actor=actor) == 1
    assert heat_map.collect(actor=actor) == 0
    assert counted() == {"08:00": 1, "08:05": 1, "08:10": 1}
    Task.objects.filter(workflow=workflow).delete()
    workflow.delete()
    assert counted() == {"08:00": 1, "08:05": 1, "08:10": 1}
    assert counted(filters=Filters(name="tomorrow")) == counted()
    assert heat_map.cell_of(DAY, 8, 5, UTC, Filters(), actor=actor) == before


def test_collected_executions_go_in_the_end(clock):
    ran(make_workflow("old"), "08:04:00", "08:11:00")
    heat_map.collect(actor=admin_actor())
    clock.step(days=80)
    heat_map.collect(actor=admin_actor())
    assert HeatMapTask.objects.count() == 1
    clock.step(days=20)
    heat_map.collect(actor=admin_actor())
    assert HeatMapTask.objects.count() == 0


def test_only_administrators_collect():
    with pytest.raises(NotAllowed):
        heat_map.collect(actor=make_actor("sofia"))
