"""FTP and FTPS (RFC 959, 4217), passive, over connections to the address that was checked."""

from __future__ import annotations

import ftplib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.remote import MOST_BYTES, PATIENCE, arriving, connect, joined
from envoi.kernel.accounts import Credentials
from envoi.kernel.accounts.network import context, explained, printable
from envoi.kernel.accounts.opened import Failed as Unreached


class Ftp:
    """The folder of an account."""

    def __init__(self, account: Credentials) -> None:
        self.account = account

    def names(self, folder: str) -> list[str]:
        """List a folder by MLSD, or by NLST where that is not known."""
        with self._session() as session:
            where = self._path(folder) or "."
            try:
                return sorted(name for name, facts in session.mlsd(where) if facts.get("type") == "file")
            except ftplib.error_perm:
                return sorted(PurePosixPath(name).name for name in session.nlst(where))

    def exists(self, name: str) -> bool:
        """Look for a file in the list of its folder."""
        path = PurePosixPath(name)
        return path.name in self.names("" if str(path.parent) == "." else str(path.parent))

    def fetch(self, name: str, to: Path) -> None:
        """Fetch by RETR."""
        size = 0
        with self._session() as session, arriving(to) as part, part.open("wb") as file:

            def keep(piece: bytes) -> None:
                nonlocal size
                size += len(piece)
                if size > MOST_BYTES:
                    raise Failed(f"{name} has more than {MOST_BYTES >> 30} GB.")
                file.write(piece)

            session.retrbinary(f"RETR {self._path(name)}", keep)

    def store(self, path: Path, name: str) -> None:
        """Store under another name first, so that nobody reads half a file."""
        goal = self._path(name)
        with self._session() as session, path.open("rb") as file:
            session.storbinary(f"STOR {goal}.part", file)
            try:
                session.rename(f"{goal}.part", goal)
            except ftplib.error_perm:
                session.delete(goal)
                session.rename(f"{goal}.part", goal)

    def delete(self, name: str) -> None:
        """Delete by DELE."""
        with self._session() as session:
            try:
                session.delete(self._path(name))
            except ftplib.error_perm as error:
                if not str(error).startswith("550"):
                    raise

    def _path(self, name: str) -> str:
        path = joined(self.account.text("folder"), name)
        if any(character in path for character in "\r\n\0"):
            raise Failed(f"{name!r} is no name of a file.")
        return path

    @contextmanager
    def _session(self) -> Generator[ftplib.FTP]:
        account = self.account
        host, port = account.text("server"), account.number("port") or 21
        place = f"{host}:{port}"
        line = connect(host, port)
        secure = account.on("tls")
        kind = context(verify=account.on("verify"))
        session = ftplib.FTP_TLS(timeout=PATIENCE, context=kind) if secure else ftplib.FTP(timeout=PATIENCE)  # noqa: S321
        session.encoding = account.text("encoding") or "utf-8"
        # `connect` of the library would look the name up again; data connections go to the same address.
        session.host, session.port, session.sock = line.getpeername()[0], port, line
        session.af = line.family
        session.file = line.makefile("r", encoding=session.encoding)
        try:
            with explained(place):
                session.welcome = session.getresp()
                if isinstance(session, ftplib.FTP_TLS):
                    session.host = host
                    session.auth()
                    session.host = line.getpeername()[0]
                session.login(account.text("account") or "anonymous", account.secret("password"))
                if isinstance(session, ftplib.FTP_TLS):
                    session.prot_p()
                yield session
        except ftplib.Error as error:
            raise Failed(f"{place}: {account.concealed(printable(error))}.") from error
        except Unreached as error:
            raise Failed(str(error)) from error
        finally:
            session.close()
