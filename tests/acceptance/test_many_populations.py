"""Many targeting workflows at once: all come to their end with the right rows, and the worker stays small."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from envoi.postgres import server

STAGE = Path(__file__).with_name("many_populations_stage.py")
MOST_MB = 200
LEFT = "SELECT count(*) FROM xtk_workflow WHERE internal_name LIKE 'many%' AND state <> 20 AND NOT failed"
FAILURES = """
    SELECT DISTINCT l.activity, l.params->>'error'
    FROM xtk_workflow_log l JOIN xtk_workflow w USING (workflow_id)
    WHERE w.failed AND l.params ? 'error'"""
# What the last event of each workflow says next to the same by hand.
WRONG = """
    WITH said AS (
      SELECT w.internal_name, substr(w.internal_name, 5)::int AS number,
        (e.variables->>'recCount')::int AS rows
      FROM xtk_workflow w JOIN xtk_workflow_event e USING (workflow_id)
      WHERE w.internal_name LIKE 'many%' AND e.source = 'exclude')
    SELECT w.internal_name, w.failed, s.rows FROM xtk_workflow w LEFT JOIN said s USING (internal_name)
    WHERE w.internal_name LIKE 'many%' AND (w.failed OR s.rows IS DISTINCT FROM (
      SELECT count(*) FROM nms_recipient r WHERE r.recipient_id % 3 = s.number % 3 AND NOT EXISTS (
        SELECT 1 FROM nms_rcp_grp_rel m JOIN nms_group g USING (group_id)
        WHERE g.name = 'many' || s.number % {lists} AND m.recipient_id = r.recipient_id)))"""


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.parametrize(
    ("profiles", "lists", "workflows", "seconds"),
    [
        (20_000, 20, 20, 85),
        pytest.param(
            1_000_000, 1000, 50, 1500, id="soak", marks=(pytest.mark.soak, pytest.mark.timeout(2400))
        ),
    ],
)
def test_many_targeting_workflows_at_once(home, run_envoi, profiles, lists, workflows, seconds):
    run_envoi("init", "--packages", "core_default,delivery", home=home, code=0)
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env = kept | {"ENVOI_HOME": str(home)}
    with server.acquire(home) as lease:
        given = [str(each) for each in (profiles, lists, workflows)]
        done = subprocess.run(
            [sys.executable, str(STAGE), *given], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        worker = subprocess.Popen(
            [sys.executable, "-m", "envoi.cli", "worker"], env=env, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + seconds
            with psycopg.connect(lease.dsn(), autocommit=True) as session:
                while (session.execute(LEFT).fetchone() or [1])[0]:
                    assert time.monotonic() < deadline, "the workflows have not come to their end"
                    time.sleep(0.2)
                assert session.execute(FAILURES).fetchall() == []
                assert peak_mb(worker.pid) < MOST_MB
                assert session.execute(WRONG.format(lists=lists)).fetchall() == []  # pyright: ignore[reportArgumentType]
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0
