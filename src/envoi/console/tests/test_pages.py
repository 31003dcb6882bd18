"""Explorer, administration, monitoring, home, search, and how packages bring pages."""

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client

from envoi.console import hooks, icons, monitoring
from envoi.console.folder_kinds import FolderKind
from envoi.console.hooks import FirstStep, Pages
from envoi.console.navigation import Entry, Word
from envoi.engine.definition import Activity
from envoi.engine.testing import chain, make_workflow, start
from envoi.kernel import mail, options
from envoi.kernel.models import AuditEntry, Folder, Group, Operator, OutboxItem
from envoi.kernel.models.outbox import OutboxState
from envoi.kernel.rights import Right
from envoi.kernel.testing import PASSWORD, admin_actor, allow, make_folder, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
STATIC = Path(monitoring.__file__).parent / "static" / "console"


def signed_in(*rights: str, **settings) -> Client:
    client = Client()
    name = settings.pop("name", "mary" if rights else "plain")
    client.force_login(make_operator(name, rights, **settings), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in("ADMINISTRATION")


def text(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.content.decode()


# --- explorer


def test_the_tree_is_open_down_to_the_folder_of_the_page(admin):
    page = text(admin, "/explorer/administration/platform/options/")
    assert re.search(
        r'>Administration</a><details data-folder="\d+" open>'
        r'<summary aria-label="Folders in Administration">',
        page,
    )
    assert '<a href="/explorer/administration/platform/options/" aria-current="page">' in page
    assert re.findall(r'class="crumb">(.*?)</ol>', page)[0].count("<li>") == 3


def test_every_folder_of_the_instance_has_a_page_for_an_administrator(admin):
    for folder in Folder.objects.all():
        assert text(admin, f"/explorer{folder.path}")


def test_a_folder_that_one_may_not_read_is_not_there():
    hidden = make_folder("hidden", "production", label="Hidden things")
    allow(hidden, make_operator("other"))
    plain = signed_in()
    assert "Hidden things" not in text(plain, "/explorer/")
    text(plain, f"/explorer{hidden.path}", 404)


def test_an_operator_confined_to_a_branch_sees_only_that():
    branch = Folder.objects.get(name="platform")
    page = text(signed_in(folder=branch), "/explorer/")
    assert "Enumerations" in page
    assert "Production" not in page


def test_an_empty_folder_says_why(admin):
    assert "Nothing is in this folder" in text(admin, "/explorer/administration/platform/cubes/")


# --- administration


@pytest.mark.parametrize(
    "address",
    ["/options", "/options/XtkInstancePrefix", "/operators", "/operators/admin", "/operators/new", "/audit"],
)
def test_pages_of_administrators_are_refused_to_others_with_the_right_named(address):
    answer = signed_in("WORKFLOW").get(address, follow=True)
    assert answer.status_code == 403
    assert "ADMINISTRATION" in answer.content.decode()


def test_an_option_is_set_and_the_trail_says_by_whom(admin):
    assert "604800" in text(admin, "/options/NmsCleanup_WorkflowResultPurgeDelay")
    admin.post("/options/NmsCleanup_WorkflowResultPurgeDelay", {"value": "2 d"})
    assert options.get("NmsCleanup_WorkflowResultPurgeDelay", actor=admin_actor()) == 172800
    page = text(admin, "/options/NmsCleanup_WorkflowResultPurgeDelay")
    assert "from: 604800 · to: 172800" in page
    assert "mary" in page


def test_a_wrong_value_stands_at_its_field_and_changes_nothing(admin):
    answer = admin.post("/options/XtkCleanup_NoStats", {"value": "many"})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert re.search(r'value="many" aria-invalid="true" aria-describedby="ve"', page)
    assert options.get("XtkCleanup_NoStats", actor=admin_actor()) == 0


def test_an_operator_is_created_changed_and_shut_out(admin):
    admin.post(
        "/operators/new",
        {"name": "sofia", "label": "Sofia L", "password": PASSWORD, "groups": ["Workflow execution"]},
    )
    assert Client().post("/sign-in", {"username": "sofia", "password": PASSWORD}).status_code == 302
    admin.post("/operators/sofia", {"label": "Sofia Lind", "email": "s@alpage.example", "rights": ["EXPORT"]})
    sofia = Operator.objects.get(name="sofia")
    assert (sofia.label, sofia.email) == ("Sofia Lind", "s@alpage.example")
    assert not sofia.operator_groups.exists()
    assert list(sofia.named_rights.values_list("name", flat=True)) == ["EXPORT"]
    admin.post("/operators/sofia/disabled", {"disabled": "1"})
    assert Client().post("/sign-in", {"username": "sofia", "password": PASSWORD}).status_code == 401


def test_a_refused_change_of_an_operator_leaves_all_of_it_as_it_was(admin):
    make_operator("sofia", email="s@alpage.example")
    answer = admin.post("/operators/sofia", {"label": "New", "email": "no address", "rights": ["EXPORT"]})
    assert answer.status_code == 400
    sofia = Operator.objects.get(name="sofia")
    assert (sofia.label, sofia.named_rights.count()) == ("Sofia", 0)


def test_a_group_is_created_given_rights_and_deleted(admin):
    admin.post("/groups/new", {"name": "Analysts"})
    admin.post("/groups/Analysts", {"rights": ["EXPORT", "WORKFLOW"]})
    group = Group.objects.get(name="Analysts")
    assert set(group.named_rights.values_list("name", flat=True)) == {"EXPORT", "WORKFLOW"}
    assert re.search(r'value="EXPORT" checked', text(admin, "/groups/Analysts"))
    admin.post("/groups/Analysts", {"delete": "1"})
    assert not Group.objects.filter(name="Analysts").exists()
    assert admin.post("/groups/Administrator", {"delete": "1"}).status_code == 409


def test_the_trail_is_filtered_and_paged_by_key(admin):
    for number in range(70):
        AuditEntry.objects.create(
            entity="xtk:test",
            entity_key=f"k{number:02}",
            action="Modified",
            at="2026-11-24T09:00Z",
            operator_name="mary",
        )
    folder = Folder.objects.get(model="xtk:auditTrail")
    address, seen = f"/explorer{folder.path}?entity=xtk:test", []
    while address:
        page = text(admin, address)
        seen += re.findall(r"<bdi>(k\d\d)</bdi>", page)
        older = re.search(r'href="(\?[^"]*before=\d+)"', page)
        address = f"/explorer{folder.path}{older[1].replace('&amp;', '&')}" if older else ""
    assert seen == [f"k{number:02}" for number in range(69, -1, -1)]


# --- home, monitoring, search


def test_a_new_instance_shows_the_first_steps_and_packages_add_theirs(admin):
    step = FirstStep("mail", "Say who sends", "Your domain.", "console:options", "Set up", lambda: False)
    with hooks.pages.temporarily(lambda: Pages(first_steps=(step,))):
        page = text(admin, "/")
    assert "Welcome, Mary." in page
    assert "Say who sends" in page


def test_home_counts_what_waits(admin):
    start(
        make_workflow(
            chain(
                Activity("start", "start"),
                Activity("call", "bad", parameters={"function": "envoi.engine.testing:always_fails"}),
                Activity("end", "end"),
            ),
            name="breaks",
        )
    )
    page = text(admin, "/")
    assert "2 things wait for you" in page
    assert "/workflows/breaks" in page


def test_monitoring_names_what_is_broken_and_what_can_be_done(admin):
    start(
        make_workflow(
            chain(
                Activity("start", "start"),
                Activity("call", "bad", parameters={"function": "envoi.engine.testing:always_fails"}),
                Activity("end", "end"),
            ),
            name="breaks",
        )
    )
    mail.system_mail("a@alpage.example", "It broke", "See", "one")
    item = OutboxItem.objects.get(key="one")
    OutboxItem.objects.filter(pk=item.pk).update(state=OutboxState.FAILED, error="550 no such user")
    page = text(admin, "/monitoring/")
    assert "3 things need you now" in page
    assert "No worker runs." in page
    assert "breaks failed." in page
    assert "550 no such user" in page
    admin.post(f"/monitoring/mail/{item.pk}")
    item.refresh_from_db()
    assert item.state == OutboxState.WAITING


@pytest.mark.parametrize(
    ("show", "names"),
    [
        ("", {"breaks"}),
        ("failed", {"breaks"}),
        ("action_required", {"breaks"}),
        ("editing", {"idle"}),
        ("finished", {"done"}),
        ("nonsense", {"breaks"}),
    ],
)
def test_monitoring_filters_workflows_as_the_product_does(admin, show, names):
    bad = Activity("call", "bad", parameters={"function": "envoi.engine.testing:always_fails"})
    start(make_workflow(chain(Activity("start", "start"), bad, Activity("end", "end")), name="breaks"))
    start(make_workflow(chain(Activity("start", "start"), Activity("end", "end")), name="done"))
    make_workflow((Activity("end", "end"),), name="idle")
    shown = re.findall(r'<span class="sub mono">(\w+)</span>', text(admin, f"/monitoring/?show={show}"))
    assert set(shown) & {"breaks", "done", "idle"} == names


def test_monitoring_reads_the_processes_that_up_publishes(settings, tmp_path):
    settings.CONFIG = replace(settings.CONFIG, home=tmp_path)
    assert monitoring.processes() == []
    began = "2026-11-24T08:00:00+00:00"
    web = {"name": "web", "pid": 1, "state": "running", "since": began, "reason": ""}
    worker = {"name": "worker", "pid": None, "state": "waiting", "since": began, "reason": "exit 1"}
    state = {"pid": os.getpid(), "since": began, "processes": [web, worker]}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "processes.json").write_text(json.dumps(state))
    shown = {process.name: (process.well, process.note) for process in monitoring.processes()}
    assert shown == {"web": (True, ""), "worker": (False, "exit 1")}


def test_search_finds_pages_folders_options_and_workflows(admin):
    make_workflow((Activity("end", "end"),), name="platformSync")
    page = text(admin, "/search?q=platform")
    assert "/workflows/platformSync" in page
    assert "/explorer/administration/platform/" in page
    assert "XtkInstancePrefix" in text(admin, "/search?q=prefix")
    assert "Nothing matches" in text(admin, "/search?q=zebra")


# --- packages


def test_a_package_brings_a_word_and_a_folder_page():
    def page(request, folder):
        return HttpResponse(f"page of {folder.name}")

    entry = Entry(Word.CAMPAIGNS, "Campaigns", "console:search", frozenset({Right.EXPORT}))
    brought = Pages(entries=(entry,), folders={"nms:recipient": FolderKind(page, "user", lambda actor: {})})
    folder = make_folder("people", "profilesAndTargets", model="nms:recipient")
    with hooks.pages.temporarily(lambda: brought):
        assert 'data-key="c"' in text(signed_in("EXPORT", name="exporter"), "/")
        assert 'data-key="c"' not in text(signed_in(), "/")
        assert text(signed_in("ADMINISTRATION"), f"/explorer{folder.path}") == "page of people"


def test_there_are_eight_words_and_no_ninth():
    assert [word.value for word in Word] == [
        "home",
        "campaigns",
        "deliveries",
        "profiles",
        "workflows",
        "reports",
        "monitoring",
        "explorer",
    ]


# --- what is sent


def test_only_the_icons_of_a_page_are_sent_and_none_is_missing(admin):
    for address in (
        "/",
        "/account",
        "/operators/admin",
        "/workflows/",
        "/monitoring/",
        "/explorer/administration/platform/options/",
    ):
        page = text(admin, address) if "operators" not in address else admin.get(address).content.decode()
        used, sent = set(re.findall(r'href="#i-(\w+)"', page)), set(re.findall(r'<symbol id="i-(\w+)"', page))
        assert used <= sent, address
        assert len(sent) < len(icons.SYMBOLS), address


def test_budgets_of_scripts_and_style_hold():
    import gzip

    scripts = [*STATIC.glob("vendor/*.js"), STATIC / "console.js"]
    assert sum(len(gzip.compress(script.read_bytes(), 9)) for script in scripts) <= 30_000
    assert len((STATIC / "console.css").read_bytes()) <= 25_000


def test_vendored_files_are_those_that_the_list_names():
    listed = dict(re.findall(r"\| `([\w.-]+)` .*`(\w{64})`", (STATIC / "vendor" / "VENDORED.md").read_text()))
    assert listed == {
        script.name: hashlib.sha256(script.read_bytes()).hexdigest() for script in STATIC.glob("vendor/*.js")
    }


def test_a_failure_of_ours_is_a_page_and_keeps_nothing(admin, monkeypatch):
    admin.raise_request_exception = False
    monkeypatch.setattr("envoi.console.search._find", lambda *arguments: 1 / 0)
    page = admin.get("/search?q=x")
    assert page.status_code == 500
    assert "Something broke on our side" in page.content.decode()
    assert "ZeroDivisionError" not in page.content.decode()


def test_a_session_that_ended_reloads_the_page_behind_a_live_region():
    answer = Client().get("/workflows/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Refresh"]) == (401, "true")


