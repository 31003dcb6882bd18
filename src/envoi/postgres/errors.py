"""Refusals of this room. Each message names the thing, the place and the remedy."""


class PostgresRefused(Exception):  # noqa: N818 - a refusal is no fault of the program
    """Base of every refusal: something about PostgreSQL stops the command; the message says what to do."""


class NoPostgres(PostgresRefused):
    """No usable PostgreSQL programs were found."""


class ForeignInstance(PostgresRefused):
    """The instance's folder belongs to another operating-system user, or is a copy of a living one."""


class PlaceUnusable(PostgresRefused):
    """A folder that the server needs cannot be reached or made."""


class WrongMajor(PostgresRefused):
    """The data were written by another major version than the programs."""


class ServerFailed(PostgresRefused):
    """initdb or the server itself ended with an error."""


class NotRunning(PostgresRefused):
    """No server runs and the caller asked not to start one."""


class NotAnswering(PostgresRefused):
    """The server did not answer in time, or answers with a refusal."""


class DatabaseRefused(PostgresRefused):
    """A database could not be made, dropped or replaced."""


class InUse(PostgresRefused):
    """Other commands or sessions use what should be replaced."""


class NotADump(PostgresRefused):
    """The file is not an archive of `db backup`."""


class ToolFailed(PostgresRefused):
    """A client program (pg_dump, pg_restore, psql) is missing, too old, or failed."""


def from_report(kind: str, message: str) -> PostgresRefused:
    """The refusal that a keeper reported over its pipe: class `kind` of this module, the base if unknown."""
    found = globals().get(kind)
    if isinstance(found, type) and issubclass(found, PostgresRefused):
        return found(message)
    return PostgresRefused(message)
