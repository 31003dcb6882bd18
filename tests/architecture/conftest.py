"""What the house rules read: the project's own files, parsed once."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Module:
    """One Python file; `path` is relative to the root, with slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def room(self) -> str:
        """The path below src/envoi, as rules name places: `kernel/clock.py`."""
        return self.path.removeprefix("src/envoi/")

    @property
    def is_test(self) -> bool:
        return self.path.startswith("tests/") or "/tests/" in self.path


def read(folder: str) -> Iterator[Module]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def product() -> list[Module]:
    """Every file of the product: no tests, no migrations, none that only serve tests."""
    return [
        module
        for module in read("src/envoi")
        if not module.is_test
        and "/migrations/" not in module.path
        and not module.path.endswith("/testing.py")
    ]


@pytest.fixture(scope="session")
def suite() -> list[Module]:
    """Every file with tests."""
    return [module for module in (*read("src/envoi"), *read("tests")) if module.is_test]


@pytest.fixture
def snippet() -> Callable[..., Module]:
    """Make a module from a text, as if it stood at a path."""

    def make(text: str, path: str = "src/envoi/engine/runner.py") -> Module:
        return Module(path, text)

    return make