def test_refusals_speak_the_language_of_the_reader():
    from envoi.engine.definition import Activity
    from envoi.engine.testing import make_workflow

    make_workflow((Activity("end", "end"),), name="technique", folder="nmsTechnicalWorkflow")
    reader = Client()
    reader.force_login(
        make_operator("fred", ("WORKFLOW",), language="fr"), "django.contrib.auth.backends.ModelBackend"
    )
    page = reader.post("/workflows/technique/start").content.decode()
    assert "fred ne peut démarrer des workflows techniques" in page
    page = reader.get("/workflows/rien").content.decode()
    assert "Il n’y a pas de workflow" in page


@pytest.mark.parametrize("nonsense", ["", "x", "1.2.x..9", "9" * 40])
def test_the_tree_is_drawn_as_its_cookie_says(nonsense):
    operator = make_operator("tess", ("ADMINISTRATION",))
    browser = Client()
    browser.force_login(operator, "django.contrib.auth.backends.ModelBackend")
    folder = Folder.objects.get(path="/administration/")

    def drawn(value: str) -> str:
        browser.cookies[f"envoi_tree_{operator.pk}"] = value
        return browser.get("/explorer/").content.decode()

    mark = f'<details data-folder="{folder.pk}" open>'
    assert mark not in drawn(nonsense)
    assert mark in drawn(f"{nonsense}.{folder.pk}")
