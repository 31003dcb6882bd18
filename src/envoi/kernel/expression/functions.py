"""The functions of the expression language, under the product's names, each with its SQL.

SQL is a template: `{0}` and so on are the arguments as their parameter says, `{now}` is the product's time
and `{zone}` the reader's zone, both bound. Dates are counted in that zone: the day of a time is the day on
the reader's wall. What cannot be converted, and a division by nothing, gives NULL rather than an error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from envoi.kernel.expression.kinds import Kind


class Want(StrEnum):
    """How a parameter takes its argument. The value is its name in the syntax."""

    TEXT = "text"
    NUMBER = "number"
    INT = "whole number"
    """Bounded to 32 bits."""
    BIG = "bits"
    """Bounded to 64 bits."""
    MOMENT = "date or time"
    """A timestamptz; a date begins at midnight of the zone."""
    LOCAL = "date"
    """A timestamp without zone: the time on the reader's wall."""
    DATED = "date+time"
    """A date stays a date, a time a time."""
    CONDITION = "condition"
    ANY = "value"


class Group(StrEnum):
    """Where the list of functions shows one."""

    AGGREGATE = "Aggregates"
    DATE = "Dates"
    NUMBER = "Numbers"
    TEXT = "Texts"
    OTHER = "Others"


@dataclass(frozen=True)
class Function:
    """One function. `sql` is a template, or empty when `expression.sql` has code of its own for it."""

    name: str
    group: Group
    wants: tuple[Want, ...]
    result: Kind | None
    """None: that of its values."""
    sql: str
    meaning: str
    optional: int = 0
    """How many of the last parameters may be left out."""
    more: bool = False
    """The last parameter may be repeated."""
    volatile: bool = False

    def takes(self, count: int) -> bool:
        """Return whether it can be called with so many arguments."""
        return len(self.wants) - self.optional <= count and (self.more or count <= len(self.wants))

    @property
    def syntax(self) -> str:
        """How it is called: `Left(text, whole number)`."""
        if self.name == "Case":
            return "Case(When(condition, value), …, Else(value))"
        names = [want.value for want in self.wants]
        for index in range(len(names) - self.optional, len(names)):
            names[index] = f"[{names[index]}]"
        return f"{self.name}({', '.join(names)}{', …' if self.more else ''})"


T, N, INT, BIG = Want.TEXT, Want.NUMBER, Want.INT, Want.BIG
M, L, D, C, A = Want.MOMENT, Want.LOCAL, Want.DATED, Want.CONDITION, Want.ANY

_TODAY = "({now} AT TIME ZONE {zone})::date"
_MONTHS = "(extract(year FROM age({0}, {1}))::int * 12 + extract(month FROM age({0}, {1}))::int)"
_NOW_LOCAL = "({now} AT TIME ZONE {zone})"


def _months(end: str, start: str) -> str:
    return _MONTHS.replace("{0}", end).replace("{1}", start)


