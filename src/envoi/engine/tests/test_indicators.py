"""What the engine adds to the monitoring page."""

from envoi.engine.models import State, Task, Worker, WorkerState, Workflow
from envoi.engine.testing import make_workflow
from envoi.engine.tests.diagrams import end, start
from envoi.kernel import clock as kernel_clock
from envoi.kernel import indicators
from envoi.kernel.testing import admin_actor


def measured() -> dict[str, tuple[float | None, str]]:
    wanted = ("lateTasks", "failedWorkflows", "oldProcesses")
    found = indicators.measure(actor=admin_actor())
    return {each.name: (each.value, each.face.value) for each in found if each.name in wanted}


def test_late_tasks_failed_workflows_and_old_workers(db, clock):
    now = kernel_clock.now()
    workflow = make_workflow((start(to="end"), end()))
    Workflow.objects.filter(pk=workflow.pk).update(state=State.STARTED)
    Task.objects.create(workflow=workflow, run_number=0, activity="start", created_at=now, due_at=now)
    for state in (WorkerState.RUNNING, WorkerState.STOPPED):
        Worker.objects.create(
            name="w", host="h", pid=1, affinities=",", threads=1, state=state, started_at=now
        )
    assert measured() == {"lateTasks": (0, "ok"), "failedWorkflows": (0, "ok"), "oldProcesses": (0, "ok")}
    clock.step(days=1, seconds=1)
    assert measured() == {
        "lateTasks": (1, "warning"),
        "failedWorkflows": (0, "ok"),
        "oldProcesses": (1, "warning"),
    }
    Workflow.objects.filter(pk=workflow.pk).update(state=State.PAUSED, failed=True)
    assert measured()["lateTasks"] == (0, "ok")
    assert measured()["failedWorkflows"] == (1, "warning")
