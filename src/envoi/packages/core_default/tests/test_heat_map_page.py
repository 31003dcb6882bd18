"""The page of the heat map, as an administrator and as somebody else sees it."""

import re
from datetime import UTC, datetime

import pytest
from django.test import Client

from envoi.engine.models import Task, TaskState, Workflow
from envoi.kernel import clock as kernel_clock
from envoi.kernel.models import Folder
from envoi.kernel.testing import make_operator

pytestmark = pytest.mark.django_db
PAGE = "/monitoring/heat-map"


@pytest.fixture(autouse=True)
def _tuesday(clock):
    """All of this happens on 24 November 2026."""


@pytest.fixture
def administrator(client: Client) -> Client:
    client.force_login(make_operator("ada", ["ADMINISTRATION"]), "django.contrib.auth.backends.ModelBackend")
    return client


def ran(name: str, hour: int, minute: int, seconds: int) -> Task:
    now = kernel_clock.now()
    workflow = Workflow.objects.create(
        internal_name=name,
        label=f"Label of {name}",
        folder=Folder.objects.order_by("pk").first(),
        definition={},
        created_at=now,
        modified_at=now,
    )
    start = datetime(2026, 11, 20, hour, minute, 10, tzinfo=UTC)
    return Task.objects.create(
        workflow=workflow,
        run_number=1,
        activity="query",
        status=TaskState.COMPLETED,
        created_at=start,
        started_at=start,
        completed_at=datetime.fromtimestamp(start.timestamp() + seconds, UTC),
    )


def cells(answer) -> list[tuple[str, str]]:
    """Return (class, text) of the 288 cells."""
    return re.findall(r'<td class="(h\d+)">(?:<a [^>]*>|<span[^>]*>)([^<]*)</', answer.content.decode())


@pytest.mark.case("E43")
def test_map_with_numbers_colours_and_grey(administrator: Client, client: Client):
    for name in "abc":
        ran(name, 8, 0, 30)
    answer = administrator.get(PAGE, {"day": "2026-11-20", "zone": "UTC"})
    assert answer.status_code == 200
    found = cells(answer)
    assert len(found) == 24 * 12
    assert found[8 * 12] == ("h3", "3")
    assert set(found[: 8 * 12] + found[8 * 12 + 1 :]) == {("h0", "·")}
    filtered = administrator.get(PAGE, {"day": "2026-11-20", "zone": "UTC", "activity": "60"})
    assert set(cells(filtered)) == {("h0", "·")}
    client.force_login(make_operator("sofia", ["WORKFLOW"]), "django.contrib.auth.backends.ModelBackend")
    assert client.get(PAGE).status_code == 403


def test_cell_leads_to_what_ran_in_it(administrator: Client):
    task = ran("nightly", 8, 0, 30)
    ran("short", 8, 0, 0)
    ran("other", 9, 0, 30)
    whole = administrator.get(
        PAGE, {"day": "2026-11-20", "zone": "UTC", "type": "technical"}
    ).content.decode()
    (link,) = re.findall(r'<a href="(\?[^"]*at=08:00[^"]*)"', whole)
    answer = administrator.get(PAGE + link.replace("&amp;", "&").partition("#")[0]).content.decode()
    assert 'aria-current="true">2</a>' in answer
    inside = answer.partition('id="cell"')[2]
    assert "Running from 08:00 to 08:05" in inside
    assert 'href="/workflows/nightly"' in inside
    assert f"({task.pk})" in inside
    assert "under 1 s" in inside
    assert "other" not in inside


def test_only_the_chosen_hours(administrator: Client):
    answer = administrator.get(PAGE, {"day": "2026-11-20", "from": "8", "to": "9"})
    assert len(cells(answer)) == 2 * 12


def test_no_day_after_today(administrator: Client):
    assert 'id="day-after"' not in administrator.get(PAGE).content.decode()
    assert 'id="day-after"' in administrator.get(PAGE, {"day": "2026-11-23"}).content.decode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"day": "tomorrow"},
        {"day": "9999-12-31"},
        {"zone": "Mars/Olympus"},
        {"zone": "../etc/passwd"},
        {"type": "?"},
        {"from": "9", "to": "8"},
        {"activity": "3601"},
        {"at": "8:01"},
        {"workflow": "x"},
        {"name": "("},
    ],
)
def test_what_cannot_be_shown_is_told(administrator: Client, wrong):
    ran("one", 8, 0, 30)
    answer = administrator.get(PAGE, {"day": "2026-11-20"} | wrong)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
