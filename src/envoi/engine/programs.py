"""Programs that workflows run on the worker's host (engine.md §6.3). Off unless an administrator allows them.

What a program does outside of the database cannot be rolled back: after a crash it is run again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from envoi.engine.activities.base import Failed, Misconfigured, TaskContext
from envoi.engine.scripts import FILES
from envoi.kernel import options
from envoi.kernel.rights import Right

ALLOWED = "XtkWorkflow_Programs"
"""Option: the programs that workflows may run, absolute paths, one a line. Absent or empty: none."""


@dataclass(frozen=True)
class Ended:
    """What a program has left: its exit status, and what it wrote to both of its outputs."""

    status: int
    output: str


def execute(ctx: TaskContext, program: str, arguments: Sequence[str], *, limit_s: float) -> Ended:
    """Run a program without a shell, with an empty environment, and wait for it; `limit_s` 0 is no limit.

    It is ended, with all that it has started, when the workflow is stopped. Raises NotAllowed without PROGRAM
    EXECUTION, Misconfigured when the option does not name the program, Failed when it cannot be run or took
    too long.
    """
    ctx.actor.require(Right.PROGRAM_EXECUTION, to="run programs in a workflow")
    if program not in str(options.get(ALLOWED, actor=ctx.actor, default="")).split():
        raise Misconfigured(
            f"{program} is not among the programs that workflows may run. An administrator can add it to"
            f" the option {ALLOWED}."
        )
    folder = Path(settings.ENVOI.home) / FILES
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        process = subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            env={"PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{program} cannot be run: {error.strerror}.") from error
    over = threading.Event()

    def end() -> None:
        """End it with all that it has started; its number is its own until nothing of it is left."""
        if not over.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    ctx.on_cancel(end)
    try:
        output, _errors = process.communicate(timeout=limit_s or None)
    except subprocess.TimeoutExpired:
        end()
        process.communicate()
        raise Failed(f"{program} ran longer than {limit_s:g} s and was ended.") from None
    finally:
        over.set()
    return Ended(process.returncode, output)
