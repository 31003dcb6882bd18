"""Each function against its meaning, on constants and on a row."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from envoi.kernel import clock, query
from envoi.kernel.errors import Invalid
from envoi.kernel.expression import FUNCTIONS, Call, parse, walk
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Actor

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


# On the row of ann: born 29 February 1996, seen 24 November 2026 at 8:30:15.5, both in UTC.
CASES: list[tuple[str, Any]] = [
    ("GetDate()", NOW),
    ("AddYears(#2024-02-29#, 1)", date(2025, 2, 28)),
    ("AddMonths(#2026-01-31#, 1)", date(2026, 2, 28)),
    ("AddDays(#2026-11-24T09:00:00Z#, 8)", utc(2026, 12, 2, 9)),
    ("AddHours(#2026-11-24#, 25)", utc(2026, 11, 25, 1)),
    ("AddMinutes(@seen, 30)", datetime(2026, 11, 24, 9, 0, 15, 500000, UTC)),
    ("AddSeconds(#2026-11-24T09:00:00Z#, -1)", utc(2026, 11, 24, 8, 59, 59)),
    ("SubYears(@born, 4)", date(1992, 2, 29)),
    ("SubMonths(@born, 12)", date(1995, 2, 28)),
    ("SubDays(@born, 29)", date(1996, 1, 31)),
    ("SubHours(#2026-11-24T09:00:00Z#, 9)", utc(2026, 11, 24)),
    ("SubMinutes(#2026-11-24T09:00:00Z#, 1)", utc(2026, 11, 24, 8, 59)),
    ("SubSeconds(#2026-11-24T09:00:00Z#, 1)", utc(2026, 11, 24, 8, 59, 59)),
    ("Year(@born)", 1996), ("Month(@born)", 2), ("Day(@born)", 29), ("DayOfYear(#2026-12-31#)", 365),
    ("WeekDay(#2026-11-24#)", 2), ("WeekDay(#2026-11-29#)", 7),
    ("Hour(@seen)", 8), ("Minute(@seen)", 30), ("Second(@seen)", 15), ("YearAndMonth(@seen)", 202611),
    ("DateOnly(@seen)", utc(2026, 11, 24)),
    ("ToDate(@seen)", date(2026, 11, 24)), ("ToDate('2026-11-24 08:00')", date(2026, 11, 24)),
    ("ToDate('2026/11/24')", date(2026, 11, 24)), ("ToDate('2026-02-30')", None), ("ToDate('now')", None),
    ("ToDateTime('2026-11-24 08:00:01')", utc(2026, 11, 24, 8, 0, 1)),
    ("ToDateTime('2026-11-24T08:00:00+02:00')", utc(2026, 11, 24, 6)),
    ("ToDateTime(@born)", utc(1996, 2, 29)), ("ToDateTime('infinity')", None),
    ("TruncYear(@seen)", utc(2026, 1, 1)), ("TruncQuarter(@seen)", utc(2026, 10, 1)),
    ("TruncMonth(@seen)", utc(2026, 11, 1)), ("TruncWeek(@seen)", utc(2026, 11, 23)),
    ("TruncDate(@seen, 60)", utc(2026, 11, 24, 8, 30)), ("TruncDate(@seen, 86400)", utc(2026, 11, 24)),
    ("DaysAgo(24)", date(2026, 10, 31)), ("DaysAgoInt(24)", 20261031),
    ("MonthsAgo(9)", date(2026, 2, 24)), ("YearsAgo(30)", date(1996, 11, 24)),
    ("DaysDiff(#2026-11-24#, @born)", 11226), ("DaysDiff(@born, #1996-03-01#)", -1),
    ("MonthsDiff(#2026-03-30#, #2026-02-28#)", 1), ("MonthsDiff(#2026-02-28#, #2026-01-31#)", 0),
    ("MonthsDiff(#2026-01-01#, #2027-03-01#)", -14),
    ("YearsDiff(#2026-02-28#, @born)", 29), ("YearsDiff(#2026-03-01#, @born)", 30),
    ("HoursDiff(#2026-11-24T09:59:59Z#, #2026-11-24T08:00:00Z#)", 1),
    ("MinutesDiff(#2026-11-24T09:00:00Z#, @seen)", 29), ("SecondsDiff(#2026-11-24T08:30:00Z#, @seen)", -15),
    ("DaysOld(@born)", 11226), ("MonthsOld(@seen)", 0), ("YearsOld(@born)", 30),
    ("Oldest(@seen, @born)", utc(1996, 2, 29)),
    ("Abs(-5)", 5), ("Abs(@score - 3)", 1.5), ("Ceil(1.2)", 2), ("Floor(-1.2)", -2),
    ("Round(2.345, 2)", 2.35), ("Round(-0.5)", -1), ("Trunc(2.349, 2)", 2.34), ("Trunc(-1.9)", -1),
    ("Mod(7, 3)", 1), ("Mod(-7, 3)", -1), ("Mod(7, 0)", None), ("Div(7, 2)", 3), ("Div(1, 0)", None),
    ("Percent(1, 8)", 12.5), ("Percent(1, 0)", None), ("Sign(-3)", -1),
    ("Greatest(1, 2.5)", 2.5), ("Least(1, 2.5)", 1),
    ("ToInteger(3.9)", 3), ("ToInteger('42')", 42), ("ToInteger('x')", None), ("ToInt64(-3.9)", -3),
    ("ToDouble('2.5')", 2.5), ("ToDouble('1e5')", None), ("Round(Distance(2.35, 48.85, -0.13, 51.5))", 343),
    ("Upper('aé')", "AÉ"), ("Lower('AB')", "ab"), ("Smart('jean-luc DE la tour')", "Jean-Luc De La Tour"),
    ("Length('aé')", 2), ("DataLength('aé')", 3), ("Left('abc', 2)", "ab"), ("Left('abc', -1)", ""),
    ("Right('abc', 2)", "bc"), ("Substring('abcdef', 2, 3)", "bcd"), ("Substring('abc', -5, 2)", "ab"),
    ("Trim('  a ')", "a"), ("Ltrim(' a ')", "a "), ("Rtrim(' a ')", " a"),
    ("LPad('7', 3, '0')", "007"), ("RPad('7', 3, '0')", "700"), ("Replace('abab', 'a', 'x')", "xbxb"),
    ("CharIndex('hello', 'l')", 3), ("CharIndex('hello', 'z')", 0), ("Ascii('A')", 65), ("Ascii('')", 0),
    ("Char(36)", "$"), ("Char(0)", None), ("'a' + Char('36') + 1", "a$1"), ("GetLine('a\n', 1)", "a"),
    ("JuxtWords(' ann ', '')", "ann"), ("JuxtWords('a', 'b')", "a b"), ("JuxtWords3('a', NULL, 'c')", "a c"),
    ("AllNonNull2('a', '')", False), ("AllNonNull2('a', 'b')", True), ("AllNonNull3('a', 'b', NULL)", False),
    ("IfEquals(@name, 'ann', 'yes', 'no')", "yes"), ("IsEmptyString('', 1, 2)", 1),
    ("IsMemoNull('')", True), ("MemoContains('abc', 'bc')", True),
    ("Md5Digest('a')", "0cc175b9c0f1b6a831c399e269772661"),
    ("Left(Sha256Digest('a'), 8)", "ca978112"), ("Left(Sha512Digest('a'), 8)", "1f40fc92"),
    ("ToString(12)", "12"), ("ToString(1.50)", "1.5"), ("ToString(2, 2)", "2.00"), ("ToString(@active)", "1"),
    ("ToString(@born)", "1996-02-29"), ("ToString(@seen)", "2026-11-24 08:30:15"),
    ("GetEmailDomain('a@b.example')", "b.example"), ("GetEmailDomain('ab')", ""),
    ("Iif(@age > 20, 'old', 'young')", "old"), ("Iif(@age > 90, 1, 2.5)", 2.5),
    ("Case(When(@age < 20, 'a'), When(@age < 40, 'b'), Else('c'))", "b"),
    ("Case(When(@age < 20, 'a'))", None),
    ("Coalesce(NULL, @name)", "ann"), ("NoNull(NULL)", ""), ("NoNull(@age)", 30),
    ("Decode(@age, 30, 'x', 'y')", "x"), ("In(@age, 1, 30)", True), ("In(@age, 1, 2)", False),
    ("ToBoolean(2)", True), ("SetBit(4, 1)", 5), ("ClearBit(5, 1)", 4), ("IsBitSet(5, 4)", True),
    ("VirtualLink(@id, 1, 1)", 11), ("VirtualLinkStr(@name, 1, 2)", None),
    ("Length(NewUUID())", 36), ("Iif(Random() >= 0 AND Random() < 1, 1, 0)", 1),
]  # fmt: skip
# Over all six persons: ages 30, NULL, 41, 0, -7, 30.
AGGREGATES: list[tuple[str, Any]] = [
    ("Count()", 6), ("CountAll()", 6), ("Count(@age)", 5), ("CountDistinct(@age)", 4), ("Sum(@age)", 94),
    ("Avg(@age)", 18.8), ("Min(@age)", -7), ("Max(@name)", "zoe"), ("Round(StdDev(@age), 3)", 20.993),
    ("Sum(@active)", 2), ("StringAgg(Left(@name, 1), '-')", "-1-a-b-c-z"), ("Sum(@score)", 0.75),
    ("Max(@born)", date(2000, 12, 31)), ("Max(@active)", 1),
]  # fmt: skip


def value(expr: str, actor: Actor, zone: str = "UTC") -> Any:
    definition = QueryDef("tst:person", select=(Field(expr),), where=(Condition("@id = 11"),))
    with clock.frozen(NOW):
        return query.run(definition, actor=actor, zone=zone).rows[0][0]


@pytest.mark.usefixtures("world")
def test_functions_mean_what_they_say(admin: Actor) -> None:
    """One statement for all: a test of its own for each would take a minute of set-up."""
    definition = QueryDef(
        "tst:person", select=tuple(Field(expr) for expr, _ in CASES), where=(Condition("@id = 11"),)
    )
    with clock.frozen(NOW):
        row = query.run(definition, actor=admin).rows[0]
    found = {expr: got for (expr, _), got in zip(CASES, row, strict=True)}
    wrong = {
        expr: (found[expr], meant)
        for expr, meant in CASES
        if found[expr] != (pytest.approx(meant) if isinstance(meant, float) else meant)
    }
    assert wrong == {}


@pytest.mark.usefixtures("world")
def test_aggregates_mean_what_they_say(admin: Actor) -> None:
    definition = QueryDef("tst:person", select=tuple(Field(expr) for expr, _ in AGGREGATES))
    row = query.run(definition, actor=admin).rows[0]
    for (expr, meant), got in zip(AGGREGATES, row, strict=True):
        assert got == (pytest.approx(meant, abs=0.01) if isinstance(meant, float) else meant), expr


def test_every_function_has_its_case() -> None:
    called = {
        node.name for expr, _ in (*CASES, *AGGREGATES) for node in walk(parse(expr)) if isinstance(node, Call)
    }
    assert set(FUNCTIONS) - called == set()


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda each: each.name)
def test_every_function_says_what_it_means(function: Any) -> None:
    assert function.meaning.endswith(".")
    assert function.syntax.startswith(f"{function.name}(")


@pytest.mark.usefixtures("world")
def test_days_are_those_of_the_reader(admin: Actor) -> None:
    """In Paris the clock goes from 2 to 3 on 29 March 2026, and 23:30 UTC is the next day."""
    paris = "Europe/Paris"
    assert value("ToDate(#2026-11-24T23:30:00Z#)", admin, paris) == date(2026, 11, 25)
    assert value("Hour(@seen)", admin, paris) == 9
    assert value("AddDays(#2026-03-28T12:00:00#, 1)", admin, paris) == utc(2026, 3, 29, 10)
    assert value("HoursDiff(#2026-03-30T00:00:00#, #2026-03-29T00:00:00#)", admin, paris) == 23
    assert value("#2026-11-24T10:00:00# = #2026-11-24T09:00:00Z#", admin, paris) is True
    assert value("DateOnly(@seen)", admin, paris) == utc(2026, 11, 23, 23)
    with pytest.raises(Invalid, match="no time zone"):
        value("1", admin, "Europe/Pariss")


@pytest.mark.usefixtures("world")
def test_what_cannot_be_calculated_is_refused_and_leaves_the_transaction_usable(admin: Actor) -> None:
    for expr in ("AddYears(@born, 2000000000)", "@score" + f" * 1{'0' * 55}" * 7):
        with pytest.raises(Invalid, match="cannot calculate"):
            value(expr, admin)
    assert value("1", admin) == 1
