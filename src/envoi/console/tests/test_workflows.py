"""Lists and pages of workflows: what they answer, what they keep from whom, and what a command asks first."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from envoi.console import workflow_list
from envoi.engine import commands
from envoi.engine.commands import Command
from envoi.engine.definition import Activity
from envoi.engine.models import Workflow
from envoi.engine.testing import chain, make_workflow, run_to, run_until_passive, start
from envoi.kernel import clock as product_clock
from envoi.kernel.models import AuditEntry
from envoi.kernel.testing import admin_actor, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
TECHNICAL = "/explorer/administration/production/nmsTechnicalWorkflow/"
BACKEND = "django.contrib.auth.backends.ModelBackend"


def reader(*rights: str, **settings) -> Client:
    client = Client()
    client.force_login(make_operator(f"r{len(rights)}{'_'.join(settings)}", rights, **settings), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return reader("ADMINISTRATION")


def call(function: str, name: str = "work", **settings) -> Activity:
    return Activity("call", name, parameters={"function": f"envoi.engine.testing:{function}"}, **settings)


def scheduler(at: str = "10:00") -> Activity:
    return Activity(
        "schedule", "schedule", "Each day", parameters={"schedule": {"frequency": "daily", "at": at}}
    )


@pytest.fixture
def fine() -> Workflow:
    made = make_workflow(
        chain(scheduler(), call("nothing", label="Tidy <up>"), Activity("end", "end")),
        name="tidy",
        folder="nmsTechnicalWorkflow",
        timezone="UTC",
    )
    return start(made)


@pytest.fixture
def broken() -> Workflow:
    made = make_workflow(
        chain(
            Activity("start", "start"), call("always_fails", "bad", label="Break it"), Activity("end", "end")
        ),
        name="breaks",
        folder="nmsTechnicalWorkflow",
        production=1,
    )
    return start(made)


def text(client: Client, address: str, **headers: str) -> str:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def region(client: Client, address: str, etag: str = ""):
    return client.get(
        address, headers={"HX-Request": "true", "HX-Target": "live-region", "If-None-Match": etag}
    )


def order(page: str) -> list[str]:
    return re.findall(r'<span class="sub mono">([\w.]+)</span>', page)


def test_what_needs_attention_comes_first_with_its_reason(admin, fine, broken):
    page = text(admin, TECHNICAL)
    assert order(page)[0] == "breaks"
    assert "Needs attention · 1" in page
    assert re.search(r"t-bad[^<]*<bdi>Break it: .*it always fails", page.replace('"><bdi>', "<bdi>"))
    assert re.search(r"1 of \d needs attention\.", page)
    assert order(page).count("tidy") == 1


def test_chips_count_and_filter_and_the_address_carries_both(admin, fine, broken):
    page = text(admin, f"{TECHNICAL}?q=ti&state=waiting")
    assert order(page) == ["tidy"]
    assert re.search(r'href="[^"]*\?q=ti&amp;state=waiting" aria-current="true">Waiting 1<', page)
    assert 'name="state" value="waiting"' in page
    nothing = text(admin, f"{TECHNICAL}?q=zebra")
    assert "Nothing matches" in nothing
    assert "“zebra”" in nothing


def test_the_list_of_all_is_paged_and_stays_small(admin):
    for number in range(60):
        make_workflow((Activity("end", "end"),), name=f"wf{number:02}")
    page = text(admin, "/workflows/")
    assert len(order(page)) == workflow_list.PAGE
    assert len(page.encode()) < 60_000
    more = re.search(r'href="(/workflows/\?[^"]*n=2)"', page)
    assert more
    assert len(order(text(admin, more[1].replace("&amp;", "&")))) > 60


def test_the_region_answers_unchanged_until_a_row_changes(admin, fine):
    first = region(admin, TECHNICAL)
    assert first.content.decode().startswith('<div id="live-region"')
    assert "<html" not in first.content.decode()
    assert region(admin, TECHNICAL, first["ETag"]).status_code == 304
    commands.post(admin_actor(), "tidy", Command.PAUSE)
    changed = region(admin, TECHNICAL, first["ETag"])
    assert changed.status_code == 200
    assert "Pausing…" in changed.content.decode()


def test_time_alone_makes_late_and_the_region_says_so(admin, clock):
    start(
        make_workflow(chain(scheduler(), Activity("end", "end")), name="slow", folder="nmsTechnicalWorkflow")
    )
    before = region(admin, TECHNICAL)
    clock.step(days=2)
    after = region(admin, TECHNICAL, before["ETag"])
    assert after.status_code == 200
    assert "Late" in after.content.decode()
    assert "due " in after.content.decode()


def test_bars_show_the_last_runs_the_newest_and_the_failed(clock, fine):
    from envoi.engine import supervision

    for number in range(3):
        run_to(product_clock.now() + timedelta(days=1), clock)
        Workflow.objects.filter(pk=fine.pk).update(label=f"Tidy {number}")
    rows = supervision.workflows(admin_actor(), language="en", folder_path=fine.folder.path)
    (row,) = [each for each in rows if each.internal_name == "tidy"]
    assert row.durations
    bars = workflow_list.bars(row)
    assert bars
    assert bars.newest.count("M") == 1
    assert bars.usual.count("M") + bars.failed.count("M") == len(row.durations) - 1


def test_without_the_right_nothing_of_workflows_is_there(fine):
    nobody = reader()
    assert nobody.get("/workflows/tidy").status_code == 404
    assert "/workflows/tidy" not in text(nobody, "/search?q=tidy")
    words = re.findall(r'data-key="(\w)"', text(nobody, "/"))
    assert "w" not in words, "a word without a page for the operator is absent"


def test_who_may_see_but_not_operate_is_told_why(fine):
    page = text(reader("WORKFLOW"), "/workflows/tidy")
    assert "Only administrators operate technical workflows." in page
    assert "Pause…" not in page


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_door_lets_others_than_administrators_operate_technical_workflows(fine, method):
    answer = getattr(reader("WORKFLOW"), method)("/workflows/tidy/pause")
    assert answer.status_code == 403
    assert "needs the right ADMINISTRATION" in answer.content.decode()
    fine.refresh_from_db()
    assert fine.state == 11


def test_the_page_says_where_it_is_and_what_it_waits_for(admin, fine):
    page = text(admin, "/workflows/tidy")
    assert "<title>tidy, Waiting" in page
    assert "Daily 10:00" in page
    assert "1 of 3 activities reached" in page
    assert 'href="/explorer/administration/production/nmsTechnicalWorkflow/"' in page
    assert "Tidy &lt;up&gt;" in page
    assert "Tidy <up>" not in page


def test_tabs_and_the_chosen_activity_are_in_the_address(admin, broken):
    table = text(admin, "/workflows/breaks?tab=table")
    assert re.findall(r'<tr id="a-(\w+)">', table) == ["start", "bad", "end"]
    chosen = text(admin, "/workflows/breaks?tab=tasks&activity=bad")
    assert len(re.findall(r'<tr id="t\d+">', chosen)) == 1
    assert "it always fails" in chosen
    assert "Try again from here" in chosen
    assert 'aria-current="page">Tasks 2' in chosen
    for tab in ("variables", "versions", "properties", "audit"):
        assert 'aria-current="page"' in text(admin, f"/workflows/breaks?tab={tab}")


def test_the_journal_is_filtered_by_activity_and_paged_by_key(admin, fine):
    from envoi.engine.models import LogLine

    for number in range(120):
        LogLine.objects.create(
            workflow=fine,
            run_number=1,
            activity="work" if number % 2 else "",
            message="line %(n)s",
            params={"n": number},
            at=product_clock.now(),
        )
    seen: list[str] = []
    address = "/workflows/tidy?activity=work"
    while address:
        page = text(admin, address)
        seen += re.findall(r"<bdi>line (\d+)</bdi>", page)
        older = re.search(r'href="(\?[^"]*before=\d+)"', page)
        address = f"/workflows/tidy{older[1].replace('&amp;', '&')}" if older else ""
    assert seen == [str(number) for number in range(119, 0, -2)]


def test_the_journal_is_in_the_language_of_the_reader(fine):
    page = text(reader("ADMINISTRATION", language="fr"), "/workflows/tidy")
    assert "Démarrage du workflow (opérateur «\u202fadmin\u202f»)" in page
    assert 'lang="fr"' in page


def test_a_command_tells_what_will_happen_then_is_only_asked(admin, fine):
    asked = text(admin, "/workflows/tidy/stop")
    assert "Stop “tidy”?" in asked
    assert "1 waiting one(s) are dropped" in asked
    assert "Its schedule (Daily 10:00) no longer fires." in asked
    assert 'href="/workflows/tidy/pause">Pause instead' in asked
    answer = admin.post("/workflows/tidy/stop", follow=True)
    page = answer.content.decode()
    assert "Stopping…" in page
    assert "Stop is asked." in page
    fine.refresh_from_db()
    assert fine.state == 15, "nothing is done before a worker has done it"
    assert AuditEntry.objects.filter(entity_key="tidy", action="Stop").exists()
    run_until_passive()
    assert "Stopped" in text(admin, "/workflows/tidy")


def test_the_dialog_is_the_same_question_without_the_page(admin, fine):
    part = admin.get(
        "/workflows/tidy/pause", headers={"HX-Request": "true", "HX-Target": "dialog"}
    ).content.decode()
    assert part.lstrip().startswith('<h2 id="dialog-title"')
    assert "<html" not in part


def test_a_command_that_the_state_forbids_is_refused_as_a_page(admin, fine):
    answer = admin.post("/workflows/tidy/simulate")
    assert answer.status_code == 409
    assert "This cannot be done now" in answer.content.decode()


def test_an_impossible_command_stays_in_sight_with_its_reason(admin, fine):
    page = text(admin, "/workflows/tidy")
    assert re.search(
        r'id="c-start" role="link" aria-disabled="true" title="Not possible while its state is: Waiting"',
        page,
    )


def test_stopping_at_once_wants_the_name_typed(admin, fine):
    admin.post("/workflows/tidy/stop-at-once", {"typed": "tidi"})
    fine.refresh_from_db()
    assert fine.state == 11
    admin.post("/workflows/tidy/stop-at-once", {"typed": "tidy"})
    fine.refresh_from_db()
    assert fine.state == 20


def test_a_failed_activity_can_be_tried_again_from_its_panel(admin, broken):
    link = re.search(
        r'href="(/workflows/breaks/restart-from\?activity=bad)"',
        text(admin, "/workflows/breaks?activity=bad"),
    )
    assert link
    assert 'name="activity" value="bad"' in text(admin, link[1])
    assert admin.post("/workflows/breaks/restart-from", {"activity": "bad"}).status_code == 302


def test_the_export_is_a_file_that_nothing_can_run_in(admin, fine):
    answer = admin.get("/workflows/tidy/diagram.svg")
    assert answer["Content-Type"].startswith("image/svg+xml")
    assert answer["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert b"<script" not in answer.content


def test_an_unknown_workflow_or_command_is_a_page_that_says_so(admin, fine):
    assert admin.get("/workflows/none").status_code == 404
    assert admin.get("/workflows/tidy/explode").status_code == 404


def test_a_page_costs_few_queries_whatever_the_number_of_workflows(admin, django_assert_max_num_queries):
    for number in range(30):
        make_workflow((Activity("end", "end"),), name=f"wf{number}", folder="nmsTechnicalWorkflow")
    admin.get(TECHNICAL)
    with django_assert_max_num_queries(30):
        admin.get(TECHNICAL)
    first = region(admin, TECHNICAL)
    with django_assert_max_num_queries(8):
        assert region(admin, TECHNICAL, first["ETag"]).status_code == 304


def test_one_command_for_several_says_which_can_and_reports_each_refusal(admin, fine, broken):
    page = text(admin, TECHNICAL)
    assert re.findall(r'name="name" value="(\w+)"', page)[0] == "breaks"
    asked = text(admin, "/selected-workflows?command=pause&name=tidy&name=breaks&next=/workflows/")
    assert "Pause 1 workflow?" in asked
    assert re.findall(r'type="hidden" name="name" value="(\w+)"', asked) == ["tidy"]
    assert "Left as it is" in asked
    answer = admin.post(
        "/selected-workflows",
        {"command": "pause", "name": ["tidy", "breaks"], "next": "/workflows/"},
        follow=True,
    )
    shown = answer.content.decode()
    assert "Asked for 1 workflow." in shown
    assert "breaks: Pause is not possible for breaks" in shown
    fine.refresh_from_db()
    assert fine.state == 12


def test_who_may_not_operate_gets_no_ticks(fine):
    assert 'name="name"' not in text(reader("WORKFLOW"), TECHNICAL)
    refused = reader("WORKFLOW", language="en").post(
        "/selected-workflows", {"command": "stop", "name": ["tidy"]}
    )
    assert refused.status_code == 302
    fine.refresh_from_db()
    assert fine.state == 11
