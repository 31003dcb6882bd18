"""The supervisor with tiny commands in the place of real processes."""

import fcntl
import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from envoi.app import supervisor, ties
from envoi.app.supervisor import Program, State, Supervisor
from envoi.kernel.errors import Conflict

# Says that it lives, then waits; SIGTERM ends it in order, SIGHUP is noted.
STEADY = """
import os, signal, sys, time
out = sys.argv[1]
def note(word): open(out, "a").write(f"{word} {os.getpid()}\\n")
signal.signal(signal.SIGTERM, lambda *_: (note("term"), sys.exit(0)))
signal.signal(signal.SIGHUP, lambda *_: note("hup"))
note("start")
while True: time.sleep(0.05)
"""
STUBBORN = STEADY.replace('(note("term"), sys.exit(0))', 'note("term")')
CRASHING = """
import sys, time
open(sys.argv[1], "a").write(f"start {time.monotonic()}\\n")
print("first line", file=sys.stderr)
print("no such thing as a port, password=hunter2", file=sys.stderr)
sys.exit(3)
"""


def command(code: str, out: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", code, str(out))


def notes(out: Path) -> list[list[str]]:
    return [line.split() for line in out.read_text().splitlines()] if out.exists() else []


def words(out: Path) -> list[str]:
    return [line[0] for line in notes(out)]


class Running:
    """A supervisor in a process of its own, as it needs the main thread for its signals."""

    def __init__(self, home: Path, body: str) -> None:
        self.home = home
        source = (
            "import sys, pathlib\n"
            "from envoi.app.supervisor import Program, Supervisor\n"
            "from envoi.app import logs\n"
            "from envoi.kernel.config import LogConfig\n"
            "import signal\n"
            "logs.configure('up', LogConfig())\n"
            f"home = pathlib.Path({str(home)!r})\n{body}"
        )
        self.popen = subprocess.Popen(
            [sys.executable, "-c", source], stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def state(self, name: str) -> dict[str, object]:
        found = supervisor.read_state(self.home)
        return next((each for each in (found or {"processes": []})["processes"] if each["name"] == name), {})

    def end(self, number: int = signal.SIGTERM, seconds: float = 10) -> str:
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        _, err = self.popen.communicate(timeout=seconds)
        return err


@pytest.fixture
def start(tmp_path):
    started: list[Running] = []

    def start(*programs: str, more: str = "") -> Running:
        table = ", ".join(programs)
        running = Running(tmp_path, f"Supervisor(home, [{table}], pauses=(0.2, 0.8), settle=0.5{more}).run()")
        started.append(running)
        return running

    yield start
    for running in started:
        if running.popen.poll() is None:
            running.popen.kill()
        running.popen.communicate()


def until(done, seconds: float = 10) -> None:
    assert supervisor.wait_until(done, seconds=seconds, step=0.02)


def alive(pid: int) -> bool:
    return ties.lives(pid)


def test_it_starts_the_last_of_the_table_first_and_stops_the_first_first(start, tmp_path):
    out = tmp_path / "out"
    door = STEADY.replace('note("term")', 'note("door-term")').replace('note("start")', 'note("door-start")')
    running = start(
        f"Program('door', {command(door, out)!r})", f"Program('hall', {command(STEADY, out)!r}, count=2)"
    )
    until(lambda: len(notes(out)) == 3)
    assert {running.state(name)["state"] for name in ("door", "hall-1", "hall-2")} == {"running"}
    running.end()
    assert running.popen.returncode == 0
    assert words(out)[3:] == ["door-term", "term", "term"]
    assert [running.state(name)["state"] for name in ("door", "hall-1", "hall-2")] == ["stopped"] * 3


def test_what_crashes_is_started_again_after_growing_pauses(start, tmp_path):
    out = tmp_path / "out"
    running = start(f"Program('bad', {command(CRASHING, out)!r})")
    until(lambda: len(notes(out)) >= 5)
    state = running.state("bad")
    running.end()
    moments = [float(line[1]) for line in notes(out)]
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    # 0.2, 0.4, 0.8, 0.8 by configuration: each at least that long, and the last two no longer growing.
    assert all(gap >= least for gap, least in zip(gaps, (0.2, 0.4, 0.8, 0.8), strict=False))
    assert gaps[3] < 1.6
    assert state["reason"] == "exit code 3: no such thing as a port, password=…"
    assert int(str(state["restarts"])) >= 4


def test_after_a_healthy_time_the_first_pause_holds_again(tmp_path):
    child = supervisor.Child("web", Program("web", ("true",)))
    watching = Supervisor(tmp_path, [], pauses=(1.0, 30.0), healthy_after=60.0)
    for expected in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        child.started = supervisor.clock.monotonic()
        before = supervisor.clock.monotonic()
        watching._ended(child, "gone")
        assert expected - 0.1 <= child.due - before <= expected + 0.1
    child.started = supervisor.clock.monotonic() - 61
    before = supervisor.clock.monotonic()
    watching._ended(child, "gone")
    assert child.due - before < 1.1
    assert child.state is State.WAITING


def test_kill_9_of_the_supervisor_takes_the_children_along(start, tmp_path):
    out = tmp_path / "out"
    running = start(f"Program('one', {command(STEADY, out)!r}, count=3)")
    until(lambda: len(notes(out)) == 3)
    pids = [int(line[1]) for line in notes(out)]
    assert all(alive(pid) for pid in pids)
    running.end(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids), seconds=5)
    assert words(out) == ["start"] * 3


def test_kill_9_of_a_child_is_mended_and_its_leftovers_are_gone(start, tmp_path):
    out = tmp_path / "out"
    parent = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open(sys.argv[1], 'a').write(f'start {child.pid}\\n')\n"
        "child.wait()\n"
    )
    running = start(f"Program('one', {command(parent, out)!r})")
    until(lambda: len(notes(out)) == 1)
    grandchild = int(notes(out)[0][1])
    os.kill(int(str(running.state("one")["pid"])), signal.SIGKILL)
    until(lambda: len(notes(out)) == 2)
    until(lambda: not alive(grandchild), seconds=5)
    assert running.state("one")["reason"] == "killed by SIGKILL"
    running.end()


