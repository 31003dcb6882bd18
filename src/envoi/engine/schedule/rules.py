"""The parts of a schedule: rules for days, times of a day, validity."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ORDINALS = ("first", "second", "third", "fourth", "last")
ALL_MONTHS = tuple(range(1, 13))
DAY = 86400
# 29 February may be eight years away (2096 to 2104), so looking nine years ahead finds every day.
_MONTHS_AHEAD = 9 * 12


@dataclass(frozen=True)
class EveryDays:
    """Every day, or every `every` days counted from `since`; nothing before `since`."""

    every: int = 1
    since: date | None = None

    def on_or_after(self, day: date) -> date | None:
        """Return the first day of the rule that is not before `day`."""
        if self.since is None:
            return day
        if day <= self.since:
            return self.since
        return day + timedelta(days=-(day - self.since).days % self.every)


@dataclass(frozen=True)
class Weekdays:
    """Chosen weekdays (0 is Monday), every `every` weeks counted from the week of `since`; none before it."""

    days: tuple[int, ...]
    every: int = 1
    since: date | None = None

    def on_or_after(self, day: date) -> date | None:
        """Return the first day of the rule that is not before `day`."""
        if self.since is not None and day < self.since:
            day = self.since
        monday = day - timedelta(days=day.weekday())
        if self.since is not None:
            first = self.since - timedelta(days=self.since.weekday())
            skip = -((monday - first).days // 7) % self.every
            if skip:
                monday += timedelta(weeks=skip)
                day = monday
        for weekday in self.days:
            if weekday >= day.weekday():
                return monday + timedelta(days=weekday)
        return monday + timedelta(weeks=self.every, days=self.days[0])


@dataclass(frozen=True)
class MonthDays:
    """Days of chosen months: one of `day`, `ordinal` with a weekday, or `weekdays`; without them all days.

    `day` is 1 to 31 or -1 for the last; a month that has no such day is passed over. `ordinal` is an index of
    ORDINALS.
    """

    months: tuple[int, ...] = ALL_MONTHS
    day: int | None = None
    ordinal: int | None = None
    weekdays: tuple[int, ...] = ()

    def on_or_after(self, day: date) -> date | None:
        """Return the first day of the rule that is not before `day`."""
        year, month, earliest = day.year, day.month, day.day
        for _ in range(_MONTHS_AHEAD):
            if month in self.months:
                for candidate in self._in_month(year, month):
                    if candidate >= earliest:
                        return date(year, month, candidate)
            year, month, earliest = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)
        return None

    def _in_month(self, year: int, month: int) -> Sequence[int]:
        first_weekday, length = monthrange(year, month)
        if self.day is not None:
            day = length if self.day == -1 else self.day
            return (day,) if day <= length else ()
        if self.ordinal is not None:
            of_weekday = range(1 + (self.weekdays[0] - first_weekday) % 7, length + 1, 7)
            return (of_weekday[-1 if ORDINALS[self.ordinal] == "last" else self.ordinal],)
        days = range(1, length + 1)
        if not self.weekdays:
            return days
        return [day for day in days if (first_weekday + day - 1) % 7 in self.weekdays]


@dataclass(frozen=True)
class OneDay:
    """A single day."""

    day: date

    def on_or_after(self, day: date) -> date | None:
        """Return the day unless it is before `day`."""
        return self.day if self.day >= day else None


@dataclass(frozen=True)
class Times:
    """A list of times of day."""

    at: tuple[time, ...]

    @property
    def offsets(self) -> Sequence[int]:
        """Seconds of the wall clock from the day's midnight, ascending."""
        return sorted({seconds_of(each) for each in self.at})


@dataclass(frozen=True)
class Interval:
    """Every `every` seconds from `start` to `end`, both included; seconds of the wall clock from midnight.

    An end of 86400 is the end of the day. One beyond belongs to a window that opens on the rule's day and
    crosses midnight.
    """

    every: int
    start: int = 0
    end: int = DAY

    @property
    def offsets(self) -> Sequence[int]:
        """Seconds of the wall clock from the day's midnight, ascending."""
        # Midnight at the end of a day is the first moment of the next one.
        return range(self.start, self.end if self.end == DAY else self.end + 1, self.every)


@dataclass(frozen=True)
class Dates:
    """Validity from a date to a date, both included; None is open. The day on which a window opens counts."""

    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class Iterations:
    """Validity for `most` firings from `start` (a local date and time) on."""

    most: int
    start: datetime | None = None


def seconds_of(value: time) -> int:
    """Return the seconds from midnight to a time of day."""
    return value.hour * 3600 + value.minute * 60 + value.second


def time_of(seconds: int) -> time:
    """Return the time of day that many seconds after midnight."""
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)


def clock_text(value: time) -> str:
    """Return a time of day as 08:30, with seconds only when it has some."""
    return value.strftime("%H:%M:%S" if value.second else "%H:%M")


def offset_text(offset: int) -> str:
    """Return the time of day of an offset in seconds; the end of the day is 24:00."""
    return "24:00" if offset == DAY else clock_text(time_of(offset % DAY))
