"""Files on other servers: SFTP, FTP, object stores that understand S3, and plain HTTP (engine.md §6.4).

`remote(account)` gives one way to all of them. Addresses are checked against private networks, and the
connection is made to the address that was checked. What fails is told as `Failed`, without secrets.
"""

from collections.abc import Callable, Mapping

from envoi.engine.transfers.ftp import Ftp
from envoi.engine.transfers.remote import Remote
from envoi.engine.transfers.s3 import S3
from envoi.engine.transfers.sftp import Sftp
from envoi.engine.transfers.web import Web
from envoi.kernel.accounts import Credentials
from envoi.kernel.errors import Invalid

KINDS: Mapping[str, Callable[[Credentials], Remote]] = {"sftp": Sftp, "ftp": Ftp, "s3": S3, "http": Web}


def remote(account: Credentials) -> Remote:
    """Return the server behind an account. Raises Invalid for an account that reaches no files."""
    kind = KINDS.get(account.type)
    if kind is None:
        raise Invalid(
            f"The account {account.name} is of the type {account.type}, by which no files are moved."
        )
    return kind(account)


__all__ = ["KINDS", "Remote", "remote"]