def test_what_does_not_stop_in_time_is_killed(start, tmp_path):
    out = tmp_path / "out"
    running = start(f"Program('deaf', {command(STUBBORN, out)!r}, stop_seconds=0.5)")
    until(lambda: len(notes(out)) == 1)
    pid = int(notes(out)[0][1])
    err = running.end()
    assert running.popen.returncode == 0
    assert words(out) == ["start", "term"]
    assert not alive(pid)
    assert "did not stop in time" in err


def test_a_second_signal_kills_at_once(start, tmp_path):
    out = tmp_path / "out"
    running = start(f"Program('deaf', {command(STUBBORN, out)!r}, stop_seconds=60)")
    until(lambda: len(notes(out)) == 1)
    running.popen.send_signal(signal.SIGINT)
    until(lambda: words(out) == ["start", "term"])
    running.end(signal.SIGINT, seconds=5)
    assert not alive(int(notes(out)[0][1]))


def test_a_reload_takes_one_after_another_and_signals_who_can_do_it_alone(start, tmp_path):
    alone, others = tmp_path / "alone", tmp_path / "others"
    running = start(
        f"Program('web', {command(STEADY, alone)!r}, reload_signal=signal.SIGHUP)",
        f"Program('worker', {command(STEADY, others)!r}, count=2)",
    )
    until(lambda: len(notes(alone)) == 1 and len(notes(others)) == 2)
    running.popen.send_signal(signal.SIGHUP)
    until(lambda: len(notes(others)) == 6 and len(notes(alone)) == 2)
    assert words(alone) == ["start", "hup"]
    # The first is back before the second is asked to go.
    assert words(others) == ["start", "start", "term", "start", "term", "start"]
    assert running.state("worker-1")["restarts"] == 0
    running.end()


