"""The diagram of a page: its size, its figures, and the way from a count to the rows it counts."""

import re

import pytest
from django.db import connection
from django.test import Client

from envoi.engine import testing, worktable
from envoi.engine.definition import Activity
from envoi.engine.models import Event, Workflow, WorkTable
from envoi.engine.testing import chain, make_workflow, run_until_passive, start
from envoi.kernel.testing import make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"
ROWS = 120


def client_of(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return client_of("anna", "ADMINISTRATION")


@pytest.fixture
def filled(monkeypatch) -> Workflow:
    def fill(*, actor, ctx):
        columns = [worktable.Column("id", "bigint"), worktable.Column("email", "text")]
        name = worktable.create(ctx.workflow_id, ctx.run_number, columns, "id")
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {name} SELECT n, 'p' || n || '<b>' FROM generate_series(1, {ROWS}) AS n"
            )
        return {"tableName": name, "recCount": ROWS}

    monkeypatch.setattr(testing, "nothing", fill)
    work = Activity("call", "work", "Gather", parameters={"function": "envoi.engine.testing:nothing"})
    made = make_workflow(
        chain(Activity("start", "start"), work, Activity("end", "end")), name="gather", keep_results=True
    )
    start(made)
    run_until_passive()
    return made


def text(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_a_count_leads_to_its_rows_a_page_at_a_time(admin, filled):
    link = re.search(
        r'<a href="(/workflows/gather/rows/work/\w+)" class="cn"', text(admin, "/workflows/gather")
    )
    assert link
    first = text(admin, link[1])
    assert "120 rows in all" in first
    assert re.findall(r"<th scope=\"col\"[^>]*>(\w+)<", first) == ["id", "email"]
    assert "p1&lt;b&gt;" in first
    assert first.count("<tr>") == 101
    more = re.search(r'href="(\?after=[^"]+)"', first)
    assert more
    second = text(admin, f"{link[1]}{more[1]}")
    assert second.count("<tr>") == 21
    assert "p120&lt;b&gt;" in second
    assert "More rows" not in second


def test_rows_that_are_gone_are_not_linked_and_say_so(admin, filled):
    worktable.drop_all(filled.workflow_id)
    assert 'class="cn"' not in text(admin, "/workflows/gather")
    answer = admin.get("/workflows/gather/rows/work/done")
    assert answer.status_code == 404
    assert "dropped when nothing needed them" in answer.content.decode()


def test_no_other_table_can_be_read_through_a_variable(admin, filled):
    Event.objects.filter(workflow=filled).update(variables={"tableName": "xtk_operator", "recCount": 1})
    assert admin.get("/workflows/gather/rows/work/done").status_code == 404


def test_a_table_of_a_workflow_out_of_sight_is_not_read(filled):
    other = client_of("otto", "WORKFLOW")
    hidden = make_workflow((Activity("end", "end"),), name="hidden")
    way = Event.objects.filter(workflow=filled, source="work").get().transition
    assert other.get(f"/workflows/gather/rows/work/{way}").status_code == 200
    WorkTable.objects.update(workflow_id=hidden.pk + 1000)
    assert other.get(f"/workflows/gather/rows/work/{way}").status_code == 404
    assert client_of("nobody").get(f"/workflows/gather/rows/work/{way}").status_code == 404


@pytest.mark.parametrize("after", ["x", "(1,2) OR 1=1", "(99999999999,1)"])
def test_a_wrong_page_is_refused(admin, filled, after):
    way = Event.objects.filter(workflow=filled, source="work").get().transition
    assert admin.get(f"/workflows/gather/rows/work/{way}", {"after": after}).status_code == 400


def width(page: str) -> int:
    found = re.search(r'<svg class="wf[^"]*" width="(\d+)"', page)
    assert found
    return int(found[1])


def test_size_and_figures_are_in_the_address_and_go_along(admin, filled):
    usual = text(admin, "/workflows/gather")
    assert width(text(admin, "/workflows/gather?zoom=200")) == 2 * width(usual)
    assert 'class="wf fit"' in text(admin, "/workflows/gather?zoom=fit")
    assert width(text(admin, "/workflows/gather?zoom=9999")) == width(usual)
    assert ">120</text>" in usual
    plain = text(admin, "/workflows/gather?show=plain&zoom=50")
    assert ">120</text>" not in plain
    assert 'href="?tab=tasks&amp;zoom=50&amp;show=plain"' in plain
    assert 'href="?zoom=50&amp;show=plain&amp;activity=work"' in plain
    assert 'href="?zoom=50"' in plain, "figures can be had again"


def test_a_sub_workflow_leads_to_what_it_runs(admin):
    make_workflow((Activity("end", "end"),), name="inner")
    inner = Activity("subworkflow", "sub", "Inner", parameters={"workflow": "inner"})
    make_workflow(chain(Activity("start", "start"), inner, Activity("end", "end")), name="outer")
    assert '<a href="/workflows/inner">inner</a>' in text(admin, "/workflows/outer?activity=sub")
