"""Back a database up into one file, and put such a file in its place again."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import psycopg

from envoi.postgres.cluster import default_privileges
from envoi.postgres.databases import create_database, exchange_database, replacing, sessions_on
from envoi.postgres.errors import InUse, NotADump, PlaceUnusable
from envoi.postgres.files import sync_folder
from envoi.postgres.find import PgBin
from envoi.postgres.lease import Lease
from envoi.postgres.passwords import OWNER, USER
from envoi.postgres.tools import list_archive, programs_for, run_tool

MAGIC = b"PGDMP"
DATABASE_OWNER = "pg_database_owner"
JOBS = 4


def dump(lease: Lease, file: Path | str, *, dbname: str | None = None) -> int:
    """Write the database into `file` (pg_dump's custom format, mode 0600); return its size in bytes.

    The file gets its name only when it is complete and on the disk. Raises ToolFailed, PlaceUnusable.
    """
    file = Path(os.path.abspath(file))
    pg = programs_for(lease)
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        run_tool(lease, pg, "pg_dump", ["--format=custom", f"--file={partial}"], dbname=dbname)
        _sync_file(partial)
        partial.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise PlaceUnusable(f"{file}: cannot be written ({error.strerror}). Choose another place.") from error
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def restore(lease: Lease, file: Path | str, *, end_sessions: bool = False) -> None:
    """Replace the database by the contents of `file`, made by `dump` (or by pg_dump -Fc).

    The file is read into a fresh database, which takes the name at the end: a failure leaves the old one as
    it was. end_sessions: end other sessions on the database; without it they make it refuse. Raises NotADump,
    InUse, ToolFailed, DatabaseRefused.
    """
    file = Path(os.path.abspath(file))
    pg = programs_for(lease)
    contents = read_contents(pg, file)
    if not end_sessions:
        others = sessions_on(lease, lease.dbname)
        if others:
            raise InUse(
                f"database {lease.dbname}: in use by {', '.join(others)}. Stop the processes of the instance "
                "first, or tell the command to end their sessions."
            )
    with replacing(lease) as (fresh, aside):
        create_database(lease, fresh)
        fill(lease, pg, file, fresh, with_rights=keeps_rights(lease, contents))
        exchange_database(lease, lease.dbname, fresh, aside)


def fill(lease: Lease, pg: PgBin, file: Path, dbname: str, *, with_rights: bool) -> None:
    """Read an archive into the empty database `dbname`, then gather statistics. Raises ToolFailed.

    with_rights: repeat the archive's GRANTs, which then rule alone; else the default privileges do.
    """
    arguments = ["--no-owner", "--exit-on-error", f"--jobs={min(JOBS, os.cpu_count() or 1)}"]
    if not with_rights:
        arguments.append("--no-privileges")
    with psycopg.connect(lease.dsn(USER, dbname), autocommit=True) as session:
        if with_rights:
            # An archive grants what is granted and says nothing of what is not: default privileges of the
            # fresh database would open a table that was closed. The archive brings its own at its end.
            for statement in default_privileges("REVOKE"):
                session.execute(statement)
        run_tool(lease, pg, "pg_restore", [*arguments, str(file)], dbname=dbname)
        session.execute("ANALYZE")


def read_contents(pg: PgBin, file: Path) -> str:
    """Table of contents of an archive. Raises NotADump when the file is something else, or damaged."""
    try:
        with file.open("rb") as stream:
            is_archive = stream.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise NotADump(
            f"{file}: cannot be read ({error.strerror}). Name a file of `envoi db backup`."
        ) from error
    contents = list_archive(pg, file) if is_archive else None
    if contents is None:
        raise NotADump(
            f"{file}: is no backup that pg_restore {pg.version} can read. Name a file of `envoi db backup`."
        )
    return contents


def keeps_rights(lease: Lease, contents: str) -> bool:
    """Whether GRANTs of the archive can be repeated here: between embedded servers the roles are the same.

    Elsewhere they would name roles that the other server does not have; the embedded server's default
    privileges then give envoi_read what it needs.
    """
    lines = [line for line in contents.splitlines() if line[:1].isdigit()]
    # The owner is the last word of a line; extensions and comments end without one.
    owners = {line.rsplit(" ", 1)[-1] for line in lines} - {""}
    has_defaults = any(" DEFAULT ACL " in line for line in lines)
    return lease.embedded and has_defaults and owners <= {USER, OWNER, DATABASE_OWNER}


def _sync_file(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