def test_a_recycled_worker_finishes_while_a_fresh_one_works(start, tmp_path):
    out = tmp_path / "out"
    slow = STEADY.replace(
        '(note("term"), sys.exit(0))', '(note("term"), time.sleep(1), note("done"), sys.exit(0))'
    )
    running = start(f"Program('worker', {command(slow, out)!r}, recycle_seconds=4, overlap_seconds=30)")
    until(lambda: "done" in words(out))
    # The fresh one has run for a moment before the old one is asked to go.
    assert words(out)[:4] == ["start", "start", "term", "done"]
    old, new = (line[1] for line in notes(out) if line[0] == "start")
    assert old != new
    assert next(line[1] for line in notes(out) if line[0] == "done") == old
    until(lambda: [each["name"] for each in supervisor.read_state(tmp_path)["processes"]] == ["worker"])
    running.end()


def test_a_change_of_what_is_watched_reloads(start, tmp_path):
    out, flag = tmp_path / "out", tmp_path / "flag"
    flag.write_text("a")
    running = start(
        f"Program('worker', {command(STEADY, out)!r})",
        more=f", watch=lambda: pathlib.Path({str(flag)!r}).read_text() or None, watch_seconds=0.2",
    )
    until(lambda: words(out) == ["start"])
    flag.write_text("")  # No answer for a moment is no change.
    time.sleep(0.6)
    assert words(out) == ["start"]
    flag.write_text("b")
    until(lambda: words(out) == ["start", "term", "start"])
    running.end()


def test_a_closed_terminal_stops_it_instead_of_reloading(tmp_path):
    out = tmp_path / "out"
    source = (
        "import sys, pathlib; from envoi.app.supervisor import Program, Supervisor;"
        f"Supervisor(pathlib.Path({str(tmp_path)!r}), [Program('one', {command(STEADY, out)!r})]).run()"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    until(lambda: words(out) == ["start"])
    process.send_signal(signal.SIGHUP)
    until(lambda: words(out) == ["start", "term", "start"], seconds=20)
    os.close(ours)
    assert process.wait(20) == 0
    assert words(out) == ["start", "term", "start", "term"]


def test_only_one_is_up_and_the_other_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    assert supervisor.up_pid(tmp_path) is None
    with supervisor.only_one(tmp_path):
        assert supervisor.up_pid(tmp_path) == os.getpid()
        refused: list[str] = []

        def second() -> None:
            with pytest.raises(Conflict) as error, supervisor.only_one(tmp_path):
                pass
            refused.append(str(error.value))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert f"process {os.getpid()}" in refused[0]
        assert f"kill {os.getpid()}" in refused[0]
    assert supervisor.up_pid(tmp_path) is None


def test_the_state_of_a_dead_up_is_not_believed(tmp_path):
    supervisor.write_state(tmp_path, {"pid": 4_000_000, "processes": [{"name": "web"}]})
    assert supervisor.processes(tmp_path) == []
    with supervisor.only_one(tmp_path):
        assert supervisor.processes(tmp_path) == []
        supervisor.write_state(tmp_path, {"pid": os.getpid(), "processes": [{"name": "web"}]})
        assert supervisor.processes(tmp_path) == [{"name": "web"}]


def test_the_state_file_is_whole_whenever_it_is_read(tmp_path):
    big = {"pid": 1, "processes": [{"name": f"p{number}", "reason": "x" * 200} for number in range(200)]}
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            supervisor.write_state(tmp_path, big)

    supervisor.write_state(tmp_path, big)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            assert json.loads((tmp_path / supervisor.STATE_FILE).read_text()) == big
    finally:
        stop.set()
        writer.join()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["processes.json"]
