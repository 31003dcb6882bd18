"""`envoi workflow` and `envoi worker`, as processes of their own."""

import signal
import subprocess
import sys

import pytest

from envoi.engine.definition import Activity, Transition
from envoi.engine.models import State, Workflow
from envoi.engine.testing import make_workflow, run_until_passive, start
from envoi.kernel.models import AuditEntry
from envoi.kernel.testing import make_operator

LISTED = {
    "name",
    "label",
    "package",
    "folder",
    "state",
    "failed",
    "schedule",
    "last_run",
    "next_run",
    "last_duration_s",
}


def scheduled(function="nothing", **settings):
    return make_workflow(
        (
            Activity(
                "schedule",
                "daily",
                parameters={"schedule": {"frequency": "daily", "at": "04:00"}},
                transitions=(Transition("transition", "work"),),
            ),
            Activity(
                "call",
                "work",
                parameters={"function": f"envoi.engine.testing:{function}"},
                transitions=(Transition("done", "end", kind="done"),),
            ),
            Activity("end", "end"),
        ),
        **settings,
    )


def test_a_list_is_one_document_of_the_agreed_shape(committed_db, run_envoi):
    scheduled(name="mine")
    rows = run_envoi("workflow", "list", "--json", code=0).json
    assert all(set(row) == LISTED for row in rows)
    mine = next(row for row in rows if row["name"] == "mine")
    assert (mine["state"], mine["failed"], mine["schedule"]) == ("editing", False, "Daily 04:00")
    assert (mine["last_run"], mine["next_run"], mine["last_duration_s"]) == (None, None, None)
    assert {"collectDataHeatMapService"} <= {row["name"] for row in rows}


def test_run_without_a_worker_brings_its_own_and_tells_what_was_done(committed_db, run_envoi):
    scheduled(name="mine")
    done = run_envoi("workflow", "run", "mine", "--json", code=0).json
    assert [task["activity"] for task in done["tasks"]] == ["end", "work", "daily"]
    assert [task["status"] for task in done["tasks"]] == ["completed", "completed", "pending"]
    assert done["state"] == "started"
    assert done["last_duration_s"] is not None
    assert any("Executing pending tasks" in line["message"] for line in done["journal"])


def test_run_of_one_that_fails_ends_with_1(committed_db, run_envoi):
    scheduled("always_fails", name="mine")
    done = run_envoi("workflow", "run", "mine", code=1)
    assert "it always fails" in done.out


def test_commands_are_queued_and_wait_when_asked(committed_db, run_envoi):
    scheduled(name="mine")
    asked = run_envoi("workflow", "start", "mine", "--json", code=0).json
    assert (asked["name"], asked["state"]) == ("mine", "starting")
    assert run_envoi("workflow", "start", "mine", "--wait", "1").code == 3
    refused = run_envoi("workflow", "pause", "mine")
    assert refused.code == 3
    assert "starting" in refused.err
    assert run_envoi("workflow", "show", "nobody").code == 3
    worker = subprocess.Popen([sys.executable, "-m", "envoi.cli", "worker"], stderr=subprocess.PIPE)
    try:
        assert (
            run_envoi("workflow", "stop", "mine", "--wait", "30", "--json", code=0).json["state"]
            == "finished"
        )
        again = run_envoi("workflow", "start", "mine", "--wait", "--json", code=0)
        assert again.json["state"] == "started"
        assert run_envoi("workflow", "pause", "mine", "--wait", "--json", code=0).json["state"] == "paused"
        lines = run_envoi("workflow", "log", "mine", "--json", code=0).json
        assert lines[-1]["message"].startswith("Pausing workflow")
    finally:
        worker.send_signal(signal.SIGTERM)
        _out, errors = worker.communicate(timeout=30)
    assert worker.returncode == 0, errors


def test_variables_of_a_start(committed_db, run_envoi):
    workflow = scheduled(name="mine")
    run_envoi("workflow", "run", "mine", "--variable", "a=1", "--variable", "b=x=y", code=0)
    workflow.refresh_from_db()
    assert workflow.variables == {"a": "1", "b": "x=y"}
    assert run_envoi("workflow", "start", "mine", "--variable", "nonsense").code == 2


def test_an_approval_is_seen_and_answered_in_the_name_of_the_one_asked(committed_db, run_envoi):
    make_operator("ann")
    ways = (Transition("yes", "end", kind="answer"), Transition("no", "end", kind="answer"))
    ask = {"assignee": {"operator": "ann"}, "title": "Send it?"}
    start(
        make_workflow(
            (Activity("validation", "ask", parameters=ask, transitions=ways), Activity("end", "end")),
            name="mine",
        )
    )
    everyones = run_envoi("workflow", "approvals", "--json", code=0).json
    assert [(each["operator"], each["title"]) for each in everyones] == [("ann", "Send it?")]
    assert run_envoi("workflow", "approvals", "--operator", "ann", "--json", code=0).json == everyones
    assert "[yes, no]" in run_envoi("workflow", "approvals", code=0).out
    number = str(everyones[0]["number"])
    assert run_envoi("workflow", "reply", number, "yes", "--operator", "admin").code == 3
    assert run_envoi("workflow", "reply", number, "perhaps", "--operator", "ann").code == 3
    done = run_envoi(
        "workflow", "reply", number, "yes", "--operator", "ann", "--comment", "go", "--json", code=0
    )
    assert (done.json["answer"], done.json["open"]) == ("yes", False)
    run_until_passive()
    assert Workflow.objects.get(internal_name="mine").state == State.FINISHED
    entry = AuditEntry.objects.get(action="Reply")
    assert (entry.operator_name, "command line" in entry.detail["origin"]) == ("ann", True)


def test_a_diagram_is_svg(committed_db, run_envoi):
    scheduled(name="mine")
    assert run_envoi("workflow", "diagram", "mine", code=0).out.lstrip().startswith("<svg")


@pytest.mark.smoke
def test_show_names_every_activity(committed_db, run_envoi):
    scheduled(name="mine")
    shown = run_envoi("workflow", "show", "mine", "--json", code=0).json
    assert [activity["name"] for activity in shown["activities"]] == ["daily", "work", "end"]
    assert Workflow.objects.get(internal_name="mine").state == State.EDITION
