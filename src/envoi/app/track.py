"""The track process: what readers reach, without Django (architecture §3.7, ADR 0029).

One thread with one loop answers; beside it stand the database connection that links are read by, and the
segments that hits are written to. Several processes share the port. The loader, which brings closed segments
into the database, is a process of its own (`envoi track --load`): under `up` the supervisor runs it, and a
`track` that nobody supervises starts one for itself.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from envoi.app import logs, serve, ties
from envoi.kernel import clock
from envoi.kernel.config import Config
from envoi.kernel.errors import Broken, Conflict
from envoi.packages.delivery.services.redirection import cookies, links, proxies, tags
from envoi.packages.delivery.services.redirection.answering import Places, Redirection
from envoi.packages.delivery.services.redirection.http import Connection, Front
from envoi.packages.delivery.services.redirection.ids import Ids
from envoi.packages.delivery.services.redirection.links import Away
from envoi.packages.delivery.services.redirection.moments import Moments
from envoi.packages.delivery.services.redirection.segments import Segments

FOLDER = "tracking"
"""In HOME: segments and what is wrong in them."""
CONNECT_SECONDS = 2
OPTIONS = (
    "-c statement_timeout=2000 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2"
    " -c tcp_keepalives_count=2"
)
LOOK_SECONDS = 1.0
BACKLOG = 1024
STOP_SECONDS = 5.0
"""How long answers may take that were asked for before the process was told to stop."""
RESTART_SECONDS = 2.0
LOADER_SECONDS = 15.0
log = logging.getLogger(__name__)


def run(config: Config) -> None:
    """Answer readers until SIGTERM or SIGINT. Raises Conflict when the port cannot be had."""
    supervised = logs.PROCESS_VARIABLE in os.environ
    if not supervised:  # `up` has looked, before it started several that share the port
        serve.claim(config.tracking.host, config.tracking.port, "tracking")
    try:
        from uvloop import run as run_loop
    except ImportError:  # it is faster, and not there for every system
        from asyncio import run as run_loop
    # A reader's connection is an open file; what the system allows at most is usual to have to ask for.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.nullcontext() if supervised else Loader(config.home):
        run_loop(serve_readers(config))


async def serve_readers(config: Config) -> None:
    """Answer readers until SIGTERM or SIGINT."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    writing = Writing(config)
    await loop.run_in_executor(None, writing.keep)
    site = redirection(config, writing)
    front = Front(site, loop.call_soon)
    try:
        server = await loop.create_server(
            lambda: Connection(front),
            config.tracking.host,
            config.tracking.port,
            backlog=BACKLOG,
            reuse_port=True,
        )
    except OSError as error:
        raise Conflict(
            f"{config.tracking.host}:{config.tracking.port} cannot be listened on ({error.strerror}). "
            "Set [tracking] host and port."
        ) from error
    # What was loaded stays; looking through it again and again for what may go costs a twentieth.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    log.info("readers are answered", extra={"port": config.tracking.port})
    while not stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), LOOK_SECONDS)
        front.wait(LOOK_SECONDS)
        # Bringing a segment to the disk takes its time.
        await loop.run_in_executor(None, writing.keep)
    server.close()
    end = clock.monotonic() + STOP_SECONDS
    while not front.finish() and clock.monotonic() < end:
        await asyncio.sleep(0.05)
    writing.close()


def redirection(config: Config, writing: "Writing") -> Redirection:
    """Return what answers the readers of an instance."""
    tracking = config.tracking
    return Redirection(
        tags.tags(config.home, tracking.url),
        links.Links(lambda: connect(config, reader=True)),
        writing.segments,
        Places(config.web.address, tracking.expiration_url),
        setting=cookies.Setting(
            secure=tracking.url.lower().startswith("https://"), elsewhere=tracking.cookies_elsewhere
        ),
        trusted=proxies.Trusted(tracking.trusted_proxies),
        moments=Moments(clock.now if "ENVOI_CLOCK_FILE" in os.environ else None),
        host=urlsplit(tracking.url).hostname or "",
    )


def folder(config: Config) -> Path:
    """Return where segments lie, made if it is missing."""
    from envoi.postgres.files import make_folder

    found = config.home / FOLDER
    make_folder(config.home, found, 0o700)
    return found


class Writing:
    """The segments of this process, begun when the database has given it a number for log ids."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._found: Segments | None = None
        self._why = ""

    def segments(self) -> Segments:
        """Return them. Raises Away when there is no number yet."""
        if self._found is None:
            raise Away("there is no number for log ids yet")
        return self._found

    def keep(self) -> None:
        """Ask for a number if there is none; close a segment that is old. To be called every second."""
        try:
            if self._found is None:
                self._begin()
            else:
                self._found.close_old()
        except (OSError, Broken) as error:
            log.error("a segment cannot be closed: %s", error)

    def close(self) -> None:
        """Close the segment."""
        if self._found is not None:
            self._found.close()

    def _begin(self) -> None:
        import psycopg

        from envoi.postgres.files import hand_over

        try:
            with connect(self._config, reader=False) as connection:
                ((number,),) = connection.execute("SELECT nextval('nms_tracking_process')").fetchall()
        except psycopg.Error as error:
            if str(error) != self._why:
                log.warning("readers are not answered yet: %s", error)
            self._why = str(error)
            return
        made = partial(hand_over, self._config.home)
        self._found = Segments(
            folder(self._config), Ids(number), seconds=self._config.tracking.segment_seconds, hand_over=made
        )


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


class Loader:
    """The loader as a child of this process, started again when it ends; leaving waits for its last look."""

    def __init__(self, home: Path) -> None:
        self._command = (sys.executable, "-P", "-m", "envoi.cli", "--home", str(home), "track", "--load")
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="loader", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join(LOADER_SECONDS)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            # From this thread, which lives as long as the process: a child is tied to the thread.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0,
                preexec_fn=ties.tied_to_me(),
            )  # fmt: skip
            if code := self._process.wait():
                log.error("the loader of hits ended", extra={"code": code})
            self._stopped.wait(RESTART_SECONDS)
