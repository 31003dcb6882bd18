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
from typing import cast

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from envoi.postgres.cluster import DATABASE
from envoi.postgres.errors import DatabaseRefused, NotAnswering, NotRunning, PostgresRefused, from_report
from envoi.postgres.files import instance_home, make_home
from envoi.postgres.find import OLDEST_MAJOR
from envoi.postgres.keep import keeper_pid
from envoi.postgres.lease import Lease
from envoi.postgres.locks import USERS, keeper_lives, open_lock, wait_lock
from envoi.postgres.passwords import USER, read_passwords
from envoi.postgres.place import Place, recorded_place

__all__ = ["Lease", "PostgresRefused", "acquire", "external", "revive"]

STEP = 0.03
STILL_STARTING = re.compile("starting up|not yet accepting|in recovery|recovery state")


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
                f"{home}: another process (the keeper {keeper_pid(home)}, which stops the server, or an "
                f"upgrade) has had the database for itself for {timeout:.0f} s. See {home}/log/postgres.log."
            )
        os.utime(lock)  # Tells the keeper of a command that comes and goes between two of its looks.
        return _when_it_answers(home, lock, start, timeout, linger, settings or {})
    except BaseException:
        os.close(lock)
        raise


def revive(lease: Lease, *, timeout: float = 60.0) -> None:
    """Start the server of a lease again if its keeper is gone (killed); cheap when nothing is wrong.

    For processes that live long: a killed server comes back by its keeper, a killed keeper by the next
    `acquire` or by this. Nothing is done for an external server. Raises as `acquire` does.
    """
    if lease.home is not None and not keeper_lives(lease.home):
        acquire(lease.home, timeout=timeout).close()


def external(url: str) -> Lease:
    """A Lease of a server of the user's own. Nothing is started.

    url: connection URL or string of libpq. Raises NotAnswering when it cannot be reached, DatabaseRefused
    when its version is too old.
    """
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
        with psycopg.connect(url, connect_timeout=10, autocommit=True) as session:
            info = session.info
            found = {"dbname": info.dbname, "user": info.user, **given}
            version = info.server_version
            place = f"{info.host or 'the local socket'}, database {info.dbname}"
    except psycopg.Error as error:
        raise NotAnswering(
            f"DATABASE_URL: the server cannot be used ({_one_line(error)}). Check host, port, user, password."
        ) from error
    if version < OLDEST_MAJOR * 10000:
        raise DatabaseRefused(
            f"DATABASE_URL: the server at {place} is PostgreSQL {version // 10000}; version "
            f"{OLDEST_MAJOR} or later is needed. Upgrade it, or unset DATABASE_URL to use our own server."
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
    try:
        passwords = read_passwords(place.home)
    except NotRunning as error:
        # A keeper lives, and has only just settled where a new instance lies: it makes them next.
        return _one_line(error)
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
        with psycopg.connect(make_conninfo(**connection), connect_timeout=10, autocommit=True) as session:
            version = session.info.server_version
    except psycopg.Error as error:
        return _one_line(error)
    return Lease(connection, version=version, passwords=passwords, home=place.home, lock=lock)


def _start_keeper(home: Path, timeout: float, linger: float | None, settings: Mapping[str, str]) -> str:
    """Start a detached keeper and wait until it reports; raise its refusal."""
    reader, writer = os.pipe()
    arguments = [
        sys.executable,
        "-P",
        "-m",
        "envoi.postgres.keep",
        "--detach",
        "--report",
        str(writer),
        str(home),
    ]
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
