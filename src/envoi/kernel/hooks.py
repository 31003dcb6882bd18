"""Hooks: a typed question that several rooms and packages answer.

The one who asks owns the hook and writes its signature; answers come back in a fixed order: the platform's
own first, then the packages by name. Only what is loaded answers, and only installed packages are loaded.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, ParamSpec, TypeVar

from envoi.kernel.rights import Actor

P = ParamSpec("P")
R = TypeVar("R")
_PACKAGES = "envoi.packages."


@dataclass(frozen=True)
class _Answer(Generic[P, R]):
    package: str
    name: str
    function: Callable[P, R]


class Hook(Generic[P, R]):
    """One question. Make it once at module level, with its parameters and answer as type arguments."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._answers: list[_Answer[P, R]] = []

    def answer(self, function: Callable[P, R], *, package: str | None = None) -> Callable[P, R]:
        """Register an answer; a decorator. The package is told from where the function was written.

        Registering the same function again changes nothing.
        """
        whose = _package_of(function) if package is None else package
        name = f"{function.__module__}.{function.__qualname__}"
        if all(answer.name != name for answer in self._answers):
            self._answers.append(_Answer(whose, name, function))
            self._answers.sort(key=lambda answer: (answer.package, answer.name))
        return function

    def ask(self, *args: P.args, **kwargs: P.kwargs) -> list[R]:
        """Return every answer, in the fixed order."""
        return [answer.function(*args, **kwargs) for answer in self._answers]

    @contextmanager
    def temporarily(self, function: Callable[P, R], *, package: str = "") -> Generator[None]:
        """Let `function` answer too, for the length of a test."""
        before = list(self._answers)
        self.answer(function, package=package)
        try:
            yield
        finally:
            self._answers = before


def _package_of(function: Callable[..., object]) -> str:
    """Return the package's name; "" for the platform, and the top module for one from outside."""
    module = function.__module__
    if module.startswith(_PACKAGES):
        return module.removeprefix(_PACKAGES).partition(".")[0]
    top = module.partition(".")[0]
    return "" if top == "envoi" else top


install_steps: Hook[[str, Actor], list[str]] = Hook("install_steps")
"""`(package, actor)`: what else an installation brings about besides tables and seed rows.

Asked in the transaction that installs or upgrades the package, and again at every upgrade, so each answer
must be safe to repeat. It returns one line for each thing that was left alone because an operator had changed
it.
"""
