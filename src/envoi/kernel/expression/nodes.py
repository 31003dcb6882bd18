"""The tree of an expression. Nodes are values: two are equal when they mean the same, wherever they stood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import cast

from envoi.kernel.errors import Invalid

Value = str | int | Decimal | bool | datetime | date | None
LONGEST = 20_000
"""Characters of an expression."""
DEEPEST = 50
"""Parentheses, calls and signs inside of one another."""
HIGHEST = 100
"""Levels of a tree; a chain `a + b + c + …` has as many as it has signs."""
LARGEST = 5_000
"""Nodes of a tree."""


class ExpressionError(Invalid):
    """An expression is wrong at one place. `position` counts characters from 0."""

    def __init__(self, problem: str, *, position: int, text: str = "") -> None:
        self.problem, self.position, self.text = problem, position, text
        super().__init__(self._message())

    def _message(self) -> str:
        if not self.text:
            return f"At character {self.position + 1}: {self.problem}"
        begin, end = max(0, self.position - 20), self.position + 20
        before = ("…" if begin else "") + self.text[begin : self.position]
        after = self.text[self.position : end] + ("…" if end < len(self.text) else "")
        return f"At character {self.position + 1}, {before}⟦{after}⟧: {self.problem}"

    def within(self, text: str) -> ExpressionError:
        """Return the same error with the expression in which it stands."""
        return self if self.text else ExpressionError(self.problem, position=self.position, text=text)


@dataclass(frozen=True)
class Node:
    """Any part of an expression. `str()` gives its text, which parses to an equal node."""

    def __str__(self) -> str:
        return text_of(self)


@dataclass(frozen=True)
class Literal(Node):
    """A text, number, truth value, date, time or NULL. A time without zone is one of the reader's zone."""

    value: Value
    at: int = field(default=0, compare=False)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Literal)
            and type(self.value) is type(other.value)
            and str(self.value) == str(other.value)
        )

    def __hash__(self) -> int:
        return hash((type(self.value), str(self.value)))


@dataclass(frozen=True)
class Path(Node):
    """`@email`, `[folder/parent/@name]`, or a link alone (`attribute` is empty)."""

    steps: tuple[str, ...]
    attribute: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Variable(Node):
    """`$(vars/@name)`: a value of the workflow in which the query stands."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Negate(Node):
    """A minus sign."""

    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Arithmetic(Node):
    """`+ - * / %`; plus also joins texts."""

    operator: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Compare(Node):
    """`= != < <= > >=`."""

    operator: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Like(Node):
    """`LIKE` with `%` and `_`; a backslash takes their meaning away."""

    operand: Node
    pattern: Node
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class InList(Node):
    """`IN (…)`."""

    operand: Node
    items: tuple[Node, ...]
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Between(Node):
    """`BETWEEN … AND …`, both ends included."""

    operand: Node
    low: Node
    high: Node
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class IsNull(Node):
    """`IS NULL`; an empty text counts as none."""

    operand: Node
    negated: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not(Node):
    """`NOT`."""

    operand: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Logic(Node):
    """`AND` or `OR` of two or more."""

    operator: str
    operands: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Call(Node):
    """A function; `name` is spelled as in `FUNCTIONS`."""

    name: str
    arguments: tuple[Node, ...]
    at: int = field(default=0, compare=False)


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes directly below."""
    for each in fields(node):
        value = getattr(node, each.name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (inner for inner in cast("tuple[object, ...]", value) if isinstance(inner, Node))


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(children(found))


def position(node: Node) -> int:
    """Return where in its text a node stands."""
    return int(getattr(node, "at", 0))


def _level(node: Node) -> int:
    match node:
        case Logic():
            return 1 if node.operator == "OR" else 2
        case Not():
            return 3
        case Compare() | Like() | InList() | Between() | IsNull():
            return 4
        case Arithmetic():
            return 5 if node.operator in "+-" else 6
        case Negate():
            return 7
        case _:
            return 8


def text_of(node: Node) -> str:
    """Return the text of a node, with no more parentheses than it needs."""

    def inner(child: Node, least: int) -> str:
        text = text_of(child)
        return text if _level(child) >= least else f"({text})"

    level = _level(node)
    match node:
        case Literal():
            return _literal(node.value)
        case Path():
            return _path(node)
        case Variable():
            return f"$({node.name})"
        case Negate():
            # A sign before a number would be part of that number.
            return f"-({text_of(node.operand)})" if _level(node.operand) < 8 else f"-{_guarded(node.operand)}"
        case Arithmetic() | Compare():
            left = inner(node.left, level if isinstance(node, Arithmetic) else level + 1)
            return f"{left} {node.operator} {inner(node.right, level + 1)}"
        case Like():
            word = "NOT LIKE" if node.negated else "LIKE"
            return f"{inner(node.operand, 5)} {word} {inner(node.pattern, 5)}"
        case InList():
            word = "NOT IN" if node.negated else "IN"
            return f"{inner(node.operand, 5)} {word} ({', '.join(map(text_of, node.items))})"
        case Between():
            word = "NOT BETWEEN" if node.negated else "BETWEEN"
            return f"{inner(node.operand, 5)} {word} {inner(node.low, 5)} AND {inner(node.high, 5)}"
        case IsNull():
            return f"{inner(node.operand, 5)} IS {'NOT ' if node.negated else ''}NULL"
        case Not():
            return f"NOT {inner(node.operand, 3)}"
        case Logic():
            return f" {node.operator} ".join(inner(each, level + 1) for each in node.operands)
        case Call():
            return f"{node.name}({', '.join(map(text_of, node.arguments))})"
        case _:
            raise TypeError(f"no text for {type(node).__name__}")


def _guarded(node: Node) -> str:
    numeric = isinstance(node, Literal) and isinstance(node.value, (int, Decimal))
    return f"({text_of(node)})" if numeric else text_of(node)


def _literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return f"#{value.isoformat()}#"
        return f"#{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z#"
    if isinstance(value, date):
        return f"#{value.isoformat()}#"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _path(node: Path) -> str:
    if not node.steps and node.attribute.replace("_", "").isalnum() and node.attribute.isascii():
        return f"@{node.attribute}"
    parts = (*node.steps, f"@{node.attribute}") if node.attribute else node.steps
    return f"[{'/'.join(parts)}]"
