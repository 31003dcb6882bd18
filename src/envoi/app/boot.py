"""The start of a process: home, configuration, database, installed packages, Django (in this order).

Every command calls `boot` once. Django's settings read the result through `current`, so that a child process that only
inherited the environment (a worker of the web server, say) boots by itself.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import psycopg

from envoi.kernel import config
from envoi.kernel.errors import Broken, Refused
from envoi.postgres import server

DEFAULT_HOME = "var"


@dataclass(frozen=True)
class Instance:
    """What a booted process knows of its instance. `lease` keeps the embedded server alive."""

    home: Path
    config: config.Config
    lease: server.Lease | None
    packages: tuple[str, ...]


_current: Instance | None = None


def home_of(given: str | None = None) -> Path:
    """Return the instance's folder: the argument, else `ENVOI_HOME`, else ./var."""
    return Path(given or os.environ.get("ENVOI_HOME") or DEFAULT_HOME).absolute()


def boot(home: Path | None = None, *, database: bool = True) -> Instance:
    """Prepare this process to work on the instance in `home`; a second call returns the first result.

    With `database=False` no server is started and no package is loaded; such a process must not import models.
    Raises Refused when the database cannot be had.
    """
    global _current
    if _current is not None:
        return _current
    home = home or home_of()
    os.environ["ENVOI_HOME"] = str(home)
    settings = config.load(home)
    lease = acquire(settings) if database else None
    packages = installed_packages(lease) if lease else ()
    _current = Instance(home, settings, lease, packages)
    return _current


def current() -> Instance:
    """Return the instance of this process, booting it from the environment if nobody has."""
    return _current or boot()


def setup(home: Path | None = None) -> Instance:
    """Boot, then set Django up. Safe to call more than once."""
    instance = boot(home)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envoi.app.settings")
    import django

    django.setup()
    return instance


def acquire(settings: config.Config) -> server.Lease:
    """Reach the database of the instance, starting the embedded server when it is the one."""
    try:
        if settings.database.url:
            return server.external(settings.database.url)
        return server.acquire(settings.home)
    except server.PostgresRefused as error:
        raise Refused(str(error)) from error


def installed_packages(lease: server.Lease) -> tuple[str, ...]:
    """Return the names of the packages installed on the instance, in the order of their installation."""
    try:
        with psycopg.connect(lease.dsn(), connect_timeout=10) as connection:
            rows = connection.execute(
                "SELECT name FROM xtk_package WHERE installed_at IS NOT NULL ORDER BY package_id"
            ).fetchall()
    except psycopg.errors.UndefinedTable:
        return ()
    except psycopg.OperationalError as error:
        raise Broken(f"The database of the instance does not answer: {error}") from error
    return tuple(name for (name,) in rows)
