"""Own indicators and system mail: made, tried and let go by administrators alone."""

import re

import pytest
from django.test import Client

from envoi.kernel import clock as product_clock
from envoi.kernel import custom_indicators, mail
from envoi.kernel.models import CustomIndicator, OutboxItem
from envoi.kernel.models.outbox import OutboxState
from envoi.kernel.testing import admin_actor, make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


def client_of(name: str, *rights: str) -> Client:
    client = Client()
    client.force_login(make_operator(name, rights), BACKEND)
    return client


@pytest.fixture
def admin() -> Client:
    return client_of("anna", "ADMINISTRATION")


def test_an_indicator_is_tried_then_stored_then_shown_then_deleted(admin):
    given = {"name": "answer", "label": "The answer", "sql": "SELECT 42", "warning": "40,5", "alert": "50"}
    tried = admin.post("/monitoring/indicators/new", given | {"do": "try"}).content.decode()
    assert "It gives 42." in tried
    assert "Warning" in tried
    assert not CustomIndicator.objects.exists()
    assert admin.post("/monitoring/indicators/new", given | {"do": "store"}).status_code == 302
    assert CustomIndicator.objects.get().warning == 40.5
    assert "The answer" in admin.get("/monitoring/indicators").content.decode()
    address = "/monitoring/indicators/of/answer"
    page = admin.get(address).content.decode()
    assert 'value="40.5"' in page
    changed = given | {"sql": "SELECT 7", "warning": "", "do": "store"}
    assert admin.post(address, changed).status_code == 302
    stored = CustomIndicator.objects.get()
    assert (stored.sql, stored.warning) == ("SELECT 7", None)
    assert admin.post(address, {"do": "delete"}).status_code == 302
    assert not CustomIndicator.objects.exists()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1 FROM nowhere", "does not exist"),
        ("DELETE FROM xtk_operator", "denied"),
        ("SELECT 1, 2", "one row with one column"),
        ("SELECT 'a'", "must give a number"),
    ],
)
def test_what_postgresql_says_of_a_statement_is_shown_and_what_was_typed_stays(admin, sql, said):
    for do in ("try", "store"):
        answer = admin.post("/monitoring/indicators/new", {"name": "bad", "sql": sql, "do": do})
        page = answer.content.decode()
        assert answer.status_code == 400
        assert said in page or "read-only" in page
        assert "Nothing was stored." in page
    assert not CustomIndicator.objects.exists()


def test_a_limit_that_is_no_number_and_an_unknown_indicator_are_refused(admin):
    answer = admin.post(
        "/monitoring/indicators/new", {"name": "x", "sql": "SELECT 1", "warning": "many", "do": "store"}
    )
    assert "“many” is no number." in answer.content.decode()
    assert admin.get("/monitoring/indicators/of/none").status_code == 404


def test_nobody_else_sees_or_makes_them(admin):
    custom_indicators.create("answer", "SELECT 42", actor=admin_actor())
    other = client_of("otto", "WORKFLOW")
    for address in (
        "/monitoring/indicators",
        "/monitoring/indicators/new",
        "/monitoring/indicators/of/answer",
        "/monitoring/mail",
    ):
        assert other.get(address).status_code == 403
    assert "/monitoring/indicators" not in other.get("/monitoring/").content.decode()
    assert "/monitoring/indicators" in admin.get("/monitoring/").content.decode()


def letter(number: int, state: OutboxState) -> OutboxItem:
    now = product_clock.now()
    return OutboxItem.objects.create(
        kind=mail.KIND,
        key=f"k{number}",
        payload={"subject": f"Notice {number} <b>"},
        state=state,
        attempts=12,
        due_at=now,
        created_at=now,
        error="Permanent: no such box",
    )


def test_mail_that_was_given_up_is_tried_again_one_by_one_or_all(admin):
    one, two, three = (letter(number, OutboxState.FAILED) for number in range(3))
    page = admin.get("/monitoring/mail").content.decode()
    assert "3 were given up." in page
    assert "Notice 1 &lt;b&gt;" in page
    answer = admin.post(f"/monitoring/mail/{one.pk}", {"next": "mail"})
    assert answer["Location"] == "/monitoring/mail"
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.state, one.attempts, two.state) == (OutboxState.WAITING, 0, OutboxState.FAILED)
    admin.post("/monitoring/mail/again")
    for each in (two, three):
        each.refresh_from_db()
        assert each.state == OutboxState.WAITING


def test_a_long_list_of_mail_is_paged(admin):
    for number in range(101):
        letter(number, OutboxState.WAITING)
    page = admin.get("/monitoring/mail").content.decode()
    assert page.count("<tr id=") == 100
    older = re.search(r'href="(\?before=\d+)"', page)
    assert older
    assert admin.get(f"/monitoring/mail{older[1]}").content.decode().count("<tr id=") == 1
    assert admin.get("/monitoring/mail?before=99999999999999999999").status_code == 200
