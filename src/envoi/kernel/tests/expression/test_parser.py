"""The parser refuses with a place or gives a tree whose text is the same tree; it never crashes."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envoi.kernel.expression import (
    FUNCTIONS,
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
    Variable,
    parse,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
STEPS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
VALUES = st.one_of(
    TEXTS,
    st.integers(0, 10**30),
    st.decimals(0, 10**9, places=3).map(lambda number: Decimal(format(number, "f"))),
    st.booleans(),
    st.none(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(UTC)),
)
PATHS = st.one_of(
    st.builds(Path, st.lists(STEPS, max_size=3).map(tuple), STEPS),
    st.builds(Path, st.lists(STEPS, min_size=1, max_size=3).map(tuple), st.just("")),
)
LEAVES = st.one_of(
    st.builds(Literal, VALUES), PATHS, st.builds(Variable, NAMES.map(lambda name: f"vars/@{name}"))
)


def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    many = st.lists(inner, min_size=1, max_size=3).map(tuple)
    plain = [each for each in FUNCTIONS.values() if each.name not in ("Case", "When", "Else")]
    return st.one_of(
        st.builds(Negate, inner.filter(lambda node: not _is_number(node))),
        st.builds(Arithmetic, st.sampled_from("+-*/%"), inner, inner),
        st.builds(Compare, st.sampled_from(("=", "!=", "<", "<=", ">", ">=")), inner, inner),
        st.builds(Like, inner, inner, st.booleans()),
        st.builds(InList, inner, many, st.booleans()),
        st.builds(Between, inner, inner, inner, st.booleans()),
        st.builds(IsNull, inner, st.booleans()),
        st.builds(Not, inner),
        st.builds(Logic, st.sampled_from(("AND", "OR")), st.lists(inner, min_size=2, max_size=4).map(tuple)),
        st.sampled_from(plain).flatmap(
            lambda each: st.tuples(*[inner] * len(each.wants)).map(lambda given: Call(each.name, given))
        ),
        st.builds(
            lambda condition, value, last: Call(
                "Case", (Call("When", (condition, value)), Call("Else", (last,)))
            ),
            inner, inner, inner,
        ),
    )  # fmt: skip


def _is_number(node: Node) -> bool:
    return isinstance(node, Literal) and type(node.value) in (int, Decimal)


TREES = st.recursive(LEAVES, grown, max_leaves=12)


@given(TREES)
@settings(max_examples=300, deadline=None)
def test_the_text_of_a_tree_is_the_same_tree(tree: Node) -> None:
    assert parse(str(tree)) == tree


PIECES = [
    *"[]()'\",+-*/%=<>#\\;\0\ud800é\n@", "@a", "[b/@c]", "'x'", "#2026-11-24#", "1", "2.5", "!=", "--",
    "true", "$(", "$(vars/@x)", " AND ", " OR ", " NOT ", " IN ", " LIKE ", " IS ", " NULL ", " BETWEEN ",
    "Upper", "Case", "When", "Else",
]  # fmt: skip


@given(st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
@example("(" * 5000)
@example("-" * 5000 + "1")
@example("not " * 5000 + "1")
@example("Upper(" * 2000)
@example("1" + "+1" * 2000)
@example("1" + "+1" * 99)
@example("@a" + " and @a" * 2000)
@example("[" * 100 + "a")
@example("1" * 100_000)
@example("@a in (" + "1," * 2000 + "1)")
@settings(max_examples=500, deadline=None)
def test_no_text_crashes_the_parser(text: str) -> None:
    try:
        tree = parse(text)
    except ExpressionError as refused:
        problem, position = str(refused), refused.position
    else:
        assert parse(str(tree)) == tree
        return
    assert 0 <= position <= len(text)
    assert problem.startswith("At character")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'Rock \\'n\\' Roll'", "Rock 'n' Roll"),
        ('"a\\"b"', 'a"b'),
        ("'100\\%'", "100\\%"),
        ("'a\\\\b'", "a\\b"),
        ("''", ""),
        ("-5", -5),
        (".5", Decimal("0.5")),
        ("TRUE", True),
        ("null", None),
        ("#2026-01-02#", date(2026, 1, 2)),
        ("#2026/1/2 03:04:05#", datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001 of the reader's zone
        ("#2026-01-02T03:04:05.678Z#", datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)),
        ("#2026-01-02T03:04:05+02:00#", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert parse(text) == Literal(value)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("@a = 1 or @b = 2 and not @c = 3", "@a = 1 OR (@b = 2 AND (NOT (@c = 3)))"),
        ("-@a * 2", "(-@a) * 2"),
        ("@a + 1 in (2) and @b", "((@a + 1) IN (2)) AND @b"),
        ("upper(@a) LIKE 'X%'", "Upper(@a) LIKE 'X%'"),
        ("folder/@name", "[folder/@name]"),
        ("[/@name]", "@name"),
        ("@a <> 1", "@a != 1"),
        ("@a not between 1 and 2 or @b", "(@a NOT BETWEEN 1 AND 2) OR @b"),
        ("@a is not null = false", ""),
    ],
)
def test_precedence(text: str, same: str) -> None:
    if same:
        assert parse(text) == parse(same)
    else:
        with pytest.raises(ExpressionError, match="AND, OR or parentheses"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "expected a value, found the end"),
        ("@a = ", 5, "expected a value, found the end"),
        ("@a 5", 3, "expected an operator or the end, found '5'"),
        ("(@a", 3, "expected '[)]' behind the parenthesis"),
        ("Uper(@a)", 0, "did you mean Upper"),
        ("Left('a')", 0, r"Left takes Left\(text, whole number\), not 1 values"),
        ("Left('a' 1)", 9, "expected ',' or '[)]' in Left"),
        ("@a IS 5", 6, "expected NULL behind IS"),
        ("@a NOT 5", 7, "expected LIKE, IN or BETWEEN behind NOT"),
        ("@a BETWEEN 1 OR 2", 13, "expected AND between the ends"),
        ("@a IN ()", 3, "at least one value"),
        ("'abc", 0, "not closed by a quote"),
        ("[abc", 0, "bracket is not closed"),
        ("[a b]", 0, "a path is names of links"),
        ("#abc#", 0, "a date looks like"),
        ("#2026-02-30#", 0, "a date looks like"),
        ("#2026", 0, "not closed by another #"),
        ("@", 0, "name of an attribute"),
        ("@a = 1 ; drop", 7, "';' means nothing here"),
        ("$(x)", 0, "a variable looks like"),
        ("When(1, 2)", 0, "When stands in Case only"),
        ("1 + Else(2)", 4, "Else stands in Case only"),
        ("Case(1)", 0, r"Case takes Case\(When"),
        ("Case(Else(1), When(1, 2))", 0, "Case takes"),
        ("1" * 61, 0, "at most 60 digits"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, position: int, said: str) -> None:
    with pytest.raises(ExpressionError, match=said) as refused:
        parse(text)
    assert refused.value.position == position
