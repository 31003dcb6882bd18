"""The right to use a database, and how to connect to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from psycopg.conninfo import make_conninfo

from envoi.postgres import databases
from envoi.postgres.errors import DatabaseRefused
from envoi.postgres.passwords import READER, ROLES, USER

FIVE = ("host", "port", "user", "password", "dbname")
READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=30s"


class Lease:
    """The right to use a database, as long as it is open. Closing it twice is harmless.

    home: the instance's folder, None for an external server. embedded: whether we run the server.
    version: version number of the server, e.g. 180006. dbname: the product's database.
    """

    def __init__(
        self,
        connection: Mapping[str, str],
        *,
        version: int,
        passwords: Mapping[str, str] | None = None,
        home: Path | None = None,
        lock: int | None = None,
    ) -> None:
        self.home = home
        self.version = version
        self.embedded = passwords is not None
        self.dbname = connection["dbname"]
        self._connection = dict(connection)
        self._passwords = passwords
        self._lock = lock

    def close(self) -> None:
        """Give the lock back; the server stops a few seconds after the last one."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    @property
    def major(self) -> int:
        """Major version of the server."""
        return self.version // 10000

    def connection(self, role: str = USER, dbname: str | None = None) -> dict[str, str]:
        """Connection parameters by their libpq names, password included.

        role: "envoi", "envoi_read" or "envoi_owner". An external server has one role, which then stands for
        all three; there "envoi_read" adds read-only transactions and a statement time-out of 30 s.
        """
        if role not in ROLES:
            raise DatabaseRefused(f"role {role!r}: is none of {', '.join(ROLES)}; use one of them.")
        found = dict(self._connection)
        if dbname is not None:
            found["dbname"] = dbname
        if self._passwords is not None:
            found.update(user=role, password=self._passwords[role])
        elif role == READER:
            found["options"] = f"{found.get('options', '')} {READ_ONLY}".strip()
        return found

    def dsn(self, role: str = USER, dbname: str | None = None) -> str:
        """Connection string ("host=… user=… password=…") for psycopg."""
        return make_conninfo(**self.connection(role, dbname))

    def url(self, role: str = USER, dbname: str | None = None) -> str:
        """The same as a URL ("postgresql://user:password@/dbname?host=…"), for tools that want one."""
        found = self.connection(role, dbname)
        account = quote(found.pop("user", ""), safe="")
        if "password" in found:
            account += ":" + quote(found.pop("password"), safe="")
        name = quote(found.pop("dbname", ""), safe="")
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in found.items())
        return f"postgresql://{account}@/{name}?{query}"

    def params(self, role: str = USER, dbname: str | None = None) -> dict[str, str]:
        """The five parameters host, port, user, password, dbname ("" where unset), for Django's DATABASES."""
        found = self.connection(role, dbname)
        return {name: found.get(name, "") for name in FIVE}

    def options(self, role: str = USER) -> dict[str, str]:
        """All other parameters (e.g. require_auth, sslmode), for Django's OPTIONS."""
        return {name: value for name, value in self.connection(role).items() if name not in FIVE}

    def create_database(self, name: str, *, template: str | None = None) -> None:
        """See `databases.create_database`."""
        databases.create_database(self, name, template=template)

    def drop_database(self, name: str) -> None:
        """See `databases.drop_database`."""
        databases.drop_database(self, name)
