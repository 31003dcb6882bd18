"""Parameters, commands to one activity, templates, copies: all can be reached and say what they will do."""

import re

import pytest
from django.test import Client

from envoi.engine.definition import Activity
from envoi.engine.models import QueuedCommand, Workflow
from envoi.engine.testing import chain, make_workflow, run_until_passive, start
from envoi.kernel.testing import make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(make_operator("anna", ("ADMINISTRATION",)), BACKEND)
    return client


def waiting(name: str = "waits") -> Workflow:
    daily = {"schedule": {"frequency": "daily", "at": "10:00"}}
    return make_workflow(
        chain(
            Activity("schedule", "schedule", "Each day", parameters=daily),
            Activity("signal", "sig", "Go ahead"),
            Activity("end", "end"),
        ),
        name=name,
        timezone="UTC",
    )


def test_a_start_takes_parameters(admin):
    made = waiting()
    asked = admin.get("/workflows/waits/start").content.decode()
    assert 'name="variables"' in asked
    answer = admin.post("/workflows/waits/start", {"variables": "country = FR\n\nlimit=10=x"})
    assert answer.status_code == 302
    run_until_passive()
    made.refresh_from_db()
    assert made.variables == {"country": "FR", "limit": "10=x"}


def test_a_line_that_is_no_parameter_is_named_and_nothing_starts(admin):
    made = waiting()
    answer = admin.post("/workflows/waits/start", {"variables": "ok=1\nnot one"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "Line 2, “not one”, is no parameter:" in page
    assert "ok=1\nnot one</textarea>" in page
    made.refresh_from_db()
    assert made.state == 0


def test_resuming_takes_no_parameters(admin):
    start(waiting())
    admin.post("/workflows/waits/pause")
    run_until_passive()
    page = admin.get("/workflows/waits/start").content.decode()
    assert "Resume “waits”?" in page
    assert 'name="variables"' not in page


def test_commands_to_an_activity_stand_in_its_panel_as_its_state_allows(admin, clock):
    start(waiting())
    panel = admin.get("/workflows/waits?activity=schedule").content.decode()
    assert "/workflows/waits/execute-activity?activity=schedule" in panel
    assert "restart-from" not in panel
    asked = admin.get("/workflows/waits/execute-activity?activity=schedule").content.decode()
    assert "What “Each day” waits for is due now." in asked
    assert admin.post("/workflows/waits/execute-activity", {"activity": "schedule"}).status_code == 302
    run_until_passive()
    panel = admin.get("/workflows/waits?activity=sig").content.decode()
    assert "/workflows/waits/post-event?activity=sig" in panel
    asked = admin.get("/workflows/waits/post-event?activity=sig").content.decode()
    assert re.findall(r'<option value="(\w+)"', asked)
    way = re.findall(r'<option value="(\w+)"', asked)[0]
    admin.post(
        "/workflows/waits/post-event",
        {"activity": "sig", "transition": way, "complete": "1", "variables": "who=me"},
    )
    run_until_passive()
    panel = admin.get("/workflows/waits?activity=sig").content.decode()
    assert "/workflows/waits/restart-from?activity=sig" in panel
    assert QueuedCommand.objects.filter(command="PostEvent", parameters__variables={"who": "me"}).exists()


def test_an_activity_that_does_not_exist_is_refused(admin):
    start(waiting())
    assert admin.get("/workflows/waits/restart-from?activity=none").status_code == 404


def test_every_command_of_the_engine_is_reachable():
    from envoi.console.workflow_commands import SLUGS
    from envoi.engine.commands import Command

    assert set(SLUGS.values()) == set(Command)


def test_templates_are_made_from_workflows_and_workflows_from_templates(admin):
    made = waiting()
    page = admin.get("/workflows/waits").content.decode()
    assert 'href="/workflows/waits/copy?as=template"' in page
    answer = admin.post("/workflows/waits/copy", {"as": "template", "label": "Our usual"}, follow=True)
    template = Workflow.objects.get(label="Our usual")
    assert (template.is_model, template.model_name) == (True, "waits")
    assert "New workflow from this template" in answer.content.decode()
    admin.post(f"/workflows/{template.internal_name}/copy", {"label": "Mine"})
    mine = Workflow.objects.get(label="Mine")
    assert (mine.is_model, mine.state, mine.definition) == (False, 0, made.definition)


def test_a_template_is_offered_no_commands(admin):
    make_workflow((Activity("end", "end"),), name="model", folder="workflowTemplates", is_model=True)
    page = admin.get("/workflows/model").content.decode()
    assert "/workflows/model/start" not in page
    assert 'href="/workflows/model/copy"' in page


def test_deleting_kept_results_is_asked_first(admin):
    from envoi.engine import worktable
    from envoi.engine.models import WorkTable

    made = waiting()
    worktable.create(made.workflow_id, 1, [worktable.Column("id", "bigint")], "id")
    assert "/workflows/waits/results" in admin.get("/workflows/waits").content.decode()
    assert "1 work table is dropped" in admin.get("/workflows/waits/results").content.decode()
    admin.post("/workflows/waits/results")
    assert not WorkTable.objects.filter(workflow=made).exists()
