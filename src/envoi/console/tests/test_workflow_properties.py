"""Properties of a workflow are changed by those who may, field by field, never over an unseen change."""

import re

import pytest
from django.test import Client

from envoi.engine import editing, instances
from envoi.engine.definition import Activity
from envoi.engine.models import Workflow
from envoi.engine.testing import make_workflow
from envoi.kernel import audit
from envoi.kernel.models import AuditEntry
from envoi.kernel.testing import admin_actor, make_folder, make_group, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
ADDRESS = "/workflows/tidy/properties"


def client_of(name: str, *rights: str, **settings) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights, **settings), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return client_of("anna", "ADMINISTRATION")


@pytest.fixture
def tidy() -> Workflow:
    return make_workflow((Activity("end", "end"),), name="tidy", folder="nmsTechnicalWorkflow")


def form(client: Client, **changes: str) -> dict[str, str]:
    page = client.get(ADDRESS).content.decode()
    given = dict(re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"(?![^>]*type="checkbox")', page))
    given = {name: value for name, value in given.items() if name not in ("keep_results", "show_sql")}
    for name, options in re.findall(r'<select[^>]* name="(\w+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options)
        given[name] = chosen[1] if chosen else ""
    given["description"] = re.findall(r'name="description"[^>]*>([^<]*)</textarea>', page)[0]
    return given | changes


def test_what_is_changed_is_stored_and_told_to_the_audit_trail(admin, tidy):
    group = make_group("watchers")
    account = make_operator("runner", ("WORKFLOW",))
    answer = admin.post(
        ADDRESS,
        form(
            admin,
            label="Tidy up",
            production="2",
            history="7",
            timezone="Europe/Paris",
            on_error="1",
            consecutive_errors="3",
            affinity="heavy",
            supervisor_group_id=str(group.pk),
            keep_results="1",
            login=account.name,
        ),
    )
    assert (answer.status_code, answer["Location"]) == (302, "/workflows/tidy?tab=properties")
    tidy.refresh_from_db()
    assert (tidy.label, tidy.production, tidy.history, tidy.timezone) == ("Tidy up", 2, 7, "Europe/Paris")
    assert (tidy.on_error, tidy.consecutive_errors, tidy.affinity) == (1, 3, "heavy")
    assert (tidy.supervisor_group, tidy.supervisor_operator) == (group, None)
    assert tidy.keep_results
    assert not tidy.show_sql
    assert instances.login_of(admin_actor(), "tidy") == "runner"
    entry = AuditEntry.objects.filter(entity_key="tidy", action=audit.MODIFIED).latest("audit_id")
    assert "description" not in entry.detail["fields"], "what stayed as it was is no change"
    page = admin.get("/workflows/tidy?tab=properties").content.decode()
    for shown in ("Critical", "7 days", "Europe/Paris", "heavy", "runner"):
        assert shown in page


def test_each_refusal_stands_beside_its_field_and_nothing_is_stored(admin, tidy):
    answer = admin.post(ADDRESS, form(admin, label=" ", history="-1", affinity="two words", production="1"))
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "3 fields cannot be stored as they are." in page
    for name in ("label", "history", "affinity"):
        assert f'id="e-{name}"' in page
        assert re.search(rf'name="{name}" value="[^"]*"[^>]*aria-invalid="true"', page)
    assert 'value="two words"' in page, "what was typed stays"
    tidy.refresh_from_db()
    assert (tidy.production, tidy.history) == (0, 30)


def test_a_change_by_someone_else_is_not_overwritten_unseen(admin, tidy, clock):
    mine = form(admin, history="7")
    clock.step(seconds=5)
    editing.save(admin_actor(), "tidy", history=60)
    answer = admin.post(ADDRESS, mine)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "tidy was changed by someone else meanwhile." in page
    assert "Stored now: <bdi>60</bdi>" in page
    tidy.refresh_from_db()
    assert tidy.history == 60
    again = mine | {"seen": re.findall(r'name="seen" value="([^"]+)"', page)[0]}
    assert admin.post(ADDRESS, again).status_code == 302
    tidy.refresh_from_db()
    assert tidy.history == 7


def test_only_administrators_change_technical_workflows(tidy):
    other = client_of("otto", "WORKFLOW")
    assert "Change the properties" not in other.get("/workflows/tidy?tab=properties").content.decode()
    for answer in (other.get(ADDRESS), other.post(ADDRESS, {"label": "mine"})):
        assert answer.status_code == 403
    tidy.refresh_from_db()
    assert tidy.label != "mine"


def test_the_execution_account_is_for_administrators(clock):
    make_workflow((Activity("end", "end"),), name="tidy")
    other = client_of("otto", "WORKFLOW")
    assert 'name="login"' not in other.get(ADDRESS).content.decode()
    assert other.post(ADDRESS, form(other, label="Mine", login="otto")).status_code == 302
    assert instances.login_of(admin_actor(), "tidy") == ""
    assert Workflow.objects.get(internal_name="tidy").label == "Mine"


def test_a_form_that_changes_nothing_stores_nothing(admin, tidy):
    before = tidy.version
    assert admin.post(ADDRESS, form(admin)).status_code == 302
    tidy.refresh_from_db()
    assert tidy.version == before


def test_a_translated_label_that_is_left_alone_stays_translated(tidy):
    Workflow.objects.filter(pk=tidy.pk).update(labels={"fr": "Ranger"})
    french = client_of("fred", "ADMINISTRATION", language="fr")
    given = form(french, history="9")
    assert given["label"] == "Ranger"
    assert french.post(ADDRESS, given).status_code == 302
    tidy.refresh_from_db()
    assert (tidy.labels, tidy.history) == ({"fr": "Ranger"}, 9)


def test_script_and_dimension_are_stored_and_a_template_says_where_its_workflows_go(admin):
    make_workflow((Activity("end", "end"),), name="tidy", folder="workflowTemplates", is_model=True)
    place = make_folder("spring", "jobs", model="xtk:workflow", label="Spring")
    script = "function onStart() { instance.vars.ready = true }"
    answer = admin.post(
        ADDRESS, form(admin, process_folder_id=str(place.pk), schema="xtk:operator", script=script)
    )
    assert answer.status_code == 302
    stored = Workflow.objects.get(internal_name="tidy")
    assert (stored.process_folder, stored.schema, stored.script) == (place, "xtk:operator", script)
    assert "Spring" in admin.get("/workflows/tidy?tab=properties").content.decode()
    made = Workflow.objects.get(internal_name=instances.spawn(admin_actor(), "tidy"))
    assert (made.folder, made.schema) == (place, "xtk:operator")
    wrong = admin.post(ADDRESS, form(admin, schema="nms:nobody"))
    assert wrong.status_code == 400
    assert "which is no schema" in wrong.content.decode()
