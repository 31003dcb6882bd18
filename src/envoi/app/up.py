"""Bring an instance up: hold its database, prepare it, supervise its processes."""

import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from envoi.app import boot, creation, logs, serve, supervisor, telemetry
from envoi.app.programs import programs
from envoi.kernel.errors import Conflict, PlatformError
from envoi.postgres.locks import keeper_lives

PORT_SECONDS = 3.0
"""How long a port may still be held by processes of an `up` that was killed a moment ago."""


WATCH_SECONDS = 2.0
PACKAGES_EVERY = 5
"""Of this many looks, one asks for the packages."""
REVIVE = (
    "import sys, pathlib; from envoi.app import boot; from envoi.kernel import config;"
    "boot.acquire(config.load(pathlib.Path(sys.argv[1]))).close()"
)

log = logging.getLogger(__name__)


def up(
    home: Path,
    *,
    only: Sequence[str] = (),
    say: Callable[[str], None],
) -> None:
    """Run the instance in `home` until SIGTERM or SIGINT.

    Tables and shipped rows are brought up to date before anything starts; `say` tells the person at the
    terminal.

    Raises Conflict when it is up already or its port is taken, NotFound when there is no instance, Refused
    when the database cannot be had.
    """
    config = boot.boot(home, database=False).config
    telemetry.require(config)
    table = programs(home, config, only)
    (home / "run").mkdir(exist_ok=True)
    with supervisor.only_one(home):
        logs.configure("up", config.log, home)
        if any(program.name == "web" for program in table):
            _claim_port(config.web.host, config.web.port, "web")
        if any(program.name == "track" for program in table):
            _claim_port(config.tracking.host, config.tracking.port, "tracking")
        instance = boot.setup(home)
        logs.configure("up", config.log, home)
        creation.prepare(instance)
        _disconnect()
        if any(program.name == "web" for program in table):
            host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
            address = config.web.public_url or f"http://{host}:{config.web.port}/"
            say(f"Envoi {config.instance.name}: {address}")
        supervisor.Supervisor(home, table, watch=Watch(instance), watch_seconds=WATCH_SECONDS).run()
        say("Stopped.")


class Watch:
    """Looks after the instance every few seconds: its answer is the packages that it has, as long as it can
    tell.

    It also starts the embedded server again if its keeper was killed: `up` holds the lock by which the next
    keeper knows that it is wanted.
    """

    def __init__(self, instance: boot.Instance) -> None:
        self._instance = instance
        self._calls = 0
        self._reviving: subprocess.Popen[bytes] | None = None

    def __call__(self) -> tuple[str, ...] | None:
        """Return the names of the installed packages, None when that is not known just now."""
        lease = self._instance.lease
        if lease is None:
            return None
        if lease.embedded and not keeper_lives(self._instance.home):
            self._revive()
            return None
        self._calls += 1
        if self._calls % PACKAGES_EVERY != 1:
            return None
        try:
            return boot.installed_packages(lease)
        except PlatformError:
            return None

    def _revive(self) -> None:
        # In a process of its own: a recovery may take minutes, and signals must be heard meanwhile.
        if self._reviving is not None and self._reviving.poll() is None:
            return
        log.warning("the database's keeper is gone; it is started again")
        self._reviving = subprocess.Popen(
            [sys.executable, "-P", "-c", REVIVE, str(self._instance.home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


def _claim_port(host: str, port: int, section: str) -> None:
    refusal: list[Conflict] = []

    def free() -> bool:
        refusal.clear()
        try:
            serve.claim(host, port, section)
        except Conflict as error:
            refusal.append(error)
        return not refusal

    if not supervisor.wait_until(free, seconds=PORT_SECONDS):
        raise refusal[0]


def _disconnect() -> None:
    from django.db import connections

    connections.close_all()
