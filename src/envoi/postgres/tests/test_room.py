"""The room stands alone: the standard library and the driver, and a keeper without even that."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoi.postgres import errors
from envoi.postgres.tests.support import finish, script

ROOM = Path(errors.__file__).parent
FILES = sorted(ROOM.glob("*.py"))


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_imports_only_this_room_the_standard_library_and_psycopg(file: Path) -> None:
    for name in imports(file):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names or top == "psycopg" or name.startswith("envoi.postgres"), name


def test_the_keeper_loads_no_driver() -> None:
    code = "import sys, envoi.postgres.keep\nprint('psycopg' in sys.modules)"
    assert finish(script(code)) == "False\n"


def test_every_refusal_has_one_base() -> None:
    for name, found in vars(errors).items():
        if isinstance(found, type):
            assert issubclass(found, errors.PostgresRefused), name


def test_a_reported_refusal_keeps_its_class() -> None:
    assert type(errors.from_report("WrongMajor", "x")) is errors.WrongMajor
    assert type(errors.from_report("Path", "x")) is errors.PostgresRefused
