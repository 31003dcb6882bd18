"""External task: runs a program on the worker's host (engine.md §6.3). Off unless an administrator allows
programs.

What a program does outside of the database cannot be rolled back: after a crash it is run again.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_noop as _

from envoi.engine import scripts
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext, fire
from envoi.engine.activities.js import limit_of
from envoi.engine.definition import Activity, Definition
from envoi.kernel import options
from envoi.kernel.rights import Right

ALLOWED = "XtkWorkflow_Programs"
"""Option: the programs that workflows may run, absolute paths, one a line. Absent or empty: none."""
MOST_LINES = 1000


class Program(ActivityType):
    """Parameters: `program`, `arguments` (texts, may hold `<%= … %>`), `timeout_s`. Output goes to
    the journal.
    """

    type = "externaltask"
    family = "action"
    ways = (("done", "done"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there is a program."""
        if not str(activity.parameters.get("program", "")).startswith("/"):
            yield _("Activity %(activity)s needs the absolute path of a program"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Run it without a shell, with an empty environment."""
        ctx.actor.require(Right.PROGRAM_EXECUTION, to="run programs in a workflow")
        program = str(ctx.parameters.get("program", ""))
        if program not in str(options.get(ALLOWED, actor=ctx.actor, default="")).split():
            raise Misconfigured(
                f"{program} is not among the programs that workflows may run. An administrator can add it to"
                f" the option {ALLOWED}."
            )
        arguments = [scripts.text(ctx, str(each)) for each in ctx.parameters.get("arguments", ())]
        folder = Path(settings.ENVOI.home) / scripts.FILES
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
            output, _errors = process.communicate(timeout=limit_of(ctx.activity) or None)
        except subprocess.TimeoutExpired:
            end()
            process.communicate()
            raise Failed(f"{program} ran longer than {limit_of(ctx.activity):g} s and was ended.") from None
        finally:
            over.set()
        for line in output.splitlines()[:MOST_LINES]:
            ctx.info("%(line)s", line=line)
        if process.returncode:
            raise Failed(f"{program} ended with {process.returncode}.")
        return fire("done")
