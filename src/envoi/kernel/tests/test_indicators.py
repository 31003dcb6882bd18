"""Indicators: what /proc says, what the database says, and what administrators add (engine.md §8.3)."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from envoi.kernel import clock, custom_indicators, indicators, outbox
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.measures import Face, Indicator, below, bounded
from envoi.kernel.models import AuditEntry, CustomIndicator, OutboxItem
from envoi.kernel.rights import Right
from envoi.kernel.testing import admin_actor, make_actor

GIB = 1024**3


@pytest.fixture
def proc(tmp_path) -> Path:
    """A host with three processes and 4 GiB of memory."""
    files = {
        "loadavg": "0.50 3.30 9.00 2/100 4711\n",
        "meminfo": "MemTotal: 4194304 kB\nMemFree: 1 kB\nMemAvailable: 1048576 kB\n"
        "SwapTotal: 1048576 kB\nSwapFree: 52428 kB\n",
        "sys/fs/file-nr": "850\t0\t1000\n",
        "sys/kernel/pid_max": "4\n",
        "sysvipc/shm": "key shmid perms size cpid lpid nattch uid\n1 2 600 56 1 1 6 0\n1 3 600 56 1 1 0 0\n",
        "1/stat": "1 (init (x) y) S 0 1",
        "2/stat": "2 (gone) Z 1 1",
        "3/stat": "3 (python) R 1 1",
        "4/cmdline": "gone meanwhile",
        "self/stat": "not a number",
    }
    for name, text in files.items():
        file = tmp_path / "proc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "proc"


def measured(proc: Path) -> dict[str, Indicator]:
    return {each.name: each for each in indicators.host(proc.parent, proc)}


def test_the_host(proc, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    found = measured(proc)
    assert {name: (each.value, each.face.value) for name, each in found.items() if name != "disk"} == {
        "load1": (0.5, "ok"),
        "load5": (3.3, "warning"),
        "load15": (9.0, "alert"),
        "memory": (3 * GIB, "ok"),
        "swap": ((1048576 - 52428) * 1024, "alert"),
        "fileHandles": (850, "warning"),
        "processes": (3, "ok"),
        "zombies": (1, "warning"),
        "coreFiles": (0, "ok"),
        "sharedMemory": (1, "warning"),
    }
    assert (found["memory"].maximum, found["memory"].share) == (4 * GIB, 0.75)


def test_core_files_and_the_disk(proc):
    (proc.parent / "core.4711").touch()
    (proc.parent / "corelib").touch()
    found = measured(proc)
    assert (found["coreFiles"].value, found["coreFiles"].face) == (1, Face.ALERT)
    system = os.statvfs(proc.parent)
    assert found["disk"].maximum == (system.f_blocks - system.f_bfree + system.f_bavail) * system.f_frsize
    assert 0 < found["disk"].share < 1


def test_what_a_host_does_not_tell_is_left_out(proc):
    for name in ("meminfo", "sysvipc/shm", "sys/kernel/pid_max"):
        (proc / name).unlink()
    assert sorted(measured(proc)) == ["coreFiles", "disk", "fileHandles", "load1", "load15", "load5"]


def test_without_swap_there_is_no_swap(proc):
    text = (proc / "meminfo").read_text().replace("SwapTotal: 1048576", "SwapTotal: 0")
    (proc / "meminfo").write_text(text)
    assert "swap" not in measured(proc)
    assert "memory" in measured(proc)


def test_this_host_is_measured(tmp_path):
    found = {each.name: each for each in indicators.host(tmp_path)}
    assert {"load1", "memory", "disk", "fileHandles", "processes", "zombies"} <= set(found)
    assert all(each.value is not None and each.value >= 0 for each in found.values())


@pytest.mark.parametrize(
    ("value", "face"),
    [(79.9, Face.OK), (80, Face.WARNING), (89.9, Face.WARNING), (90, Face.ALERT), (None, Face.UNKNOWN)],
)
def test_limits_count_when_they_are_reached(value, face):
    limits = bounded("x", "X", 0, "", 100)
    assert Indicator("x", "X", value, "", limits.warning, limits.alert, limits.maximum).face is face


def test_without_limits_all_is_well():
    assert Indicator("x", "X", 1e12).face is Face.OK
    assert Indicator("x", "X", 1e12).share is None
    assert below("x", "X", 3, 1, 2).share == 1


def test_the_database_and_what_waits(db, clock):
    sofia = make_actor("sofia", rights=(Right.WORKFLOW,))
    outbox.register(outbox.Handler("test-indicator", lambda item: None, lambda: False))
    for number in range(100):
        outbox.post("test-indicator", f"k{number}", {})
    OutboxItem.objects.filter(key="k99").update(state=2)
    found = {each.name: each for each in indicators.measure(actor=sofia)}
    assert found["databaseSize"].value > 1_000_000
    assert found["databaseConnections"].value >= 1
    assert (found["outboxWaiting"].value, found["outboxWaiting"].face) == (99, Face.OK)
    assert (found["outboxFailed"].value, found["outboxFailed"].face) == (1, Face.WARNING)
    assert found["lateTasks"].value == 0
    with pytest.raises(NotAllowed):
        indicators.measure(actor=make_actor("nobody"))


def test_rooms_and_packages_add_theirs(db):
    own = below("own", "Own", 5, 1, 9)
    with indicators.more_indicators.temporarily(lambda actor: [own]):
        assert own in indicators.measure(actor=admin_actor())


# --- those of administrators


def custom(actor):
    return [each for each in indicators.measure(actor=actor) if each.custom]


def test_a_custom_indicator_is_stored_measured_changed_and_deleted(db):
    actor = admin_actor()
    custom_indicators.create(
        "tables", "SELECT 41 + 1.5 WHERE 'a%' LIKE 'a%'",
        actor=actor, label="Tables", unit="x", warning=40, alert=50,
    )  # fmt: skip
    (found,) = custom(actor)
    assert (found.label, found.value, found.unit, found.face) == ("Tables", 42.5, "x", Face.WARNING)
    custom_indicators.update("tables", actor=actor, sql="SELECT 60", maximum=100)
    (found,) = custom(actor)
    assert (found.value, found.share, found.face) == (60, 0.6, Face.ALERT)
    custom_indicators.delete("tables", actor=actor)
    assert custom(actor) == []
    trail = AuditEntry.objects.filter(entity="xtk:indicator", entity_key="tables").order_by("pk")
    assert [entry.action for entry in trail] == ["Created", "Modified", "Deleted"]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT 1; SELECT 2", "multiple commands"),
        ("SELECT 1, 2", "one row with one column"),
        ("SELECT 1 WHERE false", "one row with one column"),
        ("SELECT generate_series(1, 3)", "one row with one column"),
        ("SELECT 'many'", "must give a number"),
        ("SELECT 'NaN'::float8", "must give a number"),
        ("SELECT true", "must give a number"),
        ("SELECT NULL::int", "must give a number"),
        ("SELECT nowhere", "does not exist"),
        ("WITH gone AS (DELETE FROM xtk_option RETURNING 1) SELECT count(*) FROM gone", "read-only"),
        ("DELETE FROM xtk_option", "read-only"),
        ("SELECT set_config('transaction_read_only', 'off', false)::int", "read-write mode"),
        ("", "indicator own"),
    ],
)
def test_a_statement_that_gives_no_number_is_refused(db, statement, reason):
    with pytest.raises(Invalid, match=f"(?i){reason}"):
        custom_indicators.create("own", statement, actor=admin_actor())
    assert not CustomIndicator.objects.exists()


def test_a_statement_may_not_take_long(db, monkeypatch):
    monkeypatch.setattr(custom_indicators, "PATIENCE_MS", 50)
    with pytest.raises(Invalid, match="takes longer than"):
        custom_indicators.create("slow", "SELECT 1 FROM pg_sleep(20)", actor=admin_actor())


def test_one_that_fails_says_why_and_spoils_no_other(db):
    actor, now = admin_actor(), clock.now()
    custom_indicators.create("well", "SELECT 1", actor=actor)
    CustomIndicator.objects.create(
        name="broken", sql="SELECT 1 / 0", created_at=now, modified_at=now - timedelta(days=1)
    )
    broken, well = custom(actor)
    assert (broken.label, broken.value, broken.face) == ("broken", None, Face.UNKNOWN)
    assert "division by zero" in broken.problem
    assert well.value == 1


@pytest.mark.parametrize(
    "values",
    [
        {"name": "no good"},
        {"name": ""},
        {"label": "x" * 129},
        {"unit": "x" * 17},
        {"warning": 5.0, "alert": 4.0},
        {"maximum": float("inf")},
    ],
)
def test_values_that_cannot_be_used_are_refused(db, values):
    with pytest.raises(Invalid):
        custom_indicators.create(**{"name": "own", "sql": "SELECT 1", "actor": admin_actor()} | values)


def test_names_are_unique_and_known(db):
    actor = admin_actor()
    custom_indicators.create("own", "SELECT 1", actor=actor)
    with pytest.raises(Conflict):
        custom_indicators.create("own", "SELECT 2", actor=actor)
    with pytest.raises(NotFound):
        custom_indicators.update("other", actor=actor, sql="SELECT 2")
    with pytest.raises(Invalid, match="has no colour"):
        custom_indicators.update("own", actor=actor, colour="red")
    assert [each.sql for each in custom_indicators.list_all(actor=actor)] == ["SELECT 1"]


def test_only_administrators_change_them(db):
    sofia = make_actor("sofia", rights=(Right.WORKFLOW,))
    custom_indicators.create("own", "SELECT 1", actor=admin_actor())
    for attempt in (
        lambda: custom_indicators.create("more", "SELECT 1", actor=sofia),
        lambda: custom_indicators.update("own", actor=sofia, sql="SELECT 2"),
        lambda: custom_indicators.delete("own", actor=sofia),
        lambda: custom_indicators.list_all(actor=sofia),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert [each.name for each in custom(sofia)] == ["own"]
