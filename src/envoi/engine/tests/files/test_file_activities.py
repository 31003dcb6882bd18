"""Activities on files: collected, loaded into a population, extracted again (engine.md §6.3–6.5)."""

import csv
import gzip
import os
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from envoi.engine import commands, local_files
from envoi.engine.definition import Activity, Transition
from envoi.engine.models import Event, State, Task, TaskState, Workflow
from envoi.engine.testing import chain, lines, make_workflow, run_one, run_to, run_until_passive, start
from envoi.kernel import clock as kernel_clock
from envoi.kernel import options
from envoi.kernel.models.option import DataType
from envoi.kernel.rights import internal
from envoi.kernel.testing import admin_actor

HOURLY = {"frequency": "several", "every_seconds": 3600}


@pytest.fixture
def folder(db: None, tmp_path: Path) -> Path:
    """A folder that workflows may use."""
    options.set(local_files.FOLDERS, str(tmp_path), actor=internal(), data_type=DataType.MEMO)
    inbox = tmp_path / "in"
    inbox.mkdir()
    return inbox


def collector(
    folder: Path, *, ways: tuple[Transition, ...] = (), process_errors: bool = False, **parameters: Any
) -> Activity:
    given = {"directory": str(folder), "archive": str(folder.parent / "archive"), **parameters}
    return Activity(
        "directorywatcher",
        "collect",
        parameters=given,
        transitions=ways or (Transition("transition", "end"),),
        process_errors=process_errors,
    )


def fired(workflow: Workflow, transition: str = "transition") -> list[str]:
    """Return the names of the files that a transition of the collector has carried, in order."""
    found = Event.objects.filter(workflow=workflow, source="collect", transition=transition).order_by("pk")
    return [Path(event.variables["filename"]).name for event in found]


def run(*activities: Activity) -> Workflow:
    return start(make_workflow((*activities, Activity("end", "end"))))


