"""Workflows paused for too long: who is told, when, and what happens in the end (engine.md §8.2)."""

import email
import email.policy
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from django.conf import settings

from envoi.engine import commands, editing, notify, supervision
from envoi.engine.commands import Command
from envoi.engine.models import Severity, State, Workflow
from envoi.engine.testing import lines, run_to, run_until_passive, start, tasks
from envoi.kernel import clock as kernel_clock
from envoi.kernel import options, outbox
from envoi.kernel.config import SmtpConfig
from envoi.kernel.errors import Invalid, NotAllowed
from envoi.kernel.models import AuditEntry, Group, OutboxItem
from envoi.kernel.rights import Right, actor_of
from envoi.kernel.testing import admin_actor, make_actor, make_operator
from envoi.packages.delivery.models import PausedWorkflow
from envoi.packages.delivery.services import paused_workflows
from envoi.packages.delivery.testing import make_paused_workflow
from envoi.packages.delivery.workflows.cleanup_paused_workflows import workflow as shipped

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd")]
NAME = "cleanupPausedWorkflows"
MONDAY = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


class Sink:
    """A relay that keeps what it is given."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((sorted(envelope.rcpt_tos), parsed["Subject"], parsed.get_content()))
        return "250 taken"

    def take(self):
        """Let the outbox deliver, and return the mails since the last time, by recipient."""
        outbox.deliver()
        taken, self.mails = sorted(self.mails), []
        return taken

    def recipients(self):
        return [to for (to,), _subject, _text in self.take()]


@pytest.fixture
def sink(monkeypatch):
    found = Sink()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(found, hostname="127.0.0.1", port=port)
    controller.start()
    url = f"smtp://127.0.0.1:{port}"
    config = replace(settings.CONFIG, smtp=SmtpConfig(url=url, sender="envoi@example.com"))
    monkeypatch.setattr(settings, "CONFIG", config)
    yield found
    controller.stop()


@pytest.fixture(autouse=True)
def _monday(clock):
    """All of this begins on a Monday, an hour before the check."""
    clock.move_to(MONDAY)


def begin():
    start(Workflow.objects.get(internal_name=NAME))


def reason_of(workflow):
    return supervision.workflow(admin_actor(), workflow.internal_name, "en").row.reason


@pytest.mark.case("E38")
def test_eight_days_bring_a_notice_to_those_concerned_and_four_weeks_the_end(clock, sink, client):
    make_operator("root", rights=(Right.ADMINISTRATION,), email="root@example.org")
    make_operator("sue", groups=("watchers",), email="sue@example.org")
    make_operator("mute", groups=("watchers",))
    workflow = make_paused_workflow(supervisor_group_id=Group.objects.get(name="watchers").pk)
    changer = make_operator("changer", rights=(Right.ADMINISTRATION,), email="changer@example.org")
    editing.save(actor_of(changer), workflow.internal_name, description="changed")
    begin()
    concerned = ["changer@example.org", "creator@example.org", "sue@example.org"]

    run_to(MONDAY + timedelta(days=6), clock)
    assert sink.take() == []
    assert "paused for" not in reason_of(workflow)
    run_to(MONDAY + timedelta(days=8), clock)
    mails = sink.take()
    assert [to for (to,), _subject, _text in mails] == concerned
    assert all("WKF_spring" in text and "notice 1 of 4" in text for _to, _subject, text in mails)
    assert "paused for 8 days" in reason_of(workflow)
    client.force_login(changer, "django.contrib.auth.backends.ModelBackend")
    assert "paused for 8 days" in client.get("/monitoring/").content.decode()

    for week in (2, 3):
        run_to(MONDAY + timedelta(days=7 * week + 1), clock)
        assert sink.recipients() == concerned
        workflow.refresh_from_db()
        assert workflow.state == State.PAUSED
    run_to(MONDAY + timedelta(days=29), clock)
    mails = sink.take()
    assert [to for (to,), _subject, _text in mails] == concerned
    assert all("was stopped" in subject for _to, subject, _text in mails)
    workflow.refresh_from_db()
    assert (workflow.state, workflow.failed) == (State.FINISHED, False)
    assert "Paused for 28 days, 4 notices remained without effect: it is stopped" in lines(workflow)
    assert AuditEntry.objects.filter(entity_key="WKF_spring", action=Command.KILL.value).count() == 1
    run_to(MONDAY + timedelta(days=60), clock)
    assert sink.take() == []


@pytest.mark.case("E38")
@pytest.mark.parametrize("severity", [Severity.PRODUCTION, Severity.CRITICAL])
def test_other_severities_than_normal_are_never_touched(clock, sink, severity):
    workflow = make_paused_workflow(production=int(severity))
    begin()
    run_to(MONDAY + timedelta(days=60), clock)
    workflow.refresh_from_db()
    assert workflow.state == State.PAUSED
    assert sink.take() == []
    assert "paused for" not in reason_of(workflow)


@pytest.mark.case("E38")
def test_with_a_period_of_two_days_the_end_comes_about_day_eight(clock, sink):
    options.set(paused_workflows.OPTION, 2, actor=admin_actor())
    workflow = make_paused_workflow()
    begin()
    told = []
    for hours in range(0, 11 * 24, 6):
        run_to(MONDAY + timedelta(hours=hours), clock)
        told += [hours // 24 for _mail in sink.take()]
        workflow.refresh_from_db()
        if workflow.state == State.FINISHED:
            break
    assert told == [2, 4, 6, 8]
    assert workflow.state == State.FINISHED


def test_a_pause_in_the_middle_of_the_week_is_told_of_daily_when_the_period_is_short(clock, sink):
    options.set(paused_workflows.OPTION, 2, actor=admin_actor())
    begin()
    run_to(MONDAY + timedelta(days=3, hours=10), clock)
    workflow = make_paused_workflow()
    run_to(MONDAY + timedelta(days=20), clock)
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED
    assert workflow.finished_at - MONDAY - timedelta(days=3) < timedelta(days=9, hours=2)
    assert len(sink.take()) == 4


def test_the_days_between_two_mondays_are_one_task_that_ends_before_the_next(clock):
    options.set(paused_workflows.OPTION, 3, actor=admin_actor())
    begin()
    run_to(MONDAY + timedelta(days=6, hours=2), clock)
    found = Workflow.objects.get(internal_name=NAME)
    assert tasks(found) == [("every_monday", "pending"), ("check", "completed"), ("end", "completed")]
    assert lines(found).count("0 notices about paused workflows") == 7


def test_a_resumed_workflow_counts_anew(clock, sink):
    workflow = make_paused_workflow()
    begin()
    run_to(MONDAY + timedelta(days=22), clock)
    assert len(sink.take()) == 3
    actor = admin_actor()
    commands.post(actor, workflow.internal_name, Command.RESTART)
    run_until_passive()
    workflow.refresh_from_db()
    assert (workflow.state, workflow.paused_at) == (State.PAUSED, kernel_clock.now())
    run_to(MONDAY + timedelta(days=29, hours=-1), clock)
    assert sink.take() == []
    run_to(MONDAY + timedelta(days=36), clock)
    assert all("notice 1 of 4" in text for _to, _subject, text in sink.take())
    assert PausedWorkflow.objects.get().notices == 1
    commands.post(actor, workflow.internal_name, Command.START)
    run_to(MONDAY + timedelta(days=43), clock)
    assert not PausedWorkflow.objects.exists()


def test_each_person_is_told_once_and_in_their_language(sink, clock):
    operator = make_operator("sofia", rights=(Right.WORKFLOW,), email="sofia@example.org", language="fr")
    workflow = make_paused_workflow(supervisor_operator_id=operator.pk)
    Workflow.objects.filter(pk=workflow.pk).update(created_by=operator, modified_by=operator)
    clock.step(days=8)
    assert paused_workflows.look_after(actor=admin_actor()) == 1
    ((to, subject, text),) = sink.take()
    assert to == ["sofia@example.org"]
    assert "en pause" in subject
    assert "depuis 8 jours" in text


def test_without_supervisors_the_standard_group_is_told(sink, clock):
    make_operator("watch", groups=(notify.STANDARD_GROUP,), email="watch@example.org")
    make_operator("gone", groups=(notify.STANDARD_GROUP,), email="gone@example.org", disabled=True)
    make_paused_workflow()
    clock.step(days=8)
    paused_workflows.look_after(actor=admin_actor())
    assert sink.recipients() == ["creator@example.org", "watch@example.org"]


def test_a_second_run_of_the_same_day_writes_nothing_more(clock):
    make_paused_workflow()
    clock.step(days=8)
    assert paused_workflows.look_after(actor=admin_actor()) == 1
    written = OutboxItem.objects.count()
    clock.step(hours=3)
    assert paused_workflows.look_after(actor=admin_actor()) == 0
    assert OutboxItem.objects.count() == written


def test_a_check_that_was_missed_for_weeks_gives_one_notice_not_four(clock, sink):
    workflow = make_paused_workflow()
    clock.step(days=90)
    for day in range(3):
        paused_workflows.look_after(actor=admin_actor())
        clock.step(days=1)
        assert PausedWorkflow.objects.get().notices == 1, day
    workflow.refresh_from_db()
    assert workflow.state == State.PAUSED


def test_its_work_tables_stay_for_the_cleanup(clock, db):
    workflow = make_paused_workflow()
    for _ in range(4):
        clock.step(days=8)
        paused_workflows.look_after(actor=admin_actor())
    workflow.refresh_from_db()
    assert workflow.state == State.FINISHED
    assert workflow.worktable_set.count() == 1


@pytest.mark.parametrize("value", [0, -3])
def test_a_period_that_is_none_is_refused_and_nothing_written(clock, value):
    make_paused_workflow()
    options.set(paused_workflows.OPTION, value, actor=admin_actor())
    clock.step(days=90)
    with pytest.raises(Invalid, match="1 or more"):
        paused_workflows.look_after(actor=admin_actor())
    assert not PausedWorkflow.objects.exists()


def test_only_administrators_look_after_paused_workflows():
    with pytest.raises(NotAllowed):
        paused_workflows.look_after(actor=make_actor("sofia", rights=(Right.WORKFLOW,)))


def test_the_diagram():
    stored = Workflow.objects.get(internal_name=NAME)
    assert stored.definition == shipped.definition.to_json()
    assert [(a.type, a.name, [w.target for w in a.transitions]) for a in shipped.activities] == [
        ("schedule", "every_monday", ["check"]),
        ("call", "check", ["end"]),
        ("end", "end", []),
    ]
    assert (stored.package, stored.production, stored.folder.name) == ("delivery", 0, "nmsTechnicalWorkflow")
    assert supervision.workflow(admin_actor(), NAME, "en").row.schedule
