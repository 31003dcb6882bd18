"""The fixtures keep what they promise."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from envoi.kernel import clock as kernel_clock
from envoi.kernel.models import Option


@pytest.mark.smoke
@pytest.mark.parametrize("turn", [1, 2])
def test_db_rolls_back_after_each_test(db, turn):
    assert not Option.objects.filter(name="TestingTurn").exists()
    Option.objects.create(
        name="TestingTurn", data_type=6, string_value=str(turn), modified_at=kernel_clock.now()
    )


@pytest.mark.smoke
@pytest.mark.parametrize("turn", [1, 2])
def test_committed_db_is_fresh_and_seen_by_others(committed_db, turn):
    import psycopg

    assert not Option.objects.filter(name="TestingTurn").exists()
    Option.objects.create(
        name="TestingTurn", data_type=6, string_value=str(turn), modified_at=kernel_clock.now()
    )
    with psycopg.connect(committed_db.url) as other:
        assert other.execute("SELECT string_value FROM xtk_option WHERE name = 'TestingTurn'").fetchone() == (
            str(turn),
        )


def test_database_is_shut_without_a_fixture():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Option.objects.exists()


def test_clock_stands_until_it_is_moved(clock):
    before = kernel_clock.now()
    assert (before.isoformat(), kernel_clock.now()) == ("2026-11-24T09:00:00+00:00", before)
    clock.step(hours=1)
    assert (kernel_clock.now() - before).total_seconds() == 3600


def test_run_envoi_tells_code_and_output(run_envoi):
    done = run_envoi("--version", code=0)
    assert done.out.startswith("envoi")
    assert run_envoi("no-such-command").code == 2


def test_home_is_empty_and_can_be_passed_by_another_user(home):
    assert not any(home.iterdir())
    assert home.stat().st_mode & 0o001
    assert os.fspath(home).startswith(os.environ["ENVOI_TEST_SESSION"])


CONFTEST_OF_ITS_OWN = """
from envoi.app import peers

pytest_plugins = ["envoi.app.testing"]
peers.PEERS["absent"] = peers.Peer("no-such-program", ("some-package",))
"""
RUN_OF_ITS_OWN = """
import subprocess, sys, time
import pytest

@pytest.mark.case("E1", "E2")
def test_good(): assert True

@pytest.fixture
def broken_end():
    yield
    raise ValueError

def test_bad_end(broken_end): assert True

@pytest.mark.soak
def test_long(): assert True

@pytest.mark.case("E3")
@pytest.mark.peer("absent")
def test_with_peer(): assert True

def test_leaves_a_process():
    assert subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
"""


@pytest.mark.parametrize("spread", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_a_run_reports_each_test_and_fails_for_what_it_leaves(tmp_path, spread):
    (tmp_path / "tests/architecture").mkdir(parents=True)
    (tmp_path / "tests/architecture/test_it.py").write_text(RUN_OF_ITS_OWN)
    (tmp_path / "conftest.py").write_text(CONFTEST_OF_ITS_OWN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = ignore\n")

    def run(*arguments, **more):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *spread, *arguments],
            cwd=tmp_path,
            env=os.environ | {"ENVOI_TEST_PATIENCE": "0.5", "ENVOI_TEST_NO_SKIPS": ""} | more,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("-k", "leaves")
    assert (done.returncode, "1 passed" in done.stdout) == (1, True), done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("LEFT BEHIND")]
    # killed; where nobody reaps orphans, a zombie without a command line may stay
    command = Path("/proc", line.split(":")[1].split()[0], "cmdline")
    assert not command.exists() or command.read_bytes() == b""

    done = run("-k", "not leaves")
    assert done.returncode == 1
    assert "absent is not installed: apt install some-package" in done.stdout
    report = json.loads((tmp_path / ".test-report.json").read_text())
    assert [(test["nodeid"].partition("::")[2], test["cases"], test["outcome"]) for test in report] == [
        ("test_bad_end", [], "failed"),
        ("test_good", ["E1", "E2"], "passed"),
        ("test_with_peer", ["E3"], "skipped"),
    ]
    assert run("-k", "good or peer").returncode == 0
    done = run("-k", "good or peer", ENVOI_TEST_NO_SKIPS="1")
    assert (done.returncode, "SKIPPED THOUGH" in done.stdout) == (1, True), done.stdout
    assert "1 passed" in run("-m", "soak").stdout
