"""Approvals through `/api/v1/`: who signs in how, what is answered, what the description says."""

import base64
import re

import pytest
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Approval
from envoi.engine.testing import make_workflow, run_until_passive, start, tasks
from envoi.kernel.models import AuditEntry
from envoi.kernel.testing import PASSWORD, make_operator
from envoi.web.openapi import DOCUMENT

pytestmark = pytest.mark.usefixtures("db", "clock")


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def julien():
    return make_operator("julien", password=PASSWORD)


@pytest.fixture
def asked(julien):
    ways = (Transition("yes", "end", "Ship it", kind="answer"), Transition("no", "end", kind="answer"))
    question = Activity(
        "validation",
        "legal",
        transitions=ways,
        parameters={"assignee": {"operator": "julien"}, "title": "Send?", "message": "To <b>all</b>."},
    )
    workflow = start(make_workflow((question, Activity("end", "end")), name="asks"))
    return workflow, Approval.objects.get(workflow=workflow).pk


def post(number: int, headers: dict[str, str], *, client: Client | None = None, **answer: object):
    address = f"/api/v1/approvals/{number}/answer"
    return (client or Client()).post(address, answer, content_type="application/json", headers=headers)


@pytest.mark.case("E27")
def test_what_waits_is_listed_and_answered_once(asked):
    workflow, number = asked
    found = Client().get("/api/v1/approvals", headers=basic("Julien")).json()["approvals"]
    assert [(each["number"], each["title"], each["message"]) for each in found] == [
        (number, "Send?", "To <b>all</b>.")
    ]
    assert found[0]["choices"] == [{"name": "yes", "label": "Ship it"}, {"name": "no", "label": "no"}]
    assert post(number, basic("julien"), choice="perhaps").status_code == 400
    done = post(number, basic("julien"), choice="yes", comment=" fine ")
    assert (done.status_code, done.json()["answer"], done.json()["open"]) == (200, "yes", False)
    run_until_passive()
    assert tasks(workflow)[-1] == ("end", "completed")
    late = post(number, basic("julien"), choice="no")
    assert (late.status_code, "cannot be changed" in late.json()["error"]) == (409, True)
    assert Client().get("/api/v1/approvals", headers=basic("julien")).json() == {"approvals": []}
    assert Client().get(f"/api/v1/approvals/{number}", headers=basic("julien")).json()["answer"] == "yes"
    assert AuditEntry.objects.get(action="Reply").operator_name == "julien"


def test_the_question_of_another_is_not_there(asked):
    _workflow, number = asked
    make_operator("admin2", ("ADMINISTRATION",), password=PASSWORD)
    assert Client().get(f"/api/v1/approvals/{number}", headers=basic("admin2")).status_code == 404
    assert post(number, basic("admin2"), choice="yes").status_code in (403, 404)
    assert Client().get("/api/v1/approvals", headers=basic("admin2")).json() == {"approvals": []}


def test_a_session_does_not_sign_in_here(asked, julien):
    """So a page of another site cannot answer with the cookies of whoever looks at it."""
    _workflow, number = asked
    client = Client(enforce_csrf_checks=True)
    client.force_login(julien, "django.contrib.auth.backends.ModelBackend")
    answer = post(number, {}, client=client, choice="yes")
    assert (answer.status_code, answer["WWW-Authenticate"].split()[0]) == (401, "Basic")
    assert client.get("/api/v1/approvals").status_code == 401
    form = client.post(f"/api/v1/approvals/{number}/answer", {"choice": "yes"}, headers=basic("julien"))
    assert form.status_code == 400
    assert Approval.objects.get().answer == ""
    assert "sessionid" not in Client().get("/api/v1/approvals", headers=basic("julien")).cookies


@pytest.mark.parametrize(
    "given", ["Basic !!", "Basic " + base64.b64encode(b"julien").decode(), "Bearer x", ""]
)
def test_a_header_that_cannot_be_read_is_refused(julien, given):
    assert Client().get("/api/v1/approvals", headers={"Authorization": given}).status_code == 401


def test_wrong_passwords_pause_the_name_through_every_door(asked):
    client = Client()
    for _ in range(5):
        answer = client.get("/api/v1/approvals", headers=basic("JULIEN", "wrong"))
    assert answer.status_code == 429
    assert answer.json()["error"].startswith("Too many tries")
    assert 0 < int(answer["Retry-After"]) <= 900
    assert client.get("/api/v1/approvals", headers=basic("julien")).status_code == 429
    form = client.post("/sign-in", {"username": "julien", "password": PASSWORD})
    assert form.status_code == 429


def test_a_right_password_forgives_the_wrong_ones(julien):
    for _ in range(2):
        for _ in range(4):
            Client().get("/api/v1/approvals", headers=basic("julien", "wrong"))
        assert Client().get("/api/v1/approvals", headers=basic("julien")).status_code == 200


def test_a_second_factor_is_refused_with_a_word(asked, julien):
    TOTPDevice.objects.create(user=julien, name="phone", confirmed=True)
    answer = Client().get("/api/v1/approvals", headers=basic("julien"))
    assert (answer.status_code, "second factor" in answer.json()["error"]) == (403, True)


def test_disabled_operators_do_not_get_in():
    make_operator("gone", password=PASSWORD, disabled=True)
    assert Client().get("/api/v1/approvals", headers=basic("gone")).status_code == 401


@pytest.mark.parametrize("sent", ["{", "[]", '{"choice": 1}', '{"chioce": "yes"}'])
def test_a_body_that_is_not_understood_is_refused(asked, sent):
    address = f"/api/v1/approvals/{asked[1]}/answer"
    answer = Client().post(address, sent, content_type="application/json", headers=basic("julien"))
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_description_fits_what_is_answered(asked):
    document = Client().get("/api/v1/openapi.json").json()
    assert document == DOCUMENT
    assert document["openapi"] == "3.1.0"
    shapes = document["components"]["schemas"]
    found = Client().get("/api/v1/approvals", headers=basic("julien")).json()["approvals"][0]
    assert set(found) == set(shapes["Approval"]["properties"])
    for path, operations in document["paths"].items():
        address = "/api/v1" + re.sub(r"{\w+}", str(asked[1]), path)
        for method in ("get", "post"):
            answer = Client().generic(method.upper(), address)
            assert answer.status_code == (401 if method in operations else 405), (method, address)
