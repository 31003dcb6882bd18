"""Each technical workflow is killed at ten moments; what it and its next run leave equals an undisturbed run.

A workflow that a package ships has its row in CASES: how to prepare an instance on which it has something to
do, and the tables that it writes. It is run by a real worker that dies before one of its statements: of all
that an undisturbed run sends, ten are chosen, from the first to the last. Then its tasks are taken over.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from pathlib import Path
from pprint import pformat
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection, connections

from envoi.app.testing import RUN
from envoi.engine import ticker
from envoi.engine.models import Task, TaskState, Worker, WorkerState, Workflow
from envoi.engine.testing import make_workflow, run_to, run_until_passive, start
from envoi.engine.workflow import end as end_activity
from envoi.engine.workflow import fork
from envoi.kernel import clock as kernel_clock
from envoi.kernel.testing import wait_until
from envoi.packages.delivery.models import DeliverabilityUpdate, PausedWorkflow
from envoi.packages.delivery.testing import make_hits, make_paused_workflow
from envoi.packages.delivery.tests.tracking.stage import Post
from envoi.postgres import databases

pytestmark = [pytest.mark.chaos]
VICTIM = Path(__file__).with_name("victim.py")
MOMENTS = 10


@dataclass(frozen=True)
class Case:
    """How to try one workflow."""

    prepare: Callable[[kernel_clock.Frozen], object]
    """Leaves the clock where the workflow is to be started."""
    tables: tuple[str, ...]
    """What it writes, besides mails, audit, and the state, tasks and journals of workflows."""
    next_run: timedelta


def paused_workflows(clock: kernel_clock.Frozen) -> None:
    """One is due for its first notice, one for its last; one is exempt, one is paused since yesterday."""
    monday = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
    clock.move_to(monday - timedelta(days=29))
    last = make_paused_workflow("last")
    make_paused_workflow("exempt", production=1)
    clock.move_to(monday - timedelta(days=8))
    PausedWorkflow.objects.create(
        workflow_id=last.pk, paused_at=last.paused_at, notices=3, noticed_at=monday - timedelta(days=7)
    )
    make_paused_workflow("first")
    clock.move_to(monday - timedelta(days=1))
    make_paused_workflow("fresh")
    clock.move_to(monday)


def finished_runs(clock: kernel_clock.Frozen) -> None:
    clock.move_to(datetime(2026, 11, 24, 4, 0, tzinfo=UTC))
    for number in range(3):
        diagram = (fork("split", then=("one", "two")), end_activity("one"), end_activity("two"))
        start(make_workflow(diagram, name=f"ran{number}"))
        clock.step(minutes=7)


def hits(clock: kernel_clock.Frozen) -> None:
    """Opens and clicks, some of them repeated or of a machine, on two deliveries; one on nothing.

    They have come just before the hourly run: what waits for longer is consumed without it.
    """
    clock.move_to(datetime(2026, 11, 24, 8, 20, tzinfo=UTC))
    posts = [Post.sent(20, label=label) for label in ("first", "second")]
    clock.move_to(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    found = [
        post.hit(reader, link, after=after, by=UUID(int=reader))
        for post in posts
        for reader in range(20)
        for link, after in (("open", 3600), ("open", 3590), ("coats", 3595))
    ]
    found += [posts[0].hit(3, link, after=3598, by=UUID(int=99)) for link in ("coats", "shoes", "hats")]
    make_hits(*found, {"broad_log_id": 1, "delivery_id": 999_999, "url_id": 1})


def rules_of_a_feed(clock: kernel_clock.Frozen) -> None:
    """A version of the feed was fetched, and waits to be carried out."""
    clock.move_to(datetime(2026, 11, 24, 1, 0, tzinfo=UTC))
    mx = {"connections": 7, "per_connection": 11, "per_hour": 1234, "shared": False}
    changed = "2026-11-20T00:00:00+00:00"
    DeliverabilityUpdate.objects.create(
        version=1,
        issued_at=kernel_clock.now(),
        fetched_at=kernel_clock.now(),
        url="https://feed.example",
        content={
            "mxRules": [{"name": f"mx{n}", "mask": f"*.mx{n}.example", **mx} for n in range(5)],
            "suppression": {"addresses": ["ab" * 32], "domains": ["trap.example"]},
            "texts": [{"text": "a text", "type": "hard", "reason": 1, "changed": changed}],
        },
    )


CASES = {
    "deliverabilityUpdate": Case(
        rules_of_a_feed,
        (
            "(SELECT version, applied_at, outcome FROM nms_deliverability_update)",
            "(SELECT name, kind, patterns, failure_type, active FROM nms_mail_rule)",
            "(SELECT mask, position, connections, per_hour FROM nms_mx_rule)",
            "(SELECT kind, key, reason FROM nms_suppression)",
            "(SELECT md5, text, failure_type, qualification, rule FROM nms_broad_log_msg)",
        ),
        timedelta(days=1),
    ),
    "cleanupPausedWorkflows": Case(paused_workflows, ("nms_paused_workflow",), timedelta(days=7)),
    "tracking": Case(
        hits,
        (
            "nms_tracking_inbox",
            "nms_delivery_tracking",
            "nms_delivery",
            # Without numbers of rows: a transaction that is rolled back has taken some.
            "(SELECT l.id, l.target_id, l.url_id, l.automatic, l.log_date, u.browser"
            " FROM nms_tracking_log_rcp l JOIN nms_user_agent u USING (user_agent_id))",
            "(SELECT delivery_id, url_id, start, total_clicks FROM nms_tracking_stats)",
            "(SELECT day, browser, os, visitors, pages, visitors_of_the_day FROM nms_user_agents_stats)",
        ),
        timedelta(hours=1),
    ),
    "collectDataHeatMapService": Case(finished_runs, ("xtk_heat_map_task",), timedelta(days=1)),
}


def test_every_shipped_workflow_has_its_case(db):
    shipped = Workflow.objects.filter(built_in=True).values_list("internal_name", flat=True)
    assert sorted(shipped) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_killed_at_ten_moments_it_ends_as_if_undisturbed(name, committed_db, clock, request, tmp_path):
    case, stage = CASES[name], Stage(request.config.stash[RUN].lease, committed_db, tmp_path)
    case.prepare(clock)
    workflow = start(Workflow.objects.get(internal_name=name))
    due = Task.objects.get(workflow=workflow, status=TaskState.PENDING).due_at
    clock.move_to(due)

    with stage.copy() as victim:
        process = victim(0)
        wait_until(lambda: ended(workflow))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        sent = int(stage.file.read_text())
        undisturbed = outcome(case, clock, due)
    assert sent >= MOMENTS
    assert undisturbed["tasks"][name] != []

    moments = sorted({1 + each * (sent - 1) // (MOMENTS - 1) for each in range(MOMENTS)})
    for moment in moments:
        clock.move_to(due)
        with stage.copy() as victim:
            if not killed(victim(moment), workflow):
                # A job that is queued twice makes the undisturbed run longer than this one.
                assert moment == moments[-1], f"it has not reached statement {moment} of {sent}"
            for worker in Worker.objects.filter(state=WorkerState.RUNNING).values_list("pk", flat=True):
                ticker.bury(worker)
            disturbed = outcome(case, clock, due)
        assert differences(undisturbed, disturbed) == [], f"killed before statement {moment} of {sent}"


def ended(workflow: Workflow) -> bool:
    """Whether the run that was due has ended, and the next one waits."""
    done = Task.objects.filter(workflow=workflow, status=TaskState.COMPLETED).count() > 1
    return done and not Workflow.objects.filter(pk=workflow.pk, busy_since__isnull=False).exists()


def killed(process: subprocess.Popen[bytes], workflow: Workflow) -> bool:
    """Whether the victim has died by itself. If it lives a while after the run, it is killed."""
    wait_until(lambda: process.poll() is not None or ended(workflow))
    try:
        # What the worker notes of a task comes after the task's own end.
        return process.wait(10) == -signal.SIGKILL
    except subprocess.TimeoutExpired:
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        return False


class Stage:
    """The prepared database, and copies of it to be killed on."""

    def __init__(self, lease, prepared, folder: Path) -> None:
        self.lease, self.prepared, self.file = lease, prepared, folder / "sent"
        self.clock_file = folder / "clock"

    @contextmanager
    def copy(self) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
        """Work on a copy, in this process and in the victims that it starts."""
        name = f"k_{secrets.token_hex(6)}"
        connections.close_all()
        databases.create_database(self.lease, name, template=self.prepared.name)
        kept, settings.DATABASES["default"]["NAME"] = settings.DATABASES["default"]["NAME"], name
        self.clock_file.write_text(kernel_clock.now().isoformat())
        started: list[subprocess.Popen[bytes]] = []

        def victim(deadly: int) -> subprocess.Popen[bytes]:
            environment = os.environ | self.prepared.env | {
                "DATABASE_URL": self.lease.url(dbname=name), "ENVOI_CLOCK_FILE": str(self.clock_file),
                # Mails name the instance; the one of this process is called after it.
                "ENVOI_INSTANCE_NAME": settings.CONFIG.instance.name,
            }  # fmt: skip
            command = [sys.executable, str(VICTIM), str(deadly), str(self.file)]
            started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
            return started[-1]

        try:
            yield victim
        finally:
            for process in started:
                process.kill()
                process.wait()
            connections.close_all()
            settings.DATABASES["default"]["NAME"] = kept
            databases.drop_database(self.lease, name)


def outcome(case: Case, clock: kernel_clock.Frozen, due: datetime) -> dict[str, object]:
    """Finish what is left, let the next run come, and return all that is there then, without row numbers."""
    run_until_passive()
    first = picture(case)
    run_to(due + case.next_run, clock)
    return picture(case) | {"first": first}


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    written = [pformat(each, width=400).splitlines() for each in (one, other)]
    return list(unified_diff(*written, n=0, lineterm=""))


def picture(case: Case) -> dict[str, object]:
    tables = {
        table: rows(
            f"SELECT to_jsonb(r) - 'task_id' AS row FROM {table} r ORDER BY (to_jsonb(r) - 'task_id')::text"
        )
        for table in case.tables
    }
    return {
        **tables,
        "mails": rows("SELECT key, payload, state FROM xtk_outbox ORDER BY key"),
        "audit": rows(
            "SELECT entity, entity_key, action, at, operator_name FROM xtk_audit ORDER BY audit_id"
        ),
        "workflows": rows(
            "SELECT internal_name, state, failed, paused_at, finished_at, variables FROM xtk_workflow"
            " ORDER BY internal_name"
        ),
        "tasks": by_workflow(
            "SELECT w.internal_name, t.activity, t.status, t.completed_at FROM xtk_workflow_task t"
            " JOIN xtk_workflow w USING (workflow_id) ORDER BY t.task_id"
        ),
        # Not what the take-over says, nor the numbers of tasks: those of what was rolled back are left out.
        "journals": by_workflow(
            "SELECT w.internal_name, l.activity, l.level, l.message, l.params - 'task' AS params, l.at"
            " FROM xtk_workflow_log l JOIN xtk_workflow w USING (workflow_id)"
            " WHERE NOT starts_with(l.message, 'Worker %(worker)s has died') ORDER BY l.log_id"
        ),
    }


def rows(query: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [json.dumps(row, default=str) for row in cursor.fetchall()]


def by_workflow(query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows(query):
        found.setdefault(json.loads(row)[0], []).append(row)
    return found
