"""What an earlier server left behind: its lock file, a dying postmaster, orphaned server processes.

postmaster.pid is never deleted here: PostgreSQL's own test of the shared memory stays in force.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

FAST = 60.0
STEP = 0.02


def clear(data: Path, tell: Callable[[str], None]) -> int | None:
    """End what still runs in `data` without a keeper; return the pid that postmaster.pid wrongly names.

    Only for the holder of the keeper's lock. A postmaster without its keeper is shut down (fast, after a
    minute immediately); server processes without a postmaster are killed, which is what crash recovery
    expects. The pid returned, None as a rule, belongs to a zombie that nobody reaps or to an unrelated
    process; handing it to `postgres` as PG_GRANDPARENT_PID makes that pid, and nothing else, not count as a
    running server.
    """
    named = named_pid(data)
    if named is not None and lives_in(named, data):
        tell(f"shutting down server process {named}, which lost its keeper")
        _shut_down(named, data)
    for pid in processes_in(data):
        tell(f"killing server process {pid}, which lost its postmaster")
        send(pid, signal.SIGKILL, data)
    while processes_in(data):
        time.sleep(STEP)
    named = named_pid(data)
    return named if named is not None and Path(f"/proc/{named}").exists() else None


def named_pid(data: Path) -> int | None:
    """The pid in the first line of postmaster.pid."""
    lines = pid_file(data)
    try:
        return abs(int(lines[0])) or None
    except (IndexError, ValueError):
        return None


def pid_file(data: Path) -> list[str]:
    """Lines of postmaster.pid: pid, data, start, port, socket, address, memory, status; [] without one."""
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def processes_in(data: Path) -> list[int]:
    """Living processes whose working folder is `data`: every server process of a cluster works there."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and lives_in(int(entry), data)]


def lives_in(pid: int, data: Path) -> bool:
    """Whether process `pid` is alive (no zombie) and works in folder `data`."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(data)
    except OSError:
        return False


def send(pid: int, number: signal.Signals, data: Path) -> None:
    """Send a signal to a server process, never to another process that got its number meanwhile."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if lives_in(pid, data):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _shut_down(pid: int, data: Path) -> None:
    send(pid, signal.SIGINT, data)
    deadline = time.monotonic() + FAST
    while lives_in(pid, data):
        if time.monotonic() > deadline:
            send(pid, signal.SIGQUIT, data)
            deadline = time.monotonic() + FAST
        time.sleep(STEP)
