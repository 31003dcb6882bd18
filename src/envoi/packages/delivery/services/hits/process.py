"""The loop that loads the segments of this host."""

import logging
import threading
from pathlib import Path

import psycopg
from django.db import Error, connections

from envoi.kernel import clock
from envoi.kernel.errors import PlatformError
from envoi.packages.delivery.services.hits import loading
from envoi.packages.delivery.services.redirection import segments

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
FORGET_SECONDS = 3600.0


class Process:
    """Looks for closed segments every second, and closes those of dead processes, until it is stopped."""

    def __init__(self, folder: Path, *, look: float = LOOK_SECONDS) -> None:
        self.folder = folder
        self._look = look
        self._stopped = threading.Event()
        self._forget_at = 0.0

    def stop(self) -> None:
        """Ask for the end, as SIGTERM does. What is closed by then is loaded first."""
        self._stopped.set()

    def run(self) -> None:
        """Load until stopped; a database that is away is waited for."""
        while not self._stopped.wait(self._look):
            self.once()
        self.once()

    def once(self) -> int:
        """Load what waits; returns how many segments were."""
        count = 0
        try:
            segments.close_abandoned(self.folder)
            for path in segments.ready(self.folder):
                count += self._load(path)
            if clock.monotonic() >= self._forget_at:
                loading.forget(clock.now())
                self._forget_at = clock.monotonic() + FORGET_SECONDS
        except (Error, psycopg.Error, OSError) as problem:
            log.warning("hits cannot be loaded: %s", problem)
            connections.close_all()
        return count

    def _load(self, path: Path) -> int:
        try:
            found = loading.load(path, now=clock.now())
        except PlatformError as problem:
            # The next segment may do; this one is tried again.
            log.error("segment is not loaded", extra={"segment": path.name, "reason": str(problem)})
            return 0
        if found is not None and found.rejected:
            log.error(
                "lines of a segment could not be read and stand beside it",
                extra={"segment": path.name, "rejected": found.rejected},
            )
        return 1
