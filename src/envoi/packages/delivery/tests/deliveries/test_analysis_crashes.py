"""An analysis whose process is killed at any step: the next one goes on, and ends as if undisturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest
from django.db import connection

from envoi.kernel.errors import Conflict
from envoi.kernel.rights import internal
from envoi.packages.delivery.models import BroadLogRcp, DeliveryPart, DeliveryRun, DlvExclusion, RunStep
from envoi.packages.delivery.services import analysis, deliveries
from envoi.packages.delivery.services.analysis import runs
from envoi.packages.delivery.testing import make_recipients

PEOPLE = 4000
WORK = """
import sys
from pathlib import Path
from envoi.app import boot
boot.setup(Path(sys.argv[1]))
from envoi.packages.delivery.services import analysis
from envoi.packages.delivery.services.analysis import forgetting, writing
writing.BATCH, forgetting.BATCH = 600, 500
analysis.work(int(sys.argv[2]), told=lambda run: print(run.step, flush=True))
"""


def begin() -> DeliveryRun:
    delivery = deliveries.create(
        deliveries.find("mail", actor=internal()),
        actor=internal(),
        targeting={"filter": "@id > 0", "exclude": {"limit": 3000}, "control": {"percent": 5}},
    )
    return analysis.start(delivery, actor=internal(), queue=False)


def found(run: DeliveryRun) -> Any:
    """Return what an analysis has found, whatever the ids: exclusions by reason, messages, parts."""
    parts = DeliveryPart.objects.filter(run=run).values_list("quantity", flat=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*), count(DISTINCT l.id) FROM nms_delivery_part p JOIN nms_broad_log_rcp l
                 ON l.run_id = p.run_id AND l.id BETWEEN p.first_id AND p.last_id AND l.status = 6
               WHERE p.run_id = %s""",
            [run.pk],
        )
        held = cursor.fetchone()
    return (
        sorted(DlvExclusion.objects.filter(run=run).values_list("failure_reason", "count")),
        BroadLogRcp.objects.filter(run_id=run.pk).count(),
        BroadLogRcp.objects.filter(run_id=run.pk, status=6).count(),
        sum(parts),
        held,
    )


@pytest.mark.chaos
def test_killed_at_its_steps_an_analysis_ends_as_if_undisturbed(committed_db: Any) -> None:
    make_recipients(PEOPLE)
    undisturbed = analysis.work(begin().pk)
    run = begin()
    dice, killed = random.Random(3), set()
    for _attempt in range(12):
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", WORK, str(committed_db.home), str(run.pk)],
            env={**os.environ, **committed_db.env},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        for step in (child.stdout.readline() for _line in range(3)):
            if step:
                killed.add(int(step))
        time.sleep(dice.uniform(0, 0.03))
        child.send_signal(signal.SIGKILL)
        child.wait(60)
        child.stdout.close()
        run.refresh_from_db()
        if run.step >= RunStep.READY:
            break
        for _wait in range(100):  # the server notices that the session is gone when its statement ends
            if (runs.JOB, run.pk) in runs.queue_lost():
                break
            time.sleep(0.05)
        assert (runs.JOB, run.pk) in runs.queue_lost()
    assert run.step == RunStep.READY
    assert len(killed) >= 5
    assert found(run) == found(undisturbed)
    _reasons, logs, pending, in_parts, (held, distinct) = found(run)
    assert logs == PEOPLE
    assert pending == in_parts == held == distinct == run.counts["deliver"]
    assert runs.queue_lost() == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'wkdlv%%'")
        assert cursor.fetchone() == (0,)


def test_two_processes_never_work_on_one_analysis(committed_db: Any) -> None:
    make_recipients(5)
    run = begin()
    with psycopg.connect(committed_db.url) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", [runs.CLASS, run.pk])
        with pytest.raises(Conflict, match="Another process"):
            analysis.work(run.pk)
        other.execute("SELECT pg_advisory_unlock(%s, %s)", [runs.CLASS, run.pk])
    assert analysis.work(run.pk).step == RunStep.READY
