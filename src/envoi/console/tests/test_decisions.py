"""Approvals are decided in the console or by the link of a mail; looking never decides."""

import re

import pytest
from django.test import Client

from envoi.engine import approvals
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Approval
from envoi.engine.testing import lines, make_workflow, run_until_passive, start, tasks
from envoi.kernel.testing import make_operator

pytestmark = pytest.mark.usefixtures("db", "clock")
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def julien():
    return make_operator("julien", email="julien@alpage.example", language="fr")


@pytest.fixture
def asked(julien):
    ways = (Transition("yes", "end", kind="answer"), Transition("no", "end", kind="answer"))
    question = Activity(
        "validation",
        "legal",
        transitions=ways,
        parameters={
            "assignee": {"operator": "julien"},
            "title": "Start “Doors open”?",
            "message": "361,004 e-mails <b>leave</b>.",
        },
    )
    workflow = start(make_workflow((question, Activity("end", "end")), name="asks"))
    return workflow, Approval.objects.get(workflow=workflow)


def client_of(operator) -> Client:
    client = Client()
    client.force_login(operator, BACKEND)
    return client


def test_what_waits_for_me_stands_first_on_my_home(asked, julien):
    page = client_of(julien).get("/").content.decode()
    assert "1 sujet vous attend" in page
    assert f"/decisions/{asked[1].pk}" in page
    assert "Vos décisions" in page


def test_a_question_is_quoted_as_it_came_and_answered_once(asked, julien):
    workflow, approval = asked
    client = client_of(julien)
    page = client.get(f"/decisions/{approval.pk}").content.decode()
    assert "361,004 e-mails &lt;b&gt;leave&lt;/b&gt;." in page
    assert re.findall(r'name="choice" value="(\w+)"', page) == ["no", "yes"]
    answer = client.post(f"/decisions/{approval.pk}", {"choice": "yes"}, follow=True)
    assert "Votre réponse est enregistrée\u00a0: Approuver." in answer.content.decode()
    run_until_passive()
    assert tasks(workflow)[-1][0] == "end"
    assert client.post(f"/decisions/{approval.pk}", {"choice": "no", "comment": "late"}).status_code == 409


def test_saying_no_takes_a_reason(asked, julien):
    _workflow, approval = asked
    client = client_of(julien)
    answer = client.post(f"/decisions/{approval.pk}", {"choice": "no"})
    assert answer.status_code == 400
    approval.refresh_from_db()
    assert approval.answer == ""
    client.post(f"/decisions/{approval.pk}", {"choice": "no", "comment": "wrong price"})
    approval.refresh_from_db()
    assert (approval.answer, approval.comment) == ("no", "wrong price")


def test_the_link_of_the_mail_works_without_signing_in_in_the_language_of_the_one_asked(asked):
    _workflow, approval = asked
    address = f"/approve/{approvals.token(approval.pk)}"
    client = Client()
    page = client.get(address)
    assert page.status_code == 200
    assert "Approuver" in page.content.decode()
    approval.refresh_from_db()
    assert approval.answer == "", "a program that opens links of mails decides nothing"
    after = client.post(address, {"choice": "yes"}, follow=True).content.decode()
    assert "Votre réponse est enregistrée" in after
    assert 'name="choice"' not in after
    approval.refresh_from_db()
    assert approval.answer == "yes"


@pytest.mark.parametrize("token", ["x", "MQ:abc:def"])
def test_a_forged_link_is_refused(asked, token):
    assert Client().get(f"/approve/{token}").status_code == 403


def test_nobody_sees_or_answers_the_question_of_another(asked):
    _workflow, approval = asked
    other = client_of(make_operator("other", ("ADMINISTRATION",)))
    assert other.get(f"/decisions/{approval.pk}").status_code == 404
    assert other.post(f"/decisions/{approval.pk}", {"choice": "yes"}).status_code == 404
    approval.refresh_from_db()
    assert approval.answer == ""


def test_a_closed_question_says_that_it_is_too_late(asked, julien):
    from envoi.engine import commands
    from envoi.kernel.testing import admin_actor

    workflow, approval = asked
    commands.post(admin_actor(), workflow.internal_name, commands.Command.STOP)
    run_until_passive()
    answer = client_of(julien).post(f"/decisions/{approval.pk}", {"choice": "yes"})
    assert answer.status_code == 409


def test_who_administers_approvals_sees_those_of_others_and_withdraws_them(asked):
    workflow, approval = asked
    address = f"/decisions/{approval.pk}/withdraw"
    plain = client_of(make_operator("plain", ("WORKFLOW",)))
    assert "Send" not in plain.get("/decisions/").content.decode()
    assert plain.post(address).status_code == 403
    chief = client_of(make_operator("chief", ("APPROVAL ADMINISTRATION",)))
    page = chief.get("/decisions/").content.decode()
    assert "What waits for others" in page
    assert address in page
    assert "Withdraw this question?" in chief.get(address).content.decode()
    approval.refresh_from_db()
    assert approval.closed_at is None, "looking withdraws nothing"
    assert chief.post(address).status_code == 302
    approval.refresh_from_db()
    assert approval.closed_at is not None
    run_until_passive()
    workflow.refresh_from_db()
    assert (tasks(workflow), workflow.get_state_display()) == ([("legal", "aborted")], "finished")
    assert "The question was withdrawn (operator 'chief')" in lines(workflow)
    assert chief.post(address).status_code == 409
    assert address not in chief.get("/decisions/").content.decode()
