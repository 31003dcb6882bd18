"""SFTP: each operation one session; the server's key must be the one that the account names."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, cast

import asyncssh

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.remote import MOST_BYTES, PATIENCE, arriving, connect, joined
from envoi.kernel.accounts import Credentials
from envoi.kernel.accounts.network import printable

T = TypeVar("T")
CHUNK = 1 << 20


class _Client(asyncssh.SSHClient):
    """Trusts the one key whose fingerprint the account holds, before anything secret is said."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted.strip()
        self.seen = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Compare the fingerprint."""
        self.seen = key.get_fingerprint()
        return bool(self.wanted) and self.seen == (
            self.wanted if self.wanted.startswith("SHA256:") else f"SHA256:{self.wanted}"
        )


class Sftp:
    """The folder of an account."""

    def __init__(self, account: Credentials) -> None:
        self.account = account

    def names(self, folder: str) -> list[str]:
        """List the files of a folder."""

        async def listed(sftp: asyncssh.SFTPClient) -> list[str]:
            found = await sftp.readdir(self._path(folder) or ".")
            plain = (
                str(each.filename)
                for each in found
                if each.attrs.permissions is None or stat.S_ISREG(each.attrs.permissions)
            )
            return sorted(name for name in plain if name not in (".", ".."))

        return self._with(listed)

    def exists(self, name: str) -> bool:
        """Ask for a file."""

        async def found(sftp: asyncssh.SFTPClient) -> bool:
            return await sftp.isfile(self._path(name))

        return self._with(found)

    def fetch(self, name: str, to: Path) -> None:
        """Fetch a file piece by piece."""
        with arriving(to) as part:

            async def fetched(sftp: asyncssh.SFTPClient) -> None:
                size = 0
                async with sftp.open(self._path(name), "rb") as source:
                    with part.open("wb") as file:
                        while piece := cast("bytes", await source.read(CHUNK)):
                            size += len(piece)
                            if size > MOST_BYTES:
                                raise Failed(f"{name} has more than {MOST_BYTES >> 30} GB.")
                            file.write(piece)

            self._with(fetched)

    def store(self, path: Path, name: str) -> None:
        """Store under another name first, so that nobody reads half a file."""
        goal = self._path(name)

        async def stored(sftp: asyncssh.SFTPClient) -> None:
            async with sftp.open(f"{goal}.part", "wb") as target:
                with path.open("rb") as file:
                    while piece := file.read(CHUNK):
                        await target.write(piece)
            try:
                await sftp.posix_rename(f"{goal}.part", goal)
            except asyncssh.SFTPError:
                if await sftp.exists(goal):
                    await sftp.remove(goal)
                await sftp.rename(f"{goal}.part", goal)

        self._with(stored)

    def delete(self, name: str) -> None:
        """Delete a file."""

        async def deleted(sftp: asyncssh.SFTPClient) -> None:
            try:
                await sftp.remove(self._path(name))
            except asyncssh.SFTPNoSuchFile:
                return

        self._with(deleted)

    def _path(self, name: str) -> str:
        return joined(self.account.text("folder"), name)

    def _with(self, work: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        account = self.account
        host, port = account.text("server"), account.number("port") or 22
        place = f"{host}:{port}"
        line = connect(host, port)
        line.setblocking(False)
        client = _Client(account.text("host_key"))

        async def session() -> T:
            keys = [asyncssh.import_private_key(text)] if (text := account.secret("private_key")) else None
            async with (
                asyncssh.connect(
                    host,
                    port,
                    sock=line,
                    client_factory=lambda: client,
                    known_hosts=([], [], []),
                    username=account.text("account"),
                    password=account.secret("password") or None,
                    client_keys=keys or None,
                    agent_path=None,
                    config=None,
                    login_timeout=PATIENCE,
                    keepalive_interval=15,
                ) as connection,
                connection.start_sftp_client() as sftp,
            ):
                return await work(sftp)

        try:
            return asyncio.run(session())
        except asyncssh.HostKeyNotVerifiable as error:
            raise Failed(
                f"{place} shows the key {client.seen or '?'}, which the account {account.name} does not name."
                " If it is the right one, write it there as fingerprint of the server."
            ) from error
        except asyncssh.PermissionDenied as error:
            raise Failed(f"{place} does not let {account.text('account')} in.") from error
        except asyncssh.SFTPError as error:
            raise Failed(f"{place}: {account.concealed(printable(error.reason))}.") from error
        except (asyncssh.Error, asyncssh.KeyImportError, OSError, TimeoutError) as error:
            raise Failed(
                f"The connection to {place} broke ({account.concealed(printable(error))})."
            ) from error
        finally:
            line.close()
