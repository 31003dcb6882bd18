"""Mailboxes by POP3 and IMAP: the messages that wait, by an id that stays theirs."""

from __future__ import annotations

import imaplib
import poplib
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol, cast

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.remote import PATIENCE, connect
from envoi.kernel.accounts import Credentials
from envoi.kernel.accounts.network import context, explained, printable
from envoi.kernel.accounts.opened import Failed as Unreached

LONGEST = 32 << 20
"""Bytes of a message; a longer one is left where it is."""


class Mailbox(Protocol):
    """An open mailbox."""

    def ids(self, most: int | None = None) -> list[str]:
        """Return the ids of the messages, the oldest first; with `most` of so many at most."""
        ...

    def message(self, id: str) -> bytes | None:
        """Return a message; None for one that is gone or too long."""
        ...

    def beginning(self, id: str, most: int) -> bytes | None:
        """Return about the first `most` bytes of a message, however long it is; None for one that is gone."""
        ...

    def delete(self, id: str) -> None:
        """Delete a message; one that is gone is no error."""
        ...


@contextmanager
def opened(account: Credentials) -> Generator[Mailbox]:
    """Open the mailbox of an account of type POP3 or IMAP, and close it so that deletions count. Raises
    Failed.
    """
    host, port = account.text("server"), account.number("port")
    place = f"{host}:{port}"
    if account.text("method") == "oauth":
        raise Failed(f"{place}: signing in by OAuth is not possible yet; use a password for applications.")
    try:
        with explained(place):
            line = connect(host, port)
            try:
                if account.text("security") == "tls":
                    line = context(verify=account.on("verify")).wrap_socket(line, server_hostname=host)
                yield from _imap(account, line) if account.type == "imap" else _pop3(account, line)
            finally:
                line.close()
    except (poplib.error_proto, imaplib.IMAP4.error) as error:
        raise Failed(f"{place}: {account.concealed(printable(error))}.") from error
    except Unreached as error:
        raise Failed(str(error)) from error


class _PopSession(poplib.POP3):
    """POP3 on a connection that there is; `host` is the name that STARTTLS expects in the certificate."""

    def __init__(self, host: str, line: socket.socket) -> None:
        self.line = line
        try:
            super().__init__(host, timeout=PATIENCE)
        except BaseException:  # a greeting that is none
            self.close()
            raise

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self.line

    def _getline(self) -> tuple[bytes, int]:
        # The library's own gives up at 2,048 bytes, and with it the session: one mail could block a mailbox.
        line = self.file.readline(LONGEST)
        if not line:
            raise poplib.error_proto("the server has ended the session")
        return line.rstrip(b"\r\n"), len(line)


class _ImapSession(imaplib.IMAP4):
    """IMAP on a connection that there is; `host` is the name that STARTTLS expects in the certificate."""

    def __init__(self, host: str, line: socket.socket) -> None:
        self.line = line
        super().__init__(host, timeout=PATIENCE)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self.line


class _Pop3:
    def __init__(self, session: poplib.POP3) -> None:
        self.session = session
        lines = session.uidl()[1]
        self.numbers = {
            id.decode("ascii", "replace"): int(n) for n, _sp, id in (x.partition(b" ") for x in lines)
        }
        self.sizes = {int(n): int(size) for n, size in (x.split()[:2] for x in session.list()[1])}

    def ids(self, most: int | None = None) -> list[str]:
        return list(self.numbers)[:most]

    def beginning(self, id: str, most: int) -> bytes | None:
        number = self.numbers.get(id)
        if number is None:
            return None
        if self.sizes.get(number, 0) <= most:
            return b"\r\n".join(self.session.retr(number)[1]) + b"\r\n"
        try:
            lines = self.session.top(number, most // 50)[1]
        except poplib.error_proto:  # not every server has this command
            lines = self.session.retr(number)[1]
        return (b"\r\n".join(lines) + b"\r\n")[:most]

    def message(self, id: str) -> bytes | None:
        number = self.numbers.get(id)
        if number is None or self.sizes.get(number, 0) > LONGEST:
            return None
        return b"\r\n".join(self.session.retr(number)[1]) + b"\r\n"

    def delete(self, id: str) -> None:
        if (number := self.numbers.get(id)) is not None:
            self.session.dele(number)


class _Imap:
    def __init__(self, session: imaplib.IMAP4, count: int) -> None:
        self.session = session
        self.count = count
        # Ids count only as long as the mailbox keeps its own number.
        validity = session.response("UIDVALIDITY")[1]
        self.prefix = (validity[0].decode() if validity and isinstance(validity[0], bytes) else "0") + "."

    def ids(self, most: int | None = None) -> list[str]:
        # The answer is one line, and a full mailbox makes it longer than the library takes.
        within = "ALL" if most is None else f"1:{min(most, self.count)}"
        if most is not None and not self.count:
            return []
        _status, found = self.session.uid("SEARCH", within)
        return [f"{self.prefix}{uid.decode()}" for uid in (found[0] or b"").split()]

    def message(self, id: str) -> bytes | None:
        body = self.beginning(id, LONGEST + 1)
        return body if body is not None and len(body) <= LONGEST else None

    def beginning(self, id: str, most: int) -> bytes | None:
        uid = id.removeprefix(self.prefix)
        if not id.startswith(self.prefix) or not uid.isdecimal():
            return None
        _status, found = self.session.uid("FETCH", uid, f"(BODY.PEEK[]<0.{most}>)")
        for part in cast("list[object]", found):
            if isinstance(part, tuple):
                return cast("tuple[bytes, bytes]", part)[1]
        return None

    def delete(self, id: str) -> None:
        uid = id.removeprefix(self.prefix)
        if id.startswith(self.prefix) and uid.isdecimal():
            self.session.uid("STORE", uid, "+FLAGS", "(\\Deleted)")


# A session holds its connection open by a file of its own, and after STARTTLS by another socket: closing the
# line that it was given is not enough.


def _pop3(account: Credentials, line: socket.socket) -> Generator[Mailbox]:
    session = _PopSession(account.text("server"), line)
    try:
        if account.text("security") == "starttls":
            session.stls(context=context(verify=account.on("verify")))
        session.user(account.text("account"))
        session.pass_(account.secret("password"))
        yield _Pop3(session)
        session.quit()
    finally:
        session.close()


def _imap(account: Credentials, line: socket.socket) -> Generator[Mailbox]:
    session = _ImapSession(account.text("server"), line)
    try:
        if account.text("security") == "starttls":
            session.starttls(ssl_context=context(verify=account.on("verify")))
        session.login(account.text("account"), account.secret("password"))
        _status, found = session.select("INBOX")
        count = int(found[0]) if found and found[0] else 0
        yield _Imap(session, count)
        session.expunge()
        session.logout()
    finally:
        # Not its own `shutdown`, which fails on what is closed already.
        session.file.close()
        session.sock.close()
