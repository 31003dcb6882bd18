"""Run the client programs of PostgreSQL against a Lease; passwords travel in the environment only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from psycopg.conninfo import make_conninfo

from envoi.postgres.children import tied_to_me
from envoi.postgres.errors import NoPostgres, ToolFailed
from envoi.postgres.find import PgBin, find_pg_bin
from envoi.postgres.lease import Lease
from envoi.postgres.passwords import USER

LAST_LINES = 12


def programs_for(lease: Lease) -> PgBin:
    """Client programs that can work with the server: of its version, else of a later one.

    pg_dump refuses servers newer than itself. Raises ToolFailed when only older programs are there.
    """
    for only, at_least in ((lease.major, lease.major), (None, lease.major)):
        try:
            return find_pg_bin("any", major=only, at_least=at_least)
        except NoPostgres as error:
            missing = error
    raise ToolFailed(f"The server is PostgreSQL {lease.major}; its tools are missing. {missing}")


def connection_of(lease: Lease, role: str = USER, dbname: str | None = None) -> tuple[str, dict[str, str]]:
    """Connection string without the password, and the environment that carries the password."""
    parts = lease.connection(role, dbname)
    password = parts.pop("password", None)
    environment = dict(os.environ)
    if password is not None:
        environment["PGPASSWORD"] = password
    return make_conninfo(**parts), environment


def run_tool(
    lease: Lease,
    pg: PgBin,
    tool: str,
    arguments: Sequence[str],
    *,
    role: str = USER,
    dbname: str | None = None,
) -> None:
    """Run pg_dump or pg_restore on a database of the lease. Raises ToolFailed with its last messages."""
    target, environment = connection_of(lease, role, dbname)
    done = subprocess.run(
        [pg.tool(tool), f"--dbname={target}", "--no-password", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        check=False,
        preexec_fn=tied_to_me(),
    )
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-LAST_LINES:])
        raise ToolFailed(f"{tool} {pg.version} on database {dbname or lease.dbname} failed:\n{said}")


def list_archive(pg: PgBin, file: Path) -> str | None:
    """Table of contents of an archive, None when pg_restore cannot read it."""
    done = subprocess.run(
        [pg.tool("pg_restore"), "--list", file], capture_output=True, text=True, errors="replace", check=False
    )
    return done.stdout if done.returncode == 0 else None