def test_files_are_archived_under_free_names_and_each_is_passed_on(folder: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (folder / name).write_text(name, encoding="utf-8")
    archive = folder.parent / "archive"
    archive.mkdir()
    (archive / "a.csv").write_text("older", encoding="utf-8")
    workflow = run(collector(folder, filter="*.csv"))
    assert fired(workflow) == ["a_1.csv", "b.csv"]
    assert sorted(each.name for each in folder.iterdir()) == ["c.txt"]
    assert (archive / "a_1.csv").read_text(encoding="utf-8") == "a.csv"
    assert (archive / "a.csv").read_text(encoding="utf-8") == "older"
    assert workflow.state == State.FINISHED


def test_a_move_that_was_made_before_a_crash_is_not_made_again_and_fires(folder: Path) -> None:
    (folder / "a.csv").write_text("first", encoding="utf-8")
    target = folder.parent / "archive" / "a.csv"
    local_files.move(folder / "a.csv", target)
    # A new file of the same name has come meanwhile: it is another file.
    (folder / "a.csv").write_text("second", encoding="utf-8")
    local_files.move(folder / "a.csv", target)
    assert target.read_text(encoding="utf-8") == "first"
    assert (folder / "a.csv").exists()


def test_the_first_file_alone(folder: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (folder / name).write_text(name, encoding="utf-8")
    workflow = run(collector(folder, stopAfterFirst=True, schedule=None))
    assert fired(workflow) == ["a.csv"]
    assert workflow.state == State.FINISHED
    assert [each.name for each in folder.iterdir()] == ["b.csv"]


def test_no_file_is_an_error_unless_it_is_processed(folder: Path) -> None:
    assert run(collector(folder)).failed
    ways = (Transition("transition", "end"), Transition("missing", "end"))
    workflow = run(collector(folder, ways=ways, processMissing=True))
    assert (len(fired(workflow, "missing")), workflow.failed) == (1, False)


def test_a_schedule_looks_at_each_date(folder: Path, clock: kernel_clock.Frozen) -> None:
    ways = (Transition("transition", "end"), Transition("missing", "end"))
    workflow = run(collector(folder, ways=ways, processMissing=True, schedule=HOURLY))
    run_to(kernel_clock.now() + timedelta(hours=1, minutes=1), clock)
    assert len(fired(workflow, "missing")) >= 1
    (folder / "late.csv").write_text("x", encoding="utf-8")
    run_to(kernel_clock.now() + timedelta(hours=1), clock)
    assert fired(workflow) == ["late.csv"]
    workflow.refresh_from_db()
    assert workflow.state == State.STARTED


@pytest.mark.case("E18")
def test_process_errors_take_an_unreadable_file_but_not_a_missing_folder(folder: Path) -> None:
    ways = (Transition("transition", "end"), Transition("error", "end", kind="error"))
    os.symlink(folder / "nowhere", folder / "broken.csv")
    workflow = run(collector(folder, ways=ways, process_errors=True))
    assert Event.objects.filter(workflow=workflow, transition="error").count() == 1
    assert (workflow.failed, workflow.state) == (False, State.FINISHED)
    workflow = run(collector(folder / "absent", ways=ways, process_errors=True))
    assert workflow.failed
    assert not Event.objects.filter(workflow=workflow, transition="error").exists()


def test_links_in_a_circle_are_told_and_nothing_is_moved(folder: Path) -> None:
    os.symlink(folder / "other.csv", folder / "one.csv")
    os.symlink(folder / "one.csv", folder / "other.csv")
    (folder / "inside").mkdir()
    os.symlink(folder, folder / "inside" / "up")
    assert run(collector(folder)).failed
    assert run(collector(folder / "inside" / "up" / "inside" / "up")).failed
    assert (folder / "one.csv").is_symlink()
    assert (folder / "other.csv").is_symlink()


def test_folders_outside_are_refused_even_by_a_link(folder: Path) -> None:
    workflow = run(collector(Path("/etc")))
    assert workflow.failed
    os.symlink("/etc/passwd", folder / "innocent.csv")
    assert run(collector(folder)).failed
    assert (folder / "innocent.csv").is_symlink()


def test_the_history_keeps_young_files_and_within_its_limits_the_newest(tmp_path: Path) -> None:
    now = time.time()
    for number in range(6):
        path = tmp_path / f"f{number}"
        path.write_bytes(b"x" * (1 << 20))
        age = (6 - number) * 86_400 - 3600
        os.utime(path, (now - age, now - age))
    # f5 is 23 hours old and exempt.
    assert local_files.purge(tmp_path, most_files=3, most_mb=0, now=now) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f3", "f4", "f5"]
    assert local_files.purge(tmp_path, most_files=0, most_mb=0.5, now=now) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["f5"]


def test_a_file_is_loaded_into_a_population_with_types_and_rules(folder: Path) -> None:
    (folder / "orders.csv").write_text(
        "Name;Amount;Day;Left\nanna;1,5;31/12/2025;x\nbo;none;01/01/2026;x\ncy;2;now;\nda;3;;x;y\n",
        encoding="utf-8",
    )
    loading = Activity(
        "loadfile",
        "load",
        parameters={
            "columns": [
                {"name": "who", "source": "Name", "case": "first"},
                {"name": "amount", "source": "Amount", "type": "double", "decimal": ","},
                {"name": "day", "source": "Day", "type": "date", "date": "dmy", "error": "ignore"},
                {"name": "left", "source": "Left", "null": "allowed"},
            ]
        },
        transitions=(Transition("transition", "stay"),),
    )
    workflow = start(
        make_workflow(
            (
                Activity(
                    "directorywatcher",
                    "collect",
                    parameters={"directory": str(folder)},
                    transitions=(Transition("transition", "load"),),
                ),
                loading,
                Activity("signal", "stay", transitions=(Transition("transition", "end"),)),
                Activity("end", "end"),
            )
        )
    )
    assert workflow.state == State.STARTED, lines(workflow)
    event = Event.objects.get(workflow=workflow, source="load")
    assert (event.variables["recCount"], event.variables["rejectCount"], event.variables["schema"]) == (
        "2",
        "2",
        "",
    )
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT id, who, amount, day, "left" FROM {event.variables["tableName"]} ORDER BY id')
        rows = [(i, who, amount, str(day), left) for i, who, amount, day, left in cursor.fetchall()]
    assert rows == [(2, "Anna", 1.5, "2025-12-31", "x"), (4, "Cy", 2.0, "None", None)]
    said = "\n".join(lines(workflow))
    assert "Line 3 is rejected: amount" in said
    assert "Line 4 is loaded without the value of day" in said
    assert "Line 5 is rejected" in said


def test_what_was_loaded_is_extracted_again(folder: Path) -> None:
    (folder / "in.csv").write_text("name,n\nb,2\n=cmd|' /C calc'!A0,3\nc,1\n", encoding="utf-8")
    out = folder.parent / "out.csv.gz"
    workflow = start(
        make_workflow(
            chain(
                Activity("start", "start"),
                Activity(
                    "loadfile",
                    "load",
                    parameters={
                        "file": str(folder / "in.csv"),
                        "columns": [{"name": "name"}, {"name": "n", "type": "long"}],
                    },
                ),
                Activity(
                    "extractfile",
                    "extract",
                    parameters={
                        "columns": [{"expr": "@name", "label": "Name"}, {"expr": "@n + 1", "label": "Next"}],
                        "orderBy": [{"expr": "@n", "descending": True}],
                        "file": str(out),
                        "gzip": True,
                    },
                ),
                Activity("end", "end"),
            )
        )
    )
    assert not workflow.failed, lines(workflow)
    with gzip.open(out, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["Name", "Next"], ["'=cmd|' /C calc'!A0", "4"], ["b", "3"], ["c", "2"]]
    assert [each.name for each in folder.parent.iterdir() if each.suffix == ".part"] == []
    event = Event.objects.get(workflow=workflow, source="extract")
    assert event.variables["filename"] == str(out.resolve())


def test_files_of_the_instance_need_no_option(db: None) -> None:
    home = Path(settings.ENVOI.home) / "files"
    home.mkdir(exist_ok=True)
    (home / "own.csv").write_text("a\n1\n", encoding="utf-8")
    workflow = start(
        make_workflow(
            chain(
                Activity("start", "start"),
                Activity("loadfile", "load", parameters={"file": "own.csv"}),
                Activity("end", "end"),
            )
        )
    )
    assert not workflow.failed, lines(workflow)
    run_until_passive()


def test_a_file_is_loaded_on_the_host_where_it_lies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "people.csv").write_text("name\nAnn\n", encoding="utf-8")
    monkeypatch.setattr(socket, "gethostname", lambda: "north")
    workflow = run(
        collector(folder, ways=(Transition("transition", "load"),), stopAfterFirst=True),
        Activity("loadfile", "load", transitions=(Transition("result", "end", kind="result"),)),
    )
    waiting = Task.objects.get(workflow=workflow, activity="load")
    assert (waiting.affinity, waiting.status) == ("@north", TaskState.COMPLETED)
    # The same on another host: nobody there takes what lies on this one.
    (folder / "more.csv").write_text("name\nBob\n", encoding="utf-8")
    commands.post(admin_actor(), workflow.internal_name, commands.Command.START)
    while Task.objects.filter(workflow=workflow, activity="load").count() < 2:
        assert run_one()
    monkeypatch.setattr(socket, "gethostname", lambda: "south")
    assert not run_one()
    monkeypatch.setattr(socket, "gethostname", lambda: "north")
    run_until_passive()
    assert Task.objects.filter(workflow=workflow, activity="load", status=TaskState.COMPLETED).count() == 2
