"""Bring an instance up: hold its database, prepare it, supervise its processes."""

from collections.abc import Callable, Sequence
from pathlib import Path

from envoi.app import boot, logs, serve, supervisor
from envoi.app.programs import programs
from envoi.kernel.errors import Conflict, PlatformError

PORT_SECONDS = 3.0
"""How long a port may still be held by processes of an `up` that was killed a moment ago."""


def up(
    home: Path,
    *,
    only: Sequence[str] = (),
    prepare: Callable[[boot.Instance], object],
    say: Callable[[str], None],
) -> None:
    """Run the instance in `home` until SIGTERM or SIGINT.

    `prepare` brings tables and shipped rows up to date before anything starts; `say` tells the person at the
    terminal.

    Raises Conflict when it is up already or its port is taken, NotFound when there is no instance, Refused
    when the database cannot be had.
    """
    config = boot.boot(home, database=False).config
    table = programs(home, config, only)
    (home / "run").mkdir(exist_ok=True)
    with supervisor.only_one(home):
        logs.configure("up", config.log, home)
        if any(program.name == "web" for program in table):
            _claim_port(config.web.host, config.web.port)
        instance = boot.setup(home)
        logs.configure("up", config.log, home)
        prepare(instance)
        _disconnect()
        lease = instance.lease

        def packages() -> object:
            try:
                return boot.installed_packages(lease) if lease else None
            except PlatformError:
                return None  # The database is away for a moment; what we knew still holds.

        if any(program.name == "web" for program in table):
            host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
            address = config.web.public_url or f"http://{host}:{config.web.port}/"
            say(f"Envoi {config.instance.name}: {address}")
        supervisor.Supervisor(home, table, watch=packages).run()
        say("Stopped.")


def _claim_port(host: str, port: int) -> None:
    refusal: list[Conflict] = []

    def free() -> bool:
        refusal.clear()
        try:
            serve.claim(host, port)
        except Conflict as error:
            refusal.append(error)
        return not refusal

    if not supervisor.wait_until(free, seconds=PORT_SECONDS):
        raise refusal[0]


def _disconnect() -> None:
    from django.db import connections

    connections.close_all()
