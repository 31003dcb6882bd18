"""Which process a worker is, so that another one beside it sees at once when it is gone.

Told by four things together, none of which can come back: the boot of the machine, the name space in which
processes are numbered (a container has its own), the number, and the moment at which the process started.
"""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SPACE = Path("/proc/self/ns/pid")


def mine() -> str:
    """Return what this process is; empty where the system does not say."""
    surroundings = _surroundings()
    started = _started(os.getpid())
    return f"{surroundings} {os.getpid()} {started}" if surroundings and started else ""


def boot() -> str:
    """Return which start of this machine it is; empty where the system does not say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def is_gone(process: str) -> bool:
    """Return whether a process has certainly ended; False for one of other surroundings, or unknown."""
    surroundings, _space, rest = process.rpartition(" ")
    surroundings, _space, number = surroundings.rpartition(" ")
    if not surroundings or surroundings != _surroundings():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is another user's, who may hide when it started
    started = _started(int(number))
    return started is not None and started != rest


def _surroundings() -> str:
    started = boot()
    try:
        return f"{started} {_SPACE.readlink()}" if started else ""
    except OSError:
        return ""


def _started(number: int) -> str | None:
    """Return when a process started, in ticks since the boot; "ended" for one that waits to be reaped."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in ("Z", "X") else fields[19]
