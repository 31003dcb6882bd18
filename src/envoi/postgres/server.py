"""Lend the database: `acquire` for the instance's own server, `external` for a server of the user."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from envoi.postgres.cluster import DATABASE
from envoi.postgres.errors import DatabaseRefused, NotAnswering, NotRunning, from_report
from envoi.postgres.files import instance_home, make_home
from envoi.postgres.find import OLDEST_MAJOR
from envoi.postgres.keep import keeper_pid
from envoi.postgres.locks import USERS, keeper_lives, open_lock, wait_lock
from envoi.postgres.passwords import READER, ROLES, USER, read_passwords
from envoi.postgres.place import Place, recorded_place

STEP = 0.03
STILL_STARTING = re.compile("starting up|not yet accepting|in recovery|recovery state")
READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=30s"


class Lease:
    """The right to use a database, as long as it is open. Closing it twice is harmless.

    home: the instance's folder, None for an external server. embedded: whether we run the server.
    version: server version number of PostgreSQL, e.g. 180006. role: the default role of the methods.
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
        self.role = connection["user"]
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

    def connection(self, role: str | None = None, dbname: str | None = None) -> dict[str, str]:
        """Connection parameters by their libpq names, password included.

        role: "envoi" (default), "envoi_read" or "envoi_owner". An external server has one role, which then
        stands for all three; "envoi_read" adds read-only transactions and a statement time-out of 30 s.
        """
        found = dict(self._connection)
        if dbname is not None:
            found["dbname"] = dbname
        if role is None or role == USER:
            return found
        if role not in ROLES:
            raise DatabaseRefused(f"role {role!r}: is none of {', '.join(ROLES)}; use one of them.")
        if self._passwords is not None:
            found.update(user=role, password=self._passwords[role])
        elif role == READER:
            found["options"] = f"{found.get('options', '')} {READ_ONLY}".strip()
        return found

    def dsn(self, role: str | None = None, dbname: str | None = None) -> str:
        """Connection string ("host=… user=… password=…") for psycopg."""
        return make_conninfo(**self.connection(role, dbname))

    def url(self, role: str | None = None, dbname: str | None = None) -> str:
        """The same as a URL ("postgresql://user:password@/dbname?host=…"), for tools that want one."""
        found = self.connection(role, dbname)
        user, password = quote(found.pop("user", ""), safe=""), found.pop("password", None)
        account = f"{user}:{quote(password, safe='')}" if password is not None else user
        name = quote(found.pop("dbname", ""), safe="")
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in found.items())
        return f"postgresql://{account}@/{name}?{query}"

    def params(self, role: str | None = None, dbname: str | None = None) -> dict[str, str]:
        """The five parameters host, port, user, password, dbname ("" where unset), as Django wants them apart."""
        found = self.connection(role, dbname)
        return {name: found.get(name, "") for name in ("host", "port", "user", "password", "dbname")}

    def options(self, role: str | None = None) -> dict[str, str]:
        """All other parameters (e.g. require_auth, sslmode), for Django's OPTIONS."""
        found = self.connection(role)
        return {name: value for name, value in found.items() if name not in self.params()}


def acquire(
    home: Path | str,
    *,
    start: bool = True,
    timeout: float = 60.0,
    linger: float | None = None,
    settings: Mapping[str, str] | None = None,
) -> Lease:
    """Take the instance's database into use; start its server if none answers.

    home: the instance's folder, made if missing. start: False raises NotRunning when no server runs.
    timeout: seconds without any sign of life before NotAnswering; a crash recovery that goes on is waited for
    however long it takes. linger, settings: for a keeper that this call starts (see `keep.keep`).
    Raises PostgresRefused of many kinds; each message says what to do.
    """
    home = instance_home(home)
    if start:
        make_home(home)
    elif not (home / "run").is_dir():
        raise NotRunning(
            f"{home}: no database ever ran there. Run `envoi init`, or name another folder by --home."
        )
    lock = open_lock(home, USERS)
    try:
        if not wait_lock(lock, exclusive=False, seconds=timeout):
            raise NotAnswering(
                f"{home}: process {keeper_pid(home)} has been stopping the server for more than {timeout:.0f} s. "
                f"See {home}/log/postgres.log."
            )
        os.utime(lock)  # Tells the keeper of a command that comes and goes between two of its looks.
        return _when_it_answers(home, lock, start, timeout, linger, settings or {})
    except BaseException:
        os.close(lock)
        raise


