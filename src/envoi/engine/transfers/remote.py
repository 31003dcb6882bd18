"""What every kind of server can do with files, and how a connection to one begins."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from envoi.engine.activities.base import Failed
from envoi.kernel import addresses
from envoi.kernel.accounts.network import explained
from envoi.kernel.accounts.opened import Failed as Unreached
from envoi.kernel.accounts.opened import allowed
from envoi.kernel.errors import Invalid, Retry

PATIENCE = 60.0
"""Seconds for one answer of a server."""
MOST_BYTES = 16 << 30
"""Of one file that is fetched."""


class Remote(Protocol):
    """A server. Names are paths on it, below the folder of the account; every method raises Failed."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted, without folders."""
        ...

    def exists(self, name: str) -> bool:
        """Return whether there is a file."""
        ...

    def fetch(self, name: str, to: Path) -> None:
        """Bring a file here, under `to`, whole or not at all."""
        ...

    def store(self, path: Path, name: str) -> None:
        """Bring a file there; one of that name is replaced."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file there; one that is gone is no error."""
        ...


def joined(*parts: str) -> str:
    """Return a path on a server from its parts, empty ones left out."""
    kept = [part.strip("/") if number else part.rstrip("/") for number, part in enumerate(parts) if part]
    return "/".join(part for part in kept if part) or ("/" if parts and parts[0].startswith("/") else "")


def connect(host: str, port: int) -> socket.socket:
    """Return a connection to an address of a host that was checked. Raises Failed."""
    place = f"{host}:{port}"
    try:
        found = addresses.check_host(host, port, allowed=allowed())
        with explained(place):
            failure: OSError | None = None
            for address in found[:4]:
                try:
                    return socket.create_connection((str(address), port), timeout=PATIENCE)
                except OSError as error:
                    failure = error
            raise failure or ConnectionError("the name has no address")
    except (Invalid, Retry, Unreached) as error:
        raise Failed(str(error)) from error


@contextmanager
def arriving(to: Path) -> Generator[Path]:
    """Give a path to write to, and bring it to its name when it is whole."""
    part = to.with_name(f".{to.name}.part")
    try:
        yield part
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
