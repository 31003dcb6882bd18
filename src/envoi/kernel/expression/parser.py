"""Tokens to a tree: precedence climbing by hand, bounded in depth and size."""

import difflib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import cast

from envoi.kernel.expression.functions import BY_LOWER_NAME, FUNCTIONS
from envoi.kernel.expression.lexer import Token, tokens
from envoi.kernel.expression.nodes import (
    DEEPEST,
    HIGHEST,
    Arithmetic,
    Between,
    Call,
    Compare,
    ExpressionError,
    InList,
    IsNull,
    Like,
    Literal,
    Logic,
    Negate,
    Node,
    Not,
    Path,
    Value,
    Variable,
    children,
    position,
)

_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_RESERVED = {"and", "or", "not", "like", "in", "is", "between"}


def parse(text: str) -> Node:
    """Return the tree of an expression.

    Raises ExpressionError with the place: what was found, what was expected, the nearest known name.
    """
    parser = _Parser(text)
    try:
        node = parser.disjunction()
        parser.expect_end()
        _check(node)
    except ExpressionError as error:
        raise error.within(text) from None
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.index = 0
        self.depth = 0

    # --- tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.index += 1
        return token

    def at_word(self, *words: str) -> bool:
        return self.token.kind == "word" and str(self.token.value).lower() in words

    def at_sign(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.value in signs

    def skip_word(self, word: str) -> bool:
        if self.at_word(word):
            self.index += 1
            return True
        return False

    def expect_sign(self, sign: str, behind: str) -> None:
        if not self.at_sign(sign):
            raise self.wrong(f"expected {sign!r} behind {behind}, found {self.token}.")
        self.index += 1

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise self.wrong(f"expected an operator or the end, found {self.token}.")

    def wrong(self, problem: str) -> ExpressionError:
        return ExpressionError(problem, position=self.token.at)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong(f"it is nested more than {DEEPEST} deep.")

    # --- grammar, loosest first

    def disjunction(self) -> Node:
        return self.logic("OR", self.conjunction)

    def conjunction(self) -> Node:
        return self.logic("AND", self.negation)

    def logic(self, word: str, read: Callable[[], Node]) -> Node:
        at, first = self.token.at, read()
        operands = [first]
        while self.skip_word(word.lower()):
            operands.append(read())
        return Logic(word, tuple(operands), at) if len(operands) > 1 else first

    def negation(self) -> Node:
        at = self.token.at
        if self.skip_word("not"):
            self.deeper()
            node = Not(self.negation(), at)
            self.depth -= 1
            return node
        return self.comparison()

    def comparison(self) -> Node:
        left = self.sum()
        at = self.token.at
        if self.at_sign("=", "!=", "<", "<=", ">", ">="):
            sign = str(self.take().value)
            node: Node = Compare(sign, left, self.sum(), at)
        elif self.skip_word("is"):
            negated = self.skip_word("not")
            if not self.skip_word("null"):
                raise self.wrong(f"expected NULL behind IS, found {self.token}.")
            node = IsNull(left, negated, at)
        else:
            negated = self.at_word("not")
            if negated:
                self.index += 1
            if self.skip_word("like"):
                node = Like(left, self.sum(), negated, at)
            elif self.skip_word("in"):
                self.expect_sign("(", "IN")
                node = InList(left, self.arguments(closed_by="IN"), negated, at)
                if not node.items:
                    raise ExpressionError("IN needs at least one value.", position=at)
            elif self.skip_word("between"):
                low = self.sum()
                if not self.skip_word("and"):
                    raise self.wrong(f"expected AND between the ends of BETWEEN, found {self.token}.")
                node = Between(left, low, self.sum(), negated, at)
            elif negated:
                raise self.wrong(f"expected LIKE, IN or BETWEEN behind NOT, found {self.token}.")
            else:
                return left
        if self.at_sign("=", "!=", "<", "<=", ">", ">="):
            raise self.wrong("two comparisons need AND, OR or parentheses between them.")
        return node

    def sum(self) -> Node:
        node = self.product()
        while self.at_sign("+", "-"):
            token = self.take()
            node = Arithmetic(str(token.value), node, self.product(), token.at)
        return node

    def product(self) -> Node:
        node = self.signed()
        while self.at_sign("*", "/", "%"):
            token = self.take()
            node = Arithmetic(str(token.value), node, self.signed(), token.at)
        return node

    def signed(self) -> Node:
        at = self.token.at
        if not self.at_sign("-", "+"):
            return self.primary()
        minus = self.take().value == "-"
        self.deeper()
        bare = self.token.kind == "number"
        node = self.signed()
        self.depth -= 1
        if not minus:
            return node
        if bare and isinstance(node, Literal):
            return replace(node, value=-cast("int | Decimal", node.value), at=at)
        return Negate(node, at)

    def primary(self) -> Node:
        token = self.take()
        if token.kind in ("text", "number", "date"):
            return Literal(cast("Value", token.value), token.at)
        if token.kind == "path":
            steps, attribute = cast("tuple[tuple[str, ...], str]", token.value)
            return Path(steps, attribute, token.at)
        if token.kind == "variable":
            return Variable(str(token.value), token.at)
        if token.kind == "sign" and token.value == "(":
            self.deeper()
            node = self.disjunction()
            self.depth -= 1
            self.expect_sign(")", "the parenthesis")
            return node
        if token.kind == "word":
            name = token.text.lower()
            # In(…) is a function as well as an operator.
            if name not in _RESERVED or (name == "in" and self.at_sign("(")):
                return self.word(token)
        self.index -= token.kind != "end"
        raise self.wrong(f"expected a value, found {token}.")

    def word(self, token: Token) -> Node:
        name = token.text.lower()
        if self.at_sign("("):
            self.index += 1
            return self.call(token)
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name], token.at)
        return Path((token.text,), "", token.at)

    def call(self, token: Token) -> Node:
        function = BY_LOWER_NAME.get(token.text.lower())
        if function is None:
            close = difflib.get_close_matches(token.text.lower(), list(BY_LOWER_NAME), n=1)
            hint = f"; did you mean {BY_LOWER_NAME[close[0]].name}?" if close else "."
            raise ExpressionError(f"there is no function {token.text}{hint}", position=token.at)
        self.deeper()
        arguments = self.arguments(closed_by=function.name)
        self.depth -= 1
        if not function.takes(len(arguments)):
            raise ExpressionError(
                f"{function.name} takes {function.syntax}, not {len(arguments)} values.", position=token.at
            )
        if function.name == "Case":
            _check_case(arguments, token.at)
        return Call(function.name, arguments, token.at)

    def arguments(self, *, closed_by: str) -> tuple[Node, ...]:
        """Read the rest of a list up to its closing parenthesis."""
        found: list[Node] = []
        if not self.at_sign(")"):
            self.deeper()
            found.append(self.disjunction())
            while self.at_sign(","):
                self.index += 1
                found.append(self.disjunction())
            self.depth -= 1
        if not self.at_sign(")"):
            raise self.wrong(f"expected ',' or ')' in {closed_by}, found {self.token}.")
        self.index += 1
        return tuple(found)


def _check(root: Node) -> None:
    """Refuse a tree that is too high, and parts of Case outside of it."""
    if isinstance(root, Call) and root.name in ("When", "Else"):
        raise ExpressionError(f"{root.name} stands in Case only.", position=root.at)
    level, height = [root], 0
    while level:
        height += 1
        if height > HIGHEST:
            raise ExpressionError(f"it has more than {HIGHEST} levels.", position=position(level[0]))
        below: list[Node] = []
        for node in level:
            inside = isinstance(node, Call) and node.name == "Case"
            for each in children(node):
                if isinstance(each, Call) and each.name in ("When", "Else") and not inside:
                    raise ExpressionError(f"{each.name} stands in Case only.", position=each.at)
                below.append(each)
        level = below


def _check_case(arguments: tuple[Node, ...], at: int) -> None:
    names = [each.name if isinstance(each, Call) else "" for each in arguments]
    if (
        names[:1] != ["When"]
        or any(name != "When" for name in names[:-1])
        or names[-1] not in ("When", "Else")
    ):
        raise ExpressionError(f"Case takes {FUNCTIONS['Case'].syntax}.", position=at)
