"""Make the cluster of an instance: initdb, roles, database, in a folder that only then gets its name."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Literal, LiteralString

from envoi.postgres.children import run
from envoi.postgres.errors import PlaceUnusable, ServerFailed, WrongMajor
from envoi.postgres.files import sync_folder
from envoi.postgres.find import PgBin
from envoi.postgres.passwords import OWNER, READER, ROLES, USER, fingerprint, scram_verifier
from envoi.postgres.place import Place
from envoi.postgres.settings import as_arguments

DATABASE = "envoi"
FINGERPRINT = "envoi_passwords"
PLAIN = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"


def majors(place: Place) -> list[int]:
    """Major versions whose finished data folders are there, newest first."""
    if not place.root.is_dir():
        return []
    found = [each.name for each in place.root.iterdir() if each.name.isdigit() and any(each.iterdir())]
    return sorted((int(name) for name in found), reverse=True)


def ensure_cluster(place: Place, pg: PgBin, passwords: dict[str, str]) -> Path:
    """Return the data folder of this version; the first time, make it.

    A half-made one (the process was killed) never has the final name: it is removed and made again. Passwords
    that differ from those the cluster was set up with are set anew. Raises WrongMajor when data of another
    version wait to be upgraded, ServerFailed when initdb fails.
    """
    data = place.data(pg.major)
    present = majors(place)
    if present and pg.major not in present:
        raise WrongMajor(
            f"{place.root}: holds data of PostgreSQL {present[0]}, but the programs found are {pg.version} "
            f"({pg.provider}). Run `envoi db upgrade`, or make programs of version {present[0]} available."
        )
    if not present:
        make_cluster(place, pg, passwords, data)
    elif _remembered(data) != fingerprint(passwords):
        _set_passwords(place, pg, data, passwords)
    return data


def make_cluster(place: Place, pg: PgBin, passwords: dict[str, str], data: Path) -> None:
    """Run initdb, make roles and database, in a temporary folder that is then renamed to `data`.

    Raises ServerFailed, or PlaceUnusable for a user without a name.
    """
    for half in data.parent.glob(f"{data.name}.new-*"):
        shutil.rmtree(half, ignore_errors=True)
    if not _has_name(place.uid):
        raise PlaceUnusable(
            f"{data}: user {place.uid} has no name on this machine, and initdb of PostgreSQL asks for it. "
            "Give the user an entry in /etc/passwd, or run the command as another user."
        )
    fresh = data.with_name(f"{data.name}.new-{secrets.token_hex(4)}")
    fresh.mkdir(mode=0o700)
    _give(place, fresh)
    _initdb(place, pg, fresh, passwords[OWNER])
    _single(place, pg, fresh, "template1", _statements(passwords))
    _remember(place, fresh, passwords)
    if data.exists():
        data.rmdir()
    fresh.rename(data)
    sync_folder(data.parent)


def _initdb(place: Place, pg: PgBin, fresh: Path, password: str) -> None:
    # The wheels have no ICU: C.UTF-8 of the C library, else PostgreSQL's own provider (from 17), else C.
    locales: list[list[str]] = [["--locale=C.UTF-8"]]
    if pg.major >= 17:
        locales.append(["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"])
    locales.append(["--locale=C"])
    output = ""
    with tempfile.NamedTemporaryFile(dir=place.root, prefix=".pw-") as file:
        file.write(f"{password}\n".encode("ascii"))
        file.flush()
        _give(place, file.name)
        for locale in locales:
            arguments = [
                pg.tool("initdb"), f"--pgdata={fresh}", f"--username={OWNER}", f"--pwfile={file.name}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions", *locale,
            ]  # fmt: skip
            done = run(place, arguments)
            if done.code == 0:
                return
            output = done.output
            if "locale" not in output:
                break
            _empty(fresh)
    raise ServerFailed(f"{fresh}: initdb of PostgreSQL {pg.version} failed.\n{_tail(output)}")


def _statements(passwords: dict[str, str]) -> list[str]:
    return [
        f"CREATE ROLE {USER} {PLAIN} PASSWORD '{scram_verifier(passwords[USER])}'",
        f"CREATE ROLE {READER} {PLAIN} PASSWORD '{scram_verifier(passwords[READER])}'",
        f"ALTER ROLE {READER} SET default_transaction_read_only = on",
        f"ALTER ROLE {READER} SET statement_timeout = '30s'",
        f"GRANT pg_monitor TO {USER}",
        # In template1, so that every database made later has them too. Not pg_read_all_data: that role also
        # reads pg_authid.
        *default_privileges("GRANT"),
        "REVOKE ALL ON DATABASE postgres FROM PUBLIC",
        "REVOKE ALL ON DATABASE template1 FROM PUBLIC",
        f"CREATE DATABASE {DATABASE} OWNER {USER}",
        f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {DATABASE} TO {READER}",
    ]


def default_privileges(verb: Literal["GRANT", "REVOKE"]) -> list[LiteralString]:
    """Statements that let the reader read what the product will make in a database, or not."""
    side: LiteralString = "TO" if verb == "GRANT" else "FROM"
    return [
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {USER} {verb} SELECT ON TABLES {side} {READER}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {USER} {verb} SELECT ON SEQUENCES {side} {READER}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {USER} {verb} USAGE ON SCHEMAS {side} {READER}",
    ]


def _set_passwords(place: Place, pg: PgBin, data: Path, passwords: dict[str, str]) -> None:
    statements = [f"ALTER ROLE {role} PASSWORD '{scram_verifier(passwords[role])}'" for role in ROLES]
    _single(place, pg, data, "template1", statements)
    _remember(place, data, passwords)


def _single(place: Place, pg: PgBin, data: Path, database: str, statements: list[str]) -> None:
    """Run statements in single-user mode: no socket, no password, one line each."""
    quiet = {
        "exit_on_error": "true",
        "log_min_error_statement": "panic",
        "log_checkpoints": "off",
        "shared_preload_libraries": "",
    }
    arguments = [pg.tool("postgres"), "--single", "-D", data, *as_arguments(quiet), database]
    done = run(place, arguments, text="".join(f"{each}\n" for each in statements))
    if done.code != 0:
        raise ServerFailed(f"{data}: PostgreSQL {pg.version} could not be set up.\n{_tail(done.output)}")


def _remembered(data: Path) -> str | None:
    try:
        return (data / FINGERPRINT).read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def _remember(place: Place, data: Path, passwords: dict[str, str]) -> None:
    file = data / FINGERPRINT
    file.write_text(fingerprint(passwords), encoding="ascii")
    file.chmod(0o600)
    _give(place, file)


def _give(place: Place, path: Path | str) -> None:
    if os.geteuid() == 0:
        os.chown(path, place.uid, place.gid)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-8:])
