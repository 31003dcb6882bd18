"""One run of the server program: start it as our direct child, ask whether it is ready, stop it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from envoi.postgres.children import ENVIRONMENT, dropping, tied_to_me
from envoi.postgres.find import PgBin
from envoi.postgres.leftovers import named_pid, pid_file
from envoi.postgres.place import Place
from envoi.postgres.settings import as_arguments

FAST = 120.0
STATUS_LINE = 7
WAITING_FOR_ANOTHER = ("lock file ", "shared memory block", "could not bind Unix")


class Postmaster:
    """A running `postgres`. It gets SIGINT (fast shutdown) from the kernel when this process dies."""

    def __init__(
        self,
        place: Place,
        pg: PgBin,
        data: Path,
        settings: Mapping[str, str],
        log: int,
        not_a_server: int | None,
    ) -> None:
        self.data = data
        environment = dict(ENVIRONMENT)
        if not_a_server is not None:
            environment["PG_GRANDPARENT_PID"] = str(not_a_server)
        self.process = subprocess.Popen(
            [str(pg.tool("postgres")), "-D", str(data), *as_arguments(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            umask=0o077,
            # Ctrl-C in the terminal of a foreground keeper is for the keeper alone.
            start_new_session=True,
            preexec_fn=tied_to_me(),
            **dropping(place),
        )

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self.process.pid

    def ready(self) -> bool:
        """Whether it accepts connections, as written by itself into postmaster.pid."""
        lines = pid_file(self.data)
        says_ready = len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
        return says_ready and named_pid(self.data) == self.pid

    def ended(self) -> int | None:
        """Exit code once it has ended (negative: the signal), else None."""
        return self.process.poll()

    def stop(self) -> None:
        """Shut down fast and wait; after two minutes immediately (the next start then recovers)."""
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self.process.send_signal(number)
            try:
                self.process.wait(FAST)
            except subprocess.TimeoutExpired:
                continue
            return


def reap_adopted(postmaster: int | None) -> None:
    """Collect ended children other than the postmaster, which `Postmaster.ended` collects itself."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == postmaster:
            return
        os.waitpid(ended.si_pid, 0)


def was_blocked(output: str) -> bool:
    """Whether a start failed because of a server that is not quite gone, so that trying again makes sense."""
    return any(text in output for text in WAITING_FOR_ANOTHER)
