"""The web process: granian in front of Django.

Granian's own process holds no connection and no Django; the process that serves (one, with `[web] threads`
threads) boots by itself. A reload (SIGHUP) starts a fresh one beside the old, which then finishes its
requests: nobody is refused.
"""

import logging
import os
import socket
from pathlib import Path

from envoi.kernel.config import Config
from envoi.kernel.errors import Conflict

APPLICATION = "envoi.app.wsgi:application"
STOP_SECONDS = 15
"""How long requests may go on after the process was asked to stop."""
HEADER_SECONDS = 15
HEADER_BYTES = 64 * 1024


def serve(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises Conflict when the port cannot be had."""
    claim(config.web.host, config.web.port)
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    from envoi.app.front import Front

    # It holds eight threads for many; ours wait for the database most of the time.
    logging.getLogger("_granian").addFilter(lambda record: "Python threads" not in record.getMessage())
    front = Front(
        target=APPLICATION,
        address=config.web.host,
        port=config.web.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=max(1, config.web.threads),
        # A thread keeps its database connection; let it live.
        blocking_threads_idle_timeout=600,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=8 * HEADER_BYTES, pipeline_flush=False
        ),
        websockets=False,
        workers_kill_timeout=STOP_SECONDS,
        # From having loaded to listening.
        respawn_interval=0.5,
        log_level=LogLevels.warning,
        log_dictconfig={
            "handlers": {},
            "formatters": {},
            "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
        },
    )
    front.run()


def claim(host: str, port: int, section: str = "web") -> None:
    """Make sure that nobody listens on the address. Raises Conflict with the holder's name when it can be
    found. `section` of the configuration has said it.

    Granian shares its port (SO_REUSEPORT), so two instances on one port would both start and each get half
    of the requests; a plain bind tells.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise Conflict(
            f"{section}.host is {host!r}, which is no address of this machine ({error}). "
            f"Set [{section}] host, or ENVOI_{section.upper()}_HOST."
        ) from error
    with socket.socket(found[0], socket.SOCK_STREAM) as probe:
        # Connections of a server that just ended linger; only a living listener counts.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(found[4])
        except PermissionError as error:
            raise Conflict(
                f"Port {port} needs more rights than this user has. "
                "Use a port above 1023, with a proxy before it."
            ) from error
        except OSError as error:
            who = f" by {found_holder}" if (found_holder := holder(port)) else ""
            raise Conflict(
                f"Port {port} on {host} is in use{who}. Stop that, or choose another port "
                f"by --port, [{section}] port or ENVOI_{section.upper()}_PORT."
            ) from error


def holder(port: int) -> str:
    """Return "process 123 (name)" for who listens on a TCP port of this machine, "" when it cannot be found
    out.
    """
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            field = line.split()
            if field[3] == "0A" and int(field[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{field[9]}]")
    for entry in Path("/proc").iterdir() if inodes else ():
        if not entry.name.isdigit():
            continue
        try:
            if any(os.readlink(link) in inodes for link in (entry / "fd").iterdir()):
                return f"process {entry.name} ({(entry / 'comm').read_text(encoding='utf-8').strip()})"
        except OSError:
            continue
    return ""
