"""Granian's own process: it starts the one that serves, and on SIGHUP a fresh one beside it."""

import multiprocessing
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from granian.server.mp import MPServer, WorkerProcess

from envoi.app import ties

LOAD_SECONDS = 60.0
"""How long a process may take to load the application before it is taken for ready all the same."""
LOOK_SECONDS = 0.1


class Front(MPServer):
    """Granian, but that a fresh process counts as started only when it has loaded the application.

    On a reload the old one is ended right after the fresh one was started, so it must be able to answer by
    then.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.loaded = multiprocessing.Event()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self.serve(target_loader=partial(application, os.getpid(), self.loaded), wrap_loader=True)

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> WorkerProcess:
        process = super()._spawn_worker(idx, target, callback_loader)
        start = process.start

        def start_and_wait() -> None:
            self.loaded.clear()
            start()
            for _ in range(int(LOAD_SECONDS / LOOK_SECONDS)):
                if self.loaded.wait(LOOK_SECONDS) or not process.is_alive() or self.interrupt_signal:
                    return

        process.start = start_and_wait
        return process


def application(parent: int, loaded: Any, target: str) -> Callable[..., Any]:
    """Load the WSGI application in the process that serves it, tied to granian's own, `parent`."""
    ties.die_with(parent)
    from envoi.app.wsgi import application as found

    loaded.set()
    return found
