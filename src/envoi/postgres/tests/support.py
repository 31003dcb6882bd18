"""Help of the tests: folders, processes of other users, waiting."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from envoi.postgres.keep import running_file

SOURCE = Path(__file__).resolve().parents[3]
PACKAGES = Path(psycopg.__file__).resolve().parents[1]
IS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not IS_ROOT, reason="only root can work as other users")


@dataclass(frozen=True)
class Account:
    """A user that tests may become."""

    uid: int
    gid: int

    @property
    def drop(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if IS_ROOT else {}


def account(name: str) -> Account:
    """A user of the system's list."""
    found = pwd.getpwnam(name)
    return Account(found.pw_uid, found.pw_gid)


NOBODY = account("nobody")
STRANGER = account("daemon") if IS_ROOT else Account(os.getuid(), os.getgid())
NAMELESS = Account(54321, 54321)


@cache
def python_for(account: Account) -> str:
    """A Python that another user can run and that can load the driver: ours may lie below root's home."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run(
                [candidate, "-c", "import psycopg, sys; assert sys.version_info >= (3, 11)"],
                env=environment(),
                cwd="/",
                capture_output=True,
                check=False,
                **account.drop,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip("no Python that another user can execute")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HOME"))}
    return {**kept, "HOME": "/", "PYTHONPATH": f"{SOURCE}{os.pathsep}{PACKAGES}", **more}


def script(
    code: str, *arguments: object, account: Account | None = None, **env: str
) -> subprocess.Popen[str]:
    """Start Python code in a process of its own, as another user if wanted."""
    return subprocess.Popen(
        [python_for(account) if account else sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
        cwd="/",
        **(account.drop if account else {}),
    )


def finish(process: subprocess.Popen[str], text: str | None = None) -> str:
    """Wait for a script; return its output, fail with its messages."""
    out, err = process.communicate(text, timeout=60)
    assert process.returncode == 0, err
    return out


HOLD = """
import sys
from envoi.postgres.server import acquire
lease = acquire(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
lease.close()
"""


def hold(home: Path, **env: str) -> subprocess.Popen[str]:
    """A command that holds the database until a line comes; returns when it has it."""
    process = script(HOLD, home, **env)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def kill(*pids: int) -> None:
    """kill -9; a process that has just ended by itself is no error."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def running(home: Path) -> dict[str, Any] | None:
    """What the keeper wrote about the running server."""
    try:
        return json.loads(running_file(home).read_text())
    except FileNotFoundError:
        return None


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows of one statement, [] when it has none."""
    with psycopg.connect(dsn, autocommit=True) as session:
        cursor = session.execute(statement)
        return cursor.fetchall() if cursor.description else []