def _list() -> tuple[Function, ...]:
    def aggregate(
        name: str, wants: tuple[Want, ...], result: Kind | None, sql: str, meaning: str
    ) -> Function:
        return Function(name, Group.AGGREGATE, wants, result, sql, meaning)

    def make(group: Group) -> Callable[..., Function]:
        def one(
            name: str, wants: tuple[Want, ...], result: Kind | None, sql: str, meaning: str, **more: object
        ) -> Function:
            return Function(name, group, wants, result, sql, meaning, **more)  # pyright: ignore[reportArgumentType]

        return one

    date, number, text, other = make(Group.DATE), make(Group.NUMBER), make(Group.TEXT), make(Group.OTHER)
    text_, whole, real, truth = Kind.TEXT, Kind.INTEGER, Kind.REAL, Kind.BOOLEAN
    time, day = Kind.DATETIME, Kind.DATE
    return (
        # --- aggregates
        aggregate("Avg", (N,), real, "avg({0})", "The mean of the values that are there."),
        Function(
            "Count",
            Group.AGGREGATE,
            (A,),
            whole,
            "",
            "How many values are there; without one, how many rows.",
            1,
        ),
        aggregate("CountAll", (), whole, "count(*)", "How many rows there are."),
        aggregate(
            "CountDistinct", (A,), whole, "count(DISTINCT {0})", "How many different values there are."
        ),
        aggregate("Max", (A,), None, "", "The greatest value."),
        aggregate("Min", (A,), None, "", "The least value."),
        aggregate("StdDev", (N,), real, "stddev_samp({0})", "The standard deviation of a sample."),
        aggregate("Sum", (N,), None, "", "The sum of the values."),
        aggregate(
            "StringAgg",
            (T, T),
            text_,
            "string_agg({0}, {1} ORDER BY {0})",
            "The texts, joined by a separator.",
        ),
        # --- dates
        date("GetDate", (), time, "{now}", "The present time."),
        *(
            date(f"{word}{unit}", (D, INT), None, "", f"{verb} a number of {unit.lower()}.")
            for word, verb in (("Add", "A time later by"), ("Sub", "A time earlier by"))
            for unit in ("Years", "Months", "Days", "Hours", "Minutes", "Seconds")
        ),
        date("Year", (L,), whole, "extract(year FROM {0})::int", "The year."),
        date("Month", (L,), whole, "extract(month FROM {0})::int", "The month, 1 to 12."),
        date("Day", (L,), whole, "extract(day FROM {0})::int", "The day of the month, 1 to 31."),
        date("DayOfYear", (L,), whole, "extract(doy FROM {0})::int", "The day of the year, 1 to 366."),
        date(
            "WeekDay",
            (L,),
            whole,
            "extract(isodow FROM {0})::int",
            "The day of the week: 1 Monday, 7 Sunday.",
        ),
        date("Hour", (L,), whole, "extract(hour FROM {0})::int", "The hour, 0 to 23."),
        date("Minute", (L,), whole, "extract(minute FROM {0})::int", "The minute."),
        date("Second", (L,), whole, "floor(extract(second FROM {0}))::int", "The second."),
        date(
            "YearAndMonth",
            (L,),
            whole,
            "(extract(year FROM {0})::int * 100 + extract(month FROM {0})::int)",
            "Year and month as one number: 202611.",
        ),
        date(
            "DateOnly",
            (L,),
            time,
            "(date_trunc('day', {0}) AT TIME ZONE {zone})",
            "Midnight of the same day.",
        ),
        date("ToDate", (A,), day, "", "The day of a time, or of a text such as 2026-11-24."),
        date("ToDateTime", (A,), time, "", "The time that a text says, or at which a day begins."),
        date(
            "TruncYear",
            (L,),
            time,
            "(date_trunc('year', {0}) AT TIME ZONE {zone})",
            "The beginning of the year.",
        ),
        date(
            "TruncQuarter",
            (L,),
            time,
            "(date_trunc('quarter', {0}) AT TIME ZONE {zone})",
            "The beginning of the quarter.",
        ),
        date(
            "TruncMonth",
            (L,),
            time,
            "(date_trunc('month', {0}) AT TIME ZONE {zone})",
            "The beginning of the month.",
        ),
        date(
            "TruncWeek",
            (L,),
            time,
            "(date_trunc('week', {0}) AT TIME ZONE {zone})",
            "Monday of the same week.",
        ),
        date(
            "TruncDate",
            (L, INT),
            time,
            "(date_bin(make_interval(secs => greatest({1}, 1)), {0}, timestamp '1970-01-01')"
            " AT TIME ZONE {zone})",
            "The time, cut down to a multiple of so many seconds.",
        ),
        date("DaysAgo", (INT,), day, f"({_TODAY} - {{0}})", "The day so many days before today."),
        date(
            "DaysAgoInt",
            (INT,),
            whole,
            f"to_char({_TODAY} - {{0}}, 'YYYYMMDD')::int",
            "The same as a number: 20261124.",
        ),
        date(
            "MonthsAgo",
            (INT,),
            day,
            f"({_TODAY} - make_interval(months => {{0}}))::date",
            "The day so many months before today.",
        ),
        date(
            "YearsAgo",
            (INT,),
            day,
            f"({_TODAY} - make_interval(years => {{0}}))::date",
            "The day so many years before today.",
        ),
        date("DaysDiff", (L, L), whole, "({0}::date - {1}::date)", "Days from the second date to the first."),
        date("MonthsDiff", (L, L), whole, _MONTHS, "Whole months from the second date to the first."),
        date(
            "YearsDiff",
            (L, L),
            whole,
            "extract(year FROM age({0}, {1}))::int",
            "Whole years from the second date to the first.",
        ),
        *(
            date(
                f"{unit}Diff",
                (M, M),
                whole,
                f"trunc(extract(epoch FROM {{0}} - {{1}}) / {seconds})::bigint",
                f"Whole {unit.lower()} from the second time to the first.",
            )
            for unit, seconds in (("Hours", 3600), ("Minutes", 60), ("Seconds", 1))
        ),
        date("DaysOld", (L,), whole, f"({_TODAY} - {{0}}::date)", "Days from a date to today."),
        date("MonthsOld", (L,), whole, _months(_NOW_LOCAL, "{0}"), "Whole months from a date to now."),
        date(
            "YearsOld",
            (L,),
            whole,
            f"extract(year FROM age({_NOW_LOCAL}, {{0}}))::int",
            "Age in whole years.",
        ),
        date("Oldest", (M, M), time, "least({0}, {1})", "The earlier of two times."),
        # --- numbers
        number("Abs", (N,), None, "", "The number without its sign."),
        number("Ceil", (N,), whole, "ceil({0}::numeric)", "The least whole number that is not below it."),
        number(
            "Floor", (N,), whole, "floor({0}::numeric)", "The greatest whole number that is not above it."
        ),
        number(
            "Round", (N, INT), real, "", "Rounded to so many decimals, halves away from zero.", optional=1
        ),
        number("Trunc", (N, INT), real, "", "Cut off after so many decimals.", optional=1),
        number("Mod", (N, N), whole, "", "The rest of a division of whole numbers."),
        number("Div", (N, N), whole, "", "A division of whole numbers, without its rest."),
        number(
            "Percent",
            (N, N),
            real,
            "({0}::numeric * 100 / nullif({1}::numeric, 0))",
            "Percentage of the second.",
        ),
        number("Sign", (N,), whole, "sign({0}::numeric)", "-1, 0 or 1."),
        number("Greatest", (N, N), None, "", "The greater of two numbers."),
        number("Least", (N, N), None, "", "The smaller of two numbers."),
        number("ToInteger", (A,), whole, "", "The whole part of a number, or of a text that says one."),
        number("ToInt64", (A,), whole, "", "The same as ToInteger."),
        number("ToDouble", (A,), real, "", "The number that a text says."),
        number(
            "Random", (), real, "random()", "A number from 0 up to 1, another for each row.", volatile=True
        ),
        number(
            "Distance",
            (N, N, N, N),
            real,
            "(12742.0176 * asin(least(1, sqrt(power(sin(radians(({3} - {1})::float8) / 2), 2)"
            " + cos(radians(({1})::float8)) * cos(radians(({3})::float8))"
            " * power(sin(radians(({2} - {0})::float8) / 2), 2)))))",
            "Kilometres between two points, each given by longitude and latitude in degrees.",
        ),
        # --- texts
        text("Upper", (T,), text_, "upper({0})", "In capitals."),
        text("Lower", (T,), text_, "lower({0})", "In small letters."),
        text(
            "Smart", (T,), text_, "initcap({0})", "The first letter of each word in capitals, others small."
        ),
        text("Length", (T,), whole, "length({0})", "Number of characters."),
        text("DataLength", (T,), whole, "octet_length({0})", "Number of bytes."),
        text("Left", (T, INT), text_, "left({0}, greatest({1}, 0))", "The first characters."),
        text("Right", (T, INT), text_, "right({0}, greatest({1}, 0))", "The last characters."),
        text(
            "Substring",
            (T, INT, INT),
            text_,
            "substr({0}, greatest({1}, 1), greatest({2}, 0))",
            "So many characters from a position on; the first has position 1.",
        ),
        text("Trim", (T,), text_, "btrim({0})", "Without spaces at either end."),
        text("Ltrim", (T,), text_, "ltrim({0})", "Without spaces at its beginning."),
        text("Rtrim", (T,), text_, "rtrim({0})", "Without spaces at its end."),
        text(
            "LPad",
            (T, INT, T),
            text_,
            "lpad({0}, least(greatest({1}, 0), 4000), {2})",
            "Filled up on the left.",
        ),
        text(
            "RPad",
            (T, INT, T),
            text_,
            "rpad({0}, least(greatest({1}, 0), 4000), {2})",
            "Filled up on the right.",
        ),
        text(
            "Replace", (T, T, T), text_, "replace({0}, {1}, {2})", "Each occurrence of a text by another one."
        ),
        text(
            "CharIndex",
            (T, T),
            whole,
            "strpos({0}, {1})",
            "Position of the second text in the first; 0: nowhere.",
        ),
        text("Ascii", (T,), whole, "ascii({0})", "Code of the first character; 0 without one."),
        text(
            "Char",
            (INT,),
            text_,
            "CASE WHEN {0} BETWEEN 1 AND 55295 OR {0} BETWEEN 57344 AND 1114111 THEN chr({0}) END",
            "The character of a code.",
        ),
        text(
            "GetLine",
            (T, INT),
            text_,
            "split_part(replace({0}, chr(13), ''), chr(10), greatest({1}, 1))",
            "One line of a text; the first is 1.",
        ),
        text(
            "JuxtWords",
            (T, T),
            text_,
            "concat_ws(' ', nullif(btrim({0}), ''), nullif(btrim({1}), ''))",
            "Two texts with a space between them, where both are there.",
        ),
        text(
            "JuxtWords3",
            (T, T, T),
            text_,
            "concat_ws(' ', nullif(btrim({0}), ''), nullif(btrim({1}), ''), nullif(btrim({2}), ''))",
            "The same with three texts.",
        ),
        text(
            "AllNonNull2",
            (T, T),
            truth,
            "(coalesce({0}, '') <> '' AND coalesce({1}, '') <> '')",
            "Whether neither text is empty.",
        ),
        text(
            "AllNonNull3",
            (T, T, T),
            truth,
            "(coalesce({0}, '') <> '' AND coalesce({1}, '') <> '' AND coalesce({2}, '') <> '')",
            "Whether none of three texts is empty.",
        ),
        text(
            "IfEquals",
            (A, A, A, A),
            None,
            "",
            "The third value when the first two are equal, else the fourth.",
        ),
        text(
            "IsEmptyString", (T, A, A), None, "", "The second value when the text is empty, else the third."
        ),
        text("IsMemoNull", (T,), truth, "(coalesce({0}, '') = '')", "Whether a text is empty."),
        text(
            "MemoContains",
            (T, T),
            truth,
            "(strpos({0}, {1}) > 0)",
            "Whether the second text is in the first.",
        ),
        text("Md5Digest", (T,), text_, "md5({0})", "MD5 sum, in hexadecimal digits."),
        text(
            "Sha256Digest",
            (T,),
            text_,
            "encode(sha256(convert_to({0}, 'UTF8')), 'hex')",
            "SHA-256 sum, in hexadecimal digits.",
        ),
        text(
            "Sha512Digest",
            (T,),
            text_,
            "encode(sha512(convert_to({0}, 'UTF8')), 'hex')",
            "SHA-512 sum, in hexadecimal digits.",
        ),
        text("ToString", (A, INT), text_, "", "A value as text, a number with so many decimals.", optional=1),
        text(
            "GetEmailDomain",
            (T,),
            text_,
            "CASE WHEN strpos({0}, '@') > 0 THEN split_part({0}, '@', -1) ELSE left({0}, 0) END",
            "What stands behind the @ of an address.",
        ),
        # --- others
        other("Iif", (C, A, A), None, "", "The second value when the condition holds, else the third."),
        other("Case", (A,), None, "", "The value of the first condition that holds.", more=True),
        other("When", (C, A), None, "", "A condition of Case and its value."),
        other("Else", (A,), None, "", "What Case gives when no condition holds."),
        other("Coalesce", (A, A), None, "", "The first value that is there.", more=True),
        other("NoNull", (A,), None, "", "The value, or an empty text or 0 when there is none."),
        other(
            "Decode", (A, A, A, A), None, "", "The third value when the first two are equal, else the fourth."
        ),
        other("In", (A, A), truth, "", "Whether the first value is one of the others.", more=True),
        other("ToBoolean", (N,), truth, "({0} <> 0)", "Whether a number is not 0."),
        other("SetBit", (BIG, BIG), whole, "({0} | {1})", "The number with the bits of a flag set."),
        other("ClearBit", (BIG, BIG), whole, "({0} & ~{1})", "The number with the bits of a flag cleared."),
        other(
            "IsBitSet",
            (BIG, BIG),
            truth,
            "(({0} & {1}) <> 0)",
            "Whether a bit of a flag is set in the number.",
        ),
        other("VirtualLink", (A, A, A), None, "", "The first value when the other two are equal."),
        other("VirtualLinkStr", (A, A, A), None, "", "The same."),
        other(
            "NewUUID", (), text_, "gen_random_uuid()::text", "A new unique text for each row.", volatile=True
        ),
    )


FUNCTIONS: dict[str, Function] = {each.name: each for each in _list()}
BY_LOWER_NAME: dict[str, Function] = {name.lower(): each for name, each in FUNCTIONS.items()}