def external(url: str) -> Lease:
    """A Lease of a server of the user's own. Nothing is started.

    url: connection URL or string of libpq. Raises NotAnswering when it cannot be reached, DatabaseRefused when
    its version is too old.
    """
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
        with psycopg.connect(url, connect_timeout=10, autocommit=True) as connection:
            info = connection.info
            found = {"dbname": info.dbname, "user": info.user, **given}
            version = info.server_version
            place = f"{info.host or 'local socket'}, database {info.dbname}"
    except psycopg.Error as error:
        raise NotAnswering(
            f"DATABASE_URL: the server cannot be used ({_one_line(error)}). Check host, port, user and password."
        ) from error
    if version < OLDEST_MAJOR * 10000:
        raise DatabaseRefused(
            f"DATABASE_URL: the server at {place} is PostgreSQL {version // 10000}; version {OLDEST_MAJOR} or later "
            "is needed. Upgrade it, or unset DATABASE_URL to use the embedded server."
        )
    return Lease(found, version=version)


def _when_it_answers(
    home: Path, lock: int, start: bool, timeout: float, linger: float | None, settings: Mapping[str, str]
) -> Lease:
    deadline = time.monotonic() + timeout
    problem = "no server process"
    while True:
        place = recorded_place(home)
        if place is not None and keeper_lives(home):
            found = _try(place, lock)
            if isinstance(found, Lease):
                return found
            problem = found
            if STILL_STARTING.search(found):
                deadline = time.monotonic() + timeout
        if not keeper_lives(home):
            if not start:
                raise NotRunning(
                    f"{home}: the database does not run. Run `envoi up`, or a command that starts it."
                )
            problem = _start_keeper(home, timeout, linger, settings)
            continue
        if time.monotonic() > deadline:
            raise NotAnswering(
                f"{home}: the database did not answer for {timeout:.0f} s ({problem}). "
                f"See {home}/log/postgres.log; its keeper is process {keeper_pid(home)}."
            )
        time.sleep(STEP)


def _try(place: Place, lock: int) -> Lease | str:
    """A Lease if the server answers the role envoi, else what it said."""
    passwords = read_passwords(place.home)
    connection = {
        "host": place.socket,
        "port": "5432",
        "user": USER,
        "password": passwords[USER],
        "dbname": DATABASE,
        # Whoever might take the socket's name cannot lure the password out of us.
        "require_auth": "scram-sha-256",
    }
    try:
        with psycopg.connect(**connection, connect_timeout=10, autocommit=True) as session:
            version = session.info.server_version
    except psycopg.Error as error:
        return _one_line(error)
    return Lease(connection, version=version, passwords=passwords, home=place.home, lock=lock)


def _start_keeper(home: Path, timeout: float, linger: float | None, settings: Mapping[str, str]) -> str:
    """Start a detached keeper and wait until it reports; raise its refusal."""
    reader, writer = os.pipe()
    arguments = [sys.executable, "-m", "envoi.postgres.keep", "--detach", "--report", str(writer), str(home)]
    if linger is not None:
        arguments += ["--linger", str(linger)]
    arguments += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    code = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (code, os.environ.get("PYTHONPATH", "")) if part)
    log = os.open(home / "log" / "postgres.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        starter = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=(writer,),
            env={**os.environ, "PYTHONPATH": path},
            cwd="/",
            start_new_session=True,
        )
        os.close(writer)
        writer = -1
        starter.wait()
        return _hear(home, reader, timeout)
    finally:
        os.close(log)
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _hear(home: Path, reader: int, timeout: float) -> str:
    """Wait for the keeper's last word; each "starting" gives it `timeout` seconds more."""
    heard = b""
    while True:
        if not select.select([reader], [], [], timeout)[0]:
            raise NotAnswering(
                f"{home}: the keeper said nothing for {timeout:.0f} s. See {home}/log/postgres.log."
            )
        piece = os.read(reader, 65536)
        if not piece:
            return "the keeper ended without a word"
        heard += piece
        *lines, heard = heard.split(b"\n")
        for line in lines:
            said = cast(dict[str, str], json.loads(line))
            if said["state"] == "refused":
                raise from_report(said["kind"], said["message"])
            if said["state"] in ("ready", "busy"):
                return said["state"]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
