"""`envoi db`: reach, back up, restore and upgrade the database of the instance."""

import os
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from envoi.cli.main import FAILED, Context, emit_json, json_option, say
from envoi.kernel.errors import Refused

if TYPE_CHECKING:
    from envoi.postgres.lease import Lease

ROLES = click.Choice(["envoi", "envoi_read", "envoi_owner"])


@click.group()
def db() -> None:
    """Work with the database of the instance as a whole."""


@db.command()
@click.option("--role", type=ROLES, default="envoi", show_default=True, help="Who to connect as.")
@json_option
@click.pass_obj
def url(context: Context, role: str, as_json: bool) -> None:
    """Print the connection URL, password included.

    The embedded server stops a few seconds after the last command of the instance; while `envoi up` runs it
    stays.
    """
    with _lease(context) as lease:
        emit_json({"url": lease.url(role), "role": role}) if as_json else click.echo(lease.url(role))


@db.command(context_settings={"ignore_unknown_options": True})
@click.option("--role", type=ROLES, default="envoi", show_default=True, help="Who to connect as.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def shell(context: Context, role: str, arguments: tuple[str, ...]) -> int:
    """Open psql on the database; ARGUMENTS go to psql (`envoi db shell -- -c "SELECT 1"`)."""
    from envoi.postgres.tools import connection_of, programs_for

    with _lease(context) as lease:
        target, environment = connection_of(lease, role)
        psql = programs_for(lease).tool("psql")
        # A child, not exec: this process holds the lock that keeps the server. Ctrl-C is for psql.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            done = subprocess.run(
                [psql, f"--dbname={target}", *arguments],
                env=environment,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                check=False,
            )
        finally:
            signal.signal(signal.SIGINT, before)
    return FAILED if done.returncode else 0


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def backup(context: Context, file: Path, as_json: bool) -> None:
    """Write the whole database into FILE (pg_dump's custom format, readable by its owner only).

    What lies in files of the instance's folder, its key above all, is not in it: keep a copy of `secrets`.
    """
    from envoi.postgres.backup import dump

    with _lease(context) as lease:
        start = time.monotonic()
        size = dump(lease, file)
        if as_json:
            emit_json({"file": str(file.absolute()), "size_bytes": size, "server": lease.major})
        else:
            say(f"{file}: {size:,} bytes in {time.monotonic() - start:.1f} s.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--end-sessions", is_flag=True, help="End the sessions of others on the database.")
@json_option
@click.pass_obj
def restore(context: Context, file: Path, end_sessions: bool, as_json: bool) -> None:
    """Replace the database by the backup in FILE.

    The backup is read into a new database, which takes the old one's name at the end: when anything fails
    before, nothing has changed. Stop `envoi up` first.
    """
    from envoi.postgres.backup import restore as put_back

    with _lease(context) as lease:
        start = time.monotonic()
        say(f"Reading {file} …")
        put_back(lease, file, end_sessions=end_sessions)
        if as_json:
            emit_json({"file": str(file.absolute()), "database": lease.dbname})
        else:
            say(f"Restored in {time.monotonic() - start:.1f} s. Run `envoi init` to bring it up to date.")


@db.command()
@json_option
@click.pass_obj
def upgrade(context: Context, as_json: bool) -> None:
    """Move the embedded server's data to the newest major version of PostgreSQL that is installed.

    Needs the programs of both versions. The old data are kept beside the new ones; the output says where.
    """
    from envoi.app import boot
    from envoi.postgres.errors import PostgresRefused
    from envoi.postgres.upgrade import upgrade as move

    if boot.boot(context.home, database=False).config.database.url:
        raise Refused("DATABASE_URL: a server of your own is upgraded with its own tools.")
    try:
        done = move(context.home, say)
    except PostgresRefused as error:
        raise Refused(str(error)) from error
    if as_json:
        kept = str(done.kept) if done.kept else None
        emit_json({"before": done.before, "after": done.after, "kept": kept})
    elif done.kept is None:
        say(f"Nothing to do: the data are of PostgreSQL {done.after}.")
    else:
        say(f"Moved from PostgreSQL {done.before} to {done.after}.")
        say(f"The old data are in {done.kept}; remove that folder when all is well.")


@contextmanager
def _lease(context: Context) -> "Generator[Lease]":
    """The database of the instance, without its packages: it may be empty, or of a later version."""
    from envoi.app import boot
    from envoi.postgres.errors import PostgresRefused

    os.environ["PGAPPNAME"] = "envoi db"
    config = boot.boot(context.home, database=False).config
    with boot.acquire(config) as lease:
        try:
            yield lease
        except PostgresRefused as error:
            raise Refused(str(error)) from error
