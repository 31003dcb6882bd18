"""The track process: granian in front of what readers reach, without Django (architecture §3.7).

Granian's own process holds no connection; each of the processes that serve (`[tracking] processes`) has one
of its own, its own segments and its own number for log ids. Beside them runs the loader, which brings closed
segments into the database: a process of its own (`envoi track --load`), started again when it ends.
"""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from envoi.app import boot, logs, serve, ties
from envoi.kernel import clock
from envoi.kernel.config import Config

FOLDER = "tracking"
"""In HOME: segments and what is wrong in them."""
CONNECT_SECONDS = 2
OPTIONS = (
    "-c statement_timeout=2000 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2"
    " -c tcp_keepalives_count=2"
)
CLOSE_SECONDS = 1.0
THREADS = 2
"""One may wait for the database while the other answers from what is known."""
RESTART_SECONDS = 2.0
LOADER_SECONDS = 10.0
log = logging.getLogger(__name__)


def serve_readers(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises Conflict when the port cannot be had."""
    serve.claim(config.tracking.host, config.tracking.port, "tracking")
    folder(config)
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    from envoi.app.front import Front

    front = Front(
        target="envoi.app.track:application",
        address=config.tracking.host,
        port=config.tracking.port,
        interface=Interfaces.WSGI,
        workers=max(1, config.tracking.processes),
        blocking_threads=THREADS,
        blocking_threads_idle_timeout=600,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=serve.HEADER_SECONDS * 1000,
            max_buffer_size=serve.HEADER_BYTES,
            pipeline_flush=True,
        ),
        websockets=False,
        workers_kill_timeout=serve.STOP_SECONDS,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        log_level=LogLevels.warning,
        log_dictconfig={
            "handlers": {},
            "formatters": {},
            "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
        },
    )
    loader = Loader(config.home)
    front.on_startup(loader.start)
    front.on_reload(loader.renew)
    front.on_shutdown(loader.stop)
    front.run(application)


class Loader:
    """The loader as a child of granian's own process, tied to it."""

    def __init__(self, home: Path) -> None:
        self._command = (sys.executable, "-P", "-m", "envoi.cli", "--home", str(home), "track", "--load")
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="loader", daemon=True)

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._thread.start()

    def renew(self) -> None:
        """Let a fresh one take its place: packages or configuration have changed."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Let it load what is closed, then end."""
        self._stopped.set()
        self.renew()
        self._thread.join(LOADER_SECONDS)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            # From this thread, which lives as long as the process: a child is tied to the thread.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                preexec_fn=ties.tied_to_me(),
            )  # fmt: skip
            if code := self._process.wait():
                log.error("the loader of hits ended", extra={"code": code})
            self._stopped.wait(RESTART_SECONDS)


def folder(config: Config) -> Path:
    """Return where segments lie, made if it is missing."""
    from envoi.postgres.files import make_folder

    found = config.home / FOLDER
    make_folder(config.home, found, 0o700)
    return found


def application(parent: int, loaded: Any, target: str) -> Callable[..., Any]:
    """Load the application in the process that serves it, tied to granian's own, `parent`."""
    ties.die_with(parent)
    config = boot.boot(database=False).config
    logs.configure_from_environment(config.log, config.home, process="track")
    found = redirection(config)
    loaded.set()
    return found


def redirection(config: Config) -> Callable[..., Any]:
    """Return the application of an instance, with its own connection and segments."""
    from envoi.packages.delivery.services.redirection import answering, cookies, links, proxies, tags

    tracking = config.tracking
    writing = Writing(config)
    threading.Thread(target=writing.keep_closing, name="segments", daemon=True).start()
    return answering.Redirection(
        tags.tags(config.home, tracking.url),
        links.Links(lambda: connect(config, reader=True)),
        writing.segments,
        answering.Places(config.web.address, tracking.expiration_url),
        setting=cookies.Setting(
            secure=tracking.url.lower().startswith("https://"), elsewhere=tracking.cookies_elsewhere
        ),
        trusted=proxies.Trusted(tracking.trusted_proxies),
        host=urlsplit(tracking.url).hostname or "",
    )


class Writing:
    """The segments of this process, begun when the first hit comes: its number is asked of the database."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._again = 0.0
        self._found: Any = None

    def segments(self) -> Any:
        """Return them. Raises Away when there is no number to be had yet."""
        return self._found or self._begin()

    def keep_closing(self) -> None:
        """Close old segments, for ever."""
        pause = threading.Event()
        while not pause.wait(CLOSE_SECONDS):
            if self._found is not None:
                try:
                    self._found.close_old()
                except OSError as error:
                    log.error("a segment cannot be closed: %s", error)

    def _begin(self) -> Any:
        import psycopg

        from envoi.packages.delivery.services.redirection import ids, links, segments
        from envoi.postgres.files import hand_over

        with self._lock:
            if self._found is not None:
                return self._found
            if clock.monotonic() < self._again:
                raise links.Away("there is no number for log ids")
            try:
                with connect(self._config, reader=False) as connection:
                    ((number,),) = connection.execute("SELECT nextval('nms_tracking_process')").fetchall()
            except psycopg.Error as error:
                self._again = clock.monotonic() + links.PAUSE
                log.warning("there is no number for log ids: %s", error)
                raise links.Away("there is no number for log ids") from error
            self._found = segments.Segments(
                folder(self._config),
                ids.Ids(number),
                hand_over=partial(hand_over, self._config.home),
            )
            return self._found


def connect(config: Config, *, reader: bool) -> Any:
    """Return a connection in autocommit, that of who may only read for `reader`. Raises psycopg.Error."""
    import psycopg
    from psycopg.conninfo import make_conninfo

    from envoi.postgres import server
    from envoi.postgres.errors import PostgresRefused
    from envoi.postgres.passwords import READER, USER

    try:
        if config.database.url:
            lease = server.external(config.database.url)
        else:
            # Whoever runs the instance holds its server; we only ask where it is.
            lease = server.acquire(config.home, start=False, timeout=CONNECT_SECONDS)
    except PostgresRefused as error:
        raise psycopg.OperationalError(str(error)) from error
    with lease:
        wanted = lease.connection(READER if reader else USER)
    options = f"{wanted.pop('options', '')} {OPTIONS}".strip()
    return psycopg.connect(
        make_conninfo(
            **wanted,
            options=options,
            connect_timeout=CONNECT_SECONDS,
            application_name=os.environ.get(logs.PROCESS_VARIABLE, "track"),
            tcp_user_timeout=CONNECT_SECONDS * 1000,
        ),
        autocommit=True,
    )
