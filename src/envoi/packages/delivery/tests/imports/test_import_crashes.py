"""An import whose process, or whose server, is killed at any moment: the next one goes on, and counts are
exact.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from envoi.packages.delivery.models import Import, ImportBatch, ImportReject, ImportState, Recipient
from envoi.packages.delivery.services import imports
from envoi.packages.delivery.services.imports import checkpoint, cleaning, merging, tables

ROWS = 6000
WORK = """
import sys
from pathlib import Path
from envoi.app import boot
boot.setup(Path(sys.argv[1]))
from envoi.engine.files import reading
from envoi.packages.delivery.services import imports
from envoi.packages.delivery.services.imports import cleaning, merging, staging
reading.BATCH_BYTES = 20_000
cleaning.LINES, merging.LINES, staging.GROUP = 900, 700, 1
print("ready", flush=True)
imports.work(int(sys.argv[2]))
"""


def people(path: Path) -> None:
    """Write a file with new, doubled and wrong lines; each hundredth is wrong, each fiftieth comes again."""
    lines = ["email,lastName,mobilePhone"]
    for number in range(ROWS):
        name = f"p{number - 1 if number % 50 == 49 else number}@example.org"
        if number % 100 == 7:
            name = "wrong"
        lines.append(f"{name},Name {number},06 {10_000_000 + number}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.chaos
def test_killed_ten_times_an_import_ends_as_if_undisturbed(committed_db, tmp_path: Path) -> None:
    from envoi.engine import files
    from envoi.kernel.rights import internal

    path = tmp_path / "people.csv"
    people(path)
    dice = random.Random(7)
    form = files.detect(files.Source.of(path))
    job = imports.create(path, form, actor=internal())
    imports.start(job, actor=internal(), queue=False)
    hits, states = 0, set()
    for _attempt in range(60):
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", WORK, str(committed_db.home), str(job.pk)],
            env={**os.environ, **committed_db.env},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()
        if hits < 10:
            time.sleep(dice.uniform(0.01, 0.2))
            child.send_signal(signal.SIGKILL)
        child.wait(60)
        child.stdout.close()
        job.refresh_from_db()
        if job.status is ImportState.FINISHED:
            break
        states.add(job.status)
        hits += child.returncode == -signal.SIGKILL
        # The session of the dead is noticed by the server when its statement ends.
        for _wait in range(100):
            if checkpoint.try_lock(job.pk):
                checkpoint.unlock(job.pk)
                break
            time.sleep(0.1)
    assert (job.status, job.error) == (ImportState.FINISHED, "")
    assert hits >= 3
    wrong = sum(1 for n in range(ROWS) if n % 100 == 7)
    doubles = ROWS // 50
    assert (job.rows, job.rejected, job.doubles, job.inserted) == (
        ROWS,
        wrong,
        doubles,
        ROWS - wrong - doubles,
    )
    assert Recipient.objects.count() == job.inserted
    assert ImportReject.objects.filter(job=job).count() == wrong
    assert sum(ImportBatch.objects.filter(job=job).values_list("inserted", flat=True)) == job.inserted
    assert not tables.exists(job.staging)


def test_tables_that_a_crash_of_the_server_emptied_are_filled_again(
    db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envoi.engine import files
    from envoi.kernel.rights import internal

    path = tmp_path / "people.csv"
    people(path)
    monkeypatch.setattr(merging, "LINES", 1000)
    monkeypatch.setattr(cleaning, "LINES", 1000)
    job = imports.create(path, files.detect(files.Source.of(path)), actor=internal())
    imports.start(job, actor=internal(), queue=False)
    real, batches = merging._batch, 0

    def two_batches(*given: object) -> None:
        nonlocal batches
        batches += 1
        if batches == 3:
            raise KeyboardInterrupt
        real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(merging, "_batch", two_batches)
    with pytest.raises(KeyboardInterrupt):
        imports.work(job.pk)
    job.refresh_from_db()
    assert (job.status, job.merged_line) == (ImportState.MERGING, 2000)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {job.staging}, {job.staging}_clean, {job.staging}_double")
    monkeypatch.setattr(merging, "_batch", real)
    job = imports.work(job.pk)
    wrong, doubles = ROWS // 100, ROWS // 50
    assert (job.error, job.rows, job.rejected, job.doubles) == ("", ROWS, wrong, doubles)
    assert Recipient.objects.count() == job.inserted == ROWS - wrong - doubles


def test_two_processes_never_work_on_one_import(committed_db, tmp_path: Path) -> None:
    import psycopg

    from envoi.engine import files
    from envoi.kernel.errors import Conflict
    from envoi.kernel.rights import internal
    from envoi.packages.delivery.services.imports import jobs

    path = tmp_path / "people.csv"
    path.write_text("email\na@example.org\n", encoding="utf-8")
    job = imports.create(path, files.detect(files.Source.of(path)), actor=internal())
    imports.start(job, actor=internal(), queue=False)
    assert jobs.queue_lost() == [(jobs.JOB, job.pk)]
    with psycopg.connect(committed_db.url) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", (checkpoint.CLASS, job.pk))
        assert jobs.queue_lost() == []
        with pytest.raises(Conflict):
            imports.work(job.pk)
        # Said, not left to the end of the connection, which the server notices a moment later.
        other.execute("SELECT pg_advisory_unlock(%s, %s)", (checkpoint.CLASS, job.pk))
    assert imports.work(job.pk).status is ImportState.FINISHED
    assert jobs.queue_lost() == []
    assert Import.objects.get().inserted == 1
