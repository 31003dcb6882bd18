"""The start of a process: home, configuration, database, installed packages, Django (in this order).

Every command calls `boot` or `setup` once. Django's settings read the result through `current`, so that a
child process that only inherited the environment (a worker of the web server, say) boots by itself. Nothing
heavy is imported before it is needed: `envoi --help` must not pay for a database driver.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from envoi.kernel import config
from envoi.kernel.errors import Broken, Conflict, NotFound, Refused

if TYPE_CHECKING:
    from envoi.postgres.server import Lease

DEFAULT_HOME = "var"
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Instance:
    """What a booted process knows of its instance. `lease` keeps the embedded server alive."""

    home: Path
    config: config.Config
    lease: "Lease | None"
    packages: tuple[str, ...]


_current: Instance | None = None


def home_of(given: str | None = None) -> Path:
    """Return the instance's folder: the argument, else `ENVOI_HOME`, else ./var."""
    return Path(given or os.environ.get("ENVOI_HOME") or DEFAULT_HOME).absolute()


def boot(
    home: Path | None = None, *, database: bool = True, packages: tuple[str, ...] | None = None
) -> Instance:
    """Prepare this process to work on the instance in `home`; a second call returns the first result.

    With `database=False` no server is started and no package is loaded; such a process must not import
    models. A later call that wants the database then boots in full. `packages` loads these instead of what
    the instance has installed, and lets `home` be empty: it is how an instance is created.
    Raises NotFound when `home` holds no instance, Conflict when its creation was interrupted, Refused or
    Broken when the database cannot be had.
    """
    global _current
    if _current is not None and (_current.lease is not None or not database):
        return _current
    home = home or home_of()
    os.environ["ENVOI_HOME"] = str(home)
    settings = config.load(home)
    if packages is None and not holds_instance(settings):
        raise NotFound(
            f"There is no instance in {home}; create one with `envoi init`, or name its folder by --home."
        )
    from envoi.app import logs

    logs.configure_from_environment(settings.log, home)
    lease = acquire(settings) if database else None
    if packages is None:
        packages = installed_packages(lease) if lease else ()
        if lease and not packages:
            lease.close()
            raise Conflict(f"The instance in {home} is not complete; run `envoi init` to finish it.")
    _current = Instance(home, settings, lease, packages)
    return _current


def current() -> Instance:
    """Return the instance of this process, booting it from the environment if nobody has."""
    return _current or boot()


def setup(home: Path | None = None, *, packages: tuple[str, ...] | None = None) -> Instance:
    """Boot, then set Django up. Safe to call more than once."""
    instance = boot(home, packages=packages)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envoi.app.settings")
    import django

    django.setup()
    return instance


def holds_instance(settings: config.Config) -> bool:
    """Tell whether the folder belongs to an instance. One whose database is elsewhere may have an empty
    folder.
    """
    return bool(settings.database.url) or settings.file.is_file()


def acquire(settings: config.Config) -> "Lease":
    """Reach the database of the instance, starting the embedded server when it is the one."""
    from envoi.postgres import server
    from envoi.postgres.errors import PostgresRefused

    try:
        if settings.database.url:
            return server.external(settings.database.url)
        wanted = settings.database.shared_buffers_mb
        return server.acquire(settings.home, settings={"shared_buffers": f"{wanted}MB"} if wanted else None)
    except PostgresRefused as error:
        raise Refused(str(error)) from error


def installed_packages(lease: "Lease") -> tuple[str, ...]:
    """Return the names of the packages installed on the instance, in the order of their installation."""
    import psycopg

    try:
        with psycopg.connect(lease.dsn(), connect_timeout=CONNECT_SECONDS) as connection:
            rows = connection.execute(
                "SELECT name FROM xtk_package WHERE installed_at IS NOT NULL ORDER BY package_id"
            ).fetchall()
    except psycopg.errors.UndefinedTable:
        return ()
    except psycopg.OperationalError as error:
        raise Broken(f"The database of the instance does not answer: {error}") from error
    return tuple(name for (name,) in rows)
