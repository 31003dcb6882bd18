"""Random expressions and definitions on random rows give what a plain evaluation in Python gives."""

import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envoi.kernel import clock, query
from envoi.kernel.expression import parse
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Actor
from envoi.kernel.tests.query import world as worlds

pytestmark = pytest.mark.usefixtures("tables")
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SETTINGS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Row = dict[str, Any]
Value = Callable[[Row], Any]
# Texts whose order is that of their code points in any collation.
WORDS = st.text(alphabet="abc", max_size=3)
DAYS = st.dates(date(1999, 1, 1), date(2030, 12, 31))
PATTERNS = st.lists(st.sampled_from(["a", "b", "%", "_", "\\%", "\\_", "\\\\"]), max_size=4).map("".join)


@dataclasses.dataclass(frozen=True)
class Said:
    """An expression, and what it means."""

    text: str
    value: Value

    def __repr__(self) -> str:
        return self.text


def strict(function: Callable[..., Any]) -> Callable[..., Value]:
    """Return the function of values as one of expressions, where nothing in gives nothing out."""

    def made(*parts: Said) -> Value:
        def value(row: Row) -> Any:
            given = [part.value(row) for part in parts]
            return None if None in given else function(*given)

        return value

    return made


def said(template: str, function: Callable[..., Any]) -> Callable[..., Said]:
    return lambda *parts: Said(
        template.format(*(f"({part.text})" for part in parts)), strict(function)(*parts)
    )


def column(text: str, name: str) -> Said:
    return Said(text, lambda row: row[name])


def linked(text: str, name: str) -> Said:
    return Said(text, lambda row: row["team"][name] if row["team"] else None)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def rest(a: Fraction, b: Fraction) -> Any:
    whole, by = int(a), int(b)
    return None if by == 0 else abs(whole) % abs(by) * (1 if whole >= 0 else -1)


def months(end: datetime, start: datetime) -> int:
    if end < start:
        return -months(start, end)
    short = (end.day, end.time()) < (start.day, start.time())
    return (end.year - start.year) * 12 + end.month - start.month - short


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def chosen(condition: Said, yes: Said, no: Said) -> Said:
    text = f"Iif({condition.text}, {yes.text}, {no.text})"
    return Said(text, lambda row: (yes if condition.value(row) is True else no).value(row))


def first(one: Said, other: Said) -> Said:
    def value(row: Row) -> Any:
        found = one.value(row)
        return other.value(row) if found is None else found

    return Said(f"Coalesce({one.text}, {other.text})", value)


def both(one: Said, other: Said) -> Said:
    def value(row: Row) -> Any:
        found = one.value(row), other.value(row)
        return False if False in found else None if None in found else True

    return Said(f"({one.text}) AND ({other.text})", value)


def either(one: Said, other: Said) -> Said:
    def value(row: Row) -> Any:
        found = one.value(row), other.value(row)
        return True if True in found else None if None in found else False

    return Said(f"({one.text}) OR ({other.text})", value)


def among(one: Said, two: Said, three: Said, negated: bool) -> Said:
    others = (two, three)

    def value(row: Row) -> Any:
        own, found = one.value(row), [each.value(row) for each in others]
        if own is None:
            return None
        answer = (
            True if own in [each for each in found if each is not None] else None if None in found else False
        )
        return answer if answer is None else answer is not negated

    word = "NOT IN" if negated else "IN"
    return Said(f"({one.text}) {word} ({', '.join(each.text for each in others)})", value)


def like(one: Said, pattern: str, negated: bool) -> Said:
    def matches(text: str) -> bool:
        parts = re.findall(r"\\.|\\$|.", pattern, re.DOTALL)
        expression = "".join(
            {"%": ".*", "_": "."}.get(part) or re.escape(part[1:] if len(part) > 1 else part)
            for part in parts
        )
        return (re.fullmatch(expression, text, re.DOTALL) is not None) is not negated

    word = "NOT LIKE" if negated else "LIKE"
    return Said(f"({one.text}) {word} {quoted(pattern)}", strict(matches)(one))


def empty(one: Said, negated: bool) -> Said:
    text = f"({one.text}) IS {'NOT ' if negated else ''}NULL"
    return Said(text, lambda row: (one.value(row) in (None, "")) is not negated)


SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def _upper(compare: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    return lambda a, b: compare(a.upper(), b.upper())


N, T, D, C = "number", "text", "date", "condition"
LEAVES: dict[str, st.SearchStrategy[Said]] = {
    N: st.one_of(
        st.integers(-9, 9).map(lambda n: Said(str(n), lambda _row: Fraction(n))),
        st.sampled_from(
            [
                Said("NULL", lambda _row: None),
                column("@age", "age"),
                column("@id", "person_id"),
                linked("[team/@size]", "size"),
            ]
        ),
    ),
    T: st.one_of(
        WORDS.map(lambda word: Said(quoted(word), lambda _row: word)),
        st.sampled_from(
            [
                column("@name", "name"),
                linked("[team/@name]", "name"),
                Said("@loud", lambda row: None if row["name"] is None else row["name"].upper()),
            ]
        ),
    ),
    D: st.one_of(
        DAYS.map(lambda day: Said(f"#{day}#", lambda _row: day)),
        st.sampled_from([column("@born", "born"), Said("ToDate(GetDate())", lambda _row: NOW.date())]),
    ),
    C: st.sampled_from(
        [
            column("@active", "active"),
            Said("true", lambda _row: True),
            Said("false", lambda _row: False),
        ]
    ),
}
# How larger ones are made: the function, the kinds of its parts, what else it is given.
GROWN: dict[str, list[tuple[Callable[..., Said], tuple[str, ...], tuple[st.SearchStrategy[Any], ...]]]] = {
    N: [
        (said("{0} + {1}", lambda a, b: a + b), (N, N), ()),
        (said("{0} - {1}", lambda a, b: a - b), (N, N), ()),
        (said("{0} * {1}", lambda a, b: a * b), (N, N), ()),
        (said("{0} % {1}", rest), (N, N), ()),
        (said("-{0}", lambda a: -a), (N,), ()),
        (said("Abs({0})", abs), (N,), ()),
        (said("Sign({0})", lambda a: (a > 0) - (a < 0)), (N,), ()),
        (said("Length({0})", len), (T,), ()),
        (said("CharIndex({0}, {1})", lambda a, b: a.find(b) + 1), (T, T), ()),
        (said("Year({0})", lambda day: day.year), (D,), ()),
        (said("DayOfYear({0})", lambda day: day.timetuple().tm_yday), (D,), ()),
        (said("WeekDay({0})", lambda day: day.isoweekday()), (D,), ()),
        (said("DaysDiff({0}, {1})", lambda a, b: (a - b).days), (D, D), ()),
        (said("MonthsDiff({0}, {1})", lambda a, b: months(midnight(a), midnight(b))), (D, D), ()),
        (chosen, (C, N, N), ()),
        (first, (N, N), ()),
    ],
    T: [
        (said("{0} + {1}", lambda a, b: a + b), (T, T), ()),
        (said("Upper({0})", str.upper), (T,), ()),
        (said("Left({0}, 2)", lambda a: a[:2]), (T,), ()),
        (said("Right({0}, 2)", lambda a: a[-2:]), (T,), ()),
        (said("Replace({0}, 'a', 'bb')", lambda a: a.replace("a", "bb")), (T,), ()),
        (said("ToString({0})", lambda a: str(int(a))), (N,), ()),
        (chosen, (C, T, T), ()),
        (first, (T, T), ()),
    ],
    D: [
        (said("AddDays({0}, 40)", lambda day: day + timedelta(40)), (D,), ()),
        (chosen, (C, D, D), ()),
        (first, (D, D), ()),
    ],
    C: [
        *((said(f"{{0}} {sign} {{1}}", SIGNS[sign]), (kind, kind), ()) for sign in SIGNS for kind in (N, D)),
        *((said(f"Upper({{0}}) {sign} Upper({{1}})", _upper(SIGNS[sign])), (T, T), ()) for sign in SIGNS),
        *([(said("NOT {0}", lambda a: not a), (C,), ()), (both, (C, C), ()), (either, (C, C), ())] * 3),
        *([(among, (N, N, N), (st.booleans(),)), (among, (T, T, T), (st.booleans(),))] * 2),
        *([(like, (T,), (PATTERNS, st.booleans()))] * 3),
        *((empty, (kind,), (st.booleans(),)) for kind in (N, T, D)),
    ],
}


@st.composite
def parts_of(draw: st.DrawFn, kind: str, depth: int = 3) -> Said:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(LEAVES[kind])
    make, kinds, more = draw(st.sampled_from(GROWN[kind]))
    return make(*(draw(parts_of(each, depth - 1)) for each in kinds), *(draw(each) for each in more))


CONDITIONS = parts_of(C)
PARTS = st.sampled_from((N, T, D, C)).flatmap(parts_of)


@st.composite
def worlds_of(draw: st.DrawFn) -> worlds.World:
    small = st.none() | st.integers(-3, 3)
    teams = [worlds.team(n, draw(st.none() | WORDS), draw(small), None, None) for n in range(1, 3)]
    persons = [
        worlds.person(
            n,
            draw(st.none() | WORDS),
            age=draw(small),
            active=draw(st.none() | st.booleans()),
            born=draw(st.none() | DAYS),
            team_id=draw(st.sampled_from([None, 1, 2, 7])),
        )
        for n in range(1, draw(st.integers(1, 6)) + 1)
    ]
    return worlds.World(teams, persons)


def rows_of(world: worlds.World) -> list[Row]:
    """Return the persons with their team beside them; numbers as exact ones."""
    teams = {each["team_id"]: each for each in world.teams}
    exact = [
        {name: Fraction(v) if type(v) is int and name in ("age", "size") else v for name, v in each.items()}
        for each in world.persons
    ]
    return [{**each, "team": teams.get(each["team_id"])} for each in exact]


class Filled:
    """The rows of a world in the tables, gone behind it."""

    def __init__(self, world: worlds.World) -> None:
        self.world = world

    def __enter__(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        worlds.insert("tst_team", self.world.teams)
        worlds.insert("tst_person", self.world.persons)

    def __exit__(self, *error: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM tst_person; DELETE FROM tst_team")
        self.atomic.__exit__(*error)


@given(worlds_of(), st.lists(PARTS, min_size=1, max_size=6))
@SETTINGS
def test_expressions_give_what_they_mean(admin: Actor, world: worlds.World, parts: list[Said]) -> None:
    definition = QueryDef(
        "tst:person", select=tuple(Field(each.text) for each in parts), order_by=(Field("@id"),)
    )
    with Filled(world), clock.frozen(NOW):
        found = query.run(definition, actor=admin).rows
    assert found == [tuple(each.value(row) for each in parts) for row in rows_of(world)]


@given(worlds_of(), CONDITIONS, CONDITIONS, CONDITIONS, st.sampled_from(["AND", "OR", "AND NOT", "OR NOT"]))
@SETTINGS
def test_definitions_find_what_they_mean(
    admin: Actor, world: worlds.World, one: Said, two: Said, three: Said, tie: str
) -> None:
    """Conditions, groups of them, EXISTS, subqueries, count, groups, order and lines."""
    where = (Condition(one.text), Condition(operator=tie, conditions=(Condition(two.text),)))
    second = said("NOT {0}", lambda a: not a)(two) if tie.endswith("NOT") else two
    whole = (either if tie.startswith("OR") else both)(one, second)
    matching = [row for row in rows_of(world) if whole.value(row) is True]
    definition = QueryDef("tst:person", select=(Field("@id"),), where=where, order_by=(Field("@id"),))
    by_age = dataclasses.replace(
        definition,
        select=(Field("@age", group=True), Field("Count()"), Field("Count(@name)"), Field("Max(@id)")),
        order_by=(),
    )
    sorted_ = dataclasses.replace(
        definition, order_by=(Field("@age", descending=True), Field("@id")), line_count=2, start_line=1
    )
    teams = QueryDef(
        "tst:team",
        select=(Field("@id"),),
        where=(Condition("person", set_operator="EXISTS", conditions=(Condition(three.text),)),),
        order_by=(Field("@id"),),
    )
    within = QueryDef("tst:person", where=(Condition("@id", set_operator="IN", subquery=definition),))
    with Filled(world), clock.frozen(NOW):
        assert query.run(definition, actor=admin).rows == [(row["person_id"],) for row in matching]
        assert query.count(definition, actor=admin) == len(matching)
        assert query.count(within, actor=admin) == len(matching)
        assert query.exists(definition, actor=admin) is bool(matching)
        groups = sorted(query.run(by_age, actor=admin).rows, key=str)
        lines = query.run(sorted_, actor=admin).rows
        busy = query.run(teams, actor=admin).rows
    ages = {row["age"] for row in matching}
    assert groups == sorted(
        (
            (
                None if age is None else int(age),
                len(found := [row for row in matching if row["age"] == age]),
                len([row for row in found if row["name"] is not None]),
                max(row["person_id"] for row in found),
            )
            for age in ages
        ),
        key=str,
    )
    order = sorted(matching, key=lambda row: (row["age"] is not None, -(row["age"] or 0), row["person_id"]))
    assert lines == [(row["person_id"],) for row in order[1:3]]
    held = {row["team_id"] for row in rows_of(world) if three.value(row) is True}
    assert busy == [(each["team_id"],) for each in world.teams if each["team_id"] in held]


@given(PARTS)
@settings(max_examples=100, deadline=None)
def test_the_printed_expression_is_the_same(part: Said) -> None:
    tree = parse(part.text)
    assert parse(str(tree)) == tree
