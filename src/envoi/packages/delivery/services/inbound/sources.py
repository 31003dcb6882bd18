"""Where mails come from: the mailbox of an external account, and Maildirs."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from envoi.engine.transfers import mailbox
from envoi.engine.transfers.mailbox import Mailbox
from envoi.kernel import accounts
from envoi.kernel.errors import Conflict, NotFound
from envoi.kernel.rights import internal

MAILBOXES = ("pop3", "imap")


@dataclass(frozen=True)
class Account:
    """The mailbox of an external account, by POP3 or IMAP."""

    account: str

    @property
    def name(self) -> str:
        """The name of the account."""
        return self.account

    def there(self) -> bool:
        """Tell whether there is an enabled account of this name that is a mailbox with a server."""
        try:
            found = accounts.credentials(self.account, actor=internal())
        except (NotFound, Conflict):
            return False
        return found.type in MAILBOXES and bool(found.text("server"))

    @contextmanager
    def opened(self) -> Generator[Mailbox]:
        """Open the mailbox. Raises `engine.activities.base.Failed` with a sentence for operators."""
        with mailbox.opened(accounts.credentials(self.account, actor=internal())) as found:
            yield found


@dataclass(frozen=True)
class Maildir:
    """A Maildir: each mail a file in `new` or `cur`, named there by a rename when it is whole."""

    folder: Path
    label: str = "maildir"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.label

    @contextmanager
    def opened(self) -> Generator[Mailbox]:
        """Return the folder as a mailbox."""
        yield _Folder(self.folder)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ids(self, most: int | None = None) -> list[str]:
        found: list[str] = []
        for place in ("new", "cur"):
            with suppress(OSError):
                names = sorted(name for name in os.listdir(self.folder / place) if not name.startswith("."))
                found += [f"{place}/{name}" for name in names]
        return found[:most]

    def message(self, id: str) -> bytes | None:
        return self.beginning(id, mailbox.LONGEST)

    def beginning(self, id: str, most: int) -> bytes | None:
        path = self.folder / id
        try:
            if path.is_symlink() or not path.is_file():  # a link might lead anywhere
                return None
            with path.open("rb") as file:
                return file.read(most)
        except OSError:
            return None

    def delete(self, id: str) -> None:
        with suppress(OSError):
            (self.folder / id).unlink()
