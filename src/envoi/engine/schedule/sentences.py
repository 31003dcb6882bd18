"""Schedules as short sentences of the active language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import NamedTuple

from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.formats import date_format
from django.utils.translation import gettext, gettext_noop

from envoi.engine.schedule.rules import (
    ALL_MONTHS,
    DAY,
    Dates,
    EveryDays,
    Interval,
    Iterations,
    MonthDays,
    OneDay,
    Times,
    Weekdays,
    clock_text,
    offset_text,
)


@dataclass(frozen=True)
class Names:
    """Names that are joined when they are shown."""

    names: tuple[object, ...]


class Sentence(NamedTuple):
    """A translatable sentence: a message id with named places, and what stands in them.

    `str()` gives it in the active language. Places hold texts, numbers, dates, times, or further sentences.
    """

    msgid: str
    params: Mapping[str, object]

    def __str__(self) -> str:
        """Return the sentence in the active language."""
        return gettext(self.msgid) % {name: _shown(value) for name, value in self.params.items()}


def describe(days: EveryDays | Weekdays | MonthDays | OneDay, times: Times | Interval) -> Sentence:
    """Return days and times in one sentence, such as "Daily 04:00" or "25th of the month 00:01"."""
    if isinstance(times, Interval):
        return _describe_interval(times, days)
    when = ", ".join(clock_text(each) for each in times.at)
    if isinstance(days, OneDay):
        return Sentence(gettext_noop("Once, %(date)s %(time)s"), {"date": days.day, "time": when})
    if isinstance(days, EveryDays):
        if days.every == 1:
            return Sentence(gettext_noop("Daily %(time)s"), {"time": when})
        return Sentence(
            gettext_noop("Every %(count)d days %(time)s"),
            {"count": days.every, "time": when},
        )
    if isinstance(days, Weekdays):
        names = _names(days.days, WEEKDAYS)
        if days.every == 1:
            return Sentence(gettext_noop("%(days)s %(time)s"), {"days": names, "time": when})
        return Sentence(
            gettext_noop("%(days)s %(time)s, every %(count)d weeks"),
            {"days": names, "time": when, "count": days.every},
        )
    return _describe_month(days, when)


def describe_validity(valid: Dates | Iterations) -> Sentence | None:
    """Return a validity as a sentence, or None for a permanent one."""
    if isinstance(valid, Iterations):
        if valid.start is None:
            return Sentence(gettext_noop("%(count)d times at most"), {"count": valid.most})
        return Sentence(
            gettext_noop("%(count)d times at most, from %(date)s %(time)s"),
            {"count": valid.most, "date": valid.start.date(), "time": valid.start.time()},
        )
    if valid.first and valid.last:
        return Sentence(
            gettext_noop("from %(first)s to %(last)s"), {"first": valid.first, "last": valid.last}
        )
    if valid.first:
        return Sentence(gettext_noop("from %(first)s"), {"first": valid.first})
    if valid.last:
        return Sentence(gettext_noop("until %(last)s"), {"last": valid.last})
    return None


def _describe_interval(times: Interval, days: EveryDays | Weekdays | MonthDays | OneDay) -> Sentence:
    # No further tick would fit before or after the window, so that the day is full of them.
    whole_day = times.start < times.every and times.end <= DAY < times.end + times.every
    if times.every == 3600 and whole_day and times.start % 60 == 0:
        if times.start == 0:
            sentence = Sentence(gettext_noop("Hourly"), {})
        else:
            sentence = Sentence(gettext_noop("Hourly at :%(minute)02d"), {"minute": times.start // 60})
    else:
        sentence = _describe_length(times.every)
        if not whole_day or times.start:
            sentence = Sentence(
                gettext_noop("%(interval)s from %(from)s to %(to)s"),
                {"interval": sentence, "from": offset_text(times.start), "to": offset_text(times.end)},
            )
    if isinstance(days, Weekdays):
        return Sentence(
            gettext_noop("%(days)s: %(interval)s"),
            {"days": _names(days.days, WEEKDAYS), "interval": sentence},
        )
    return sentence


def _describe_length(seconds: int) -> Sentence:
    if seconds % 3600 == 0:
        return Sentence(gettext_noop("Every %(count)d h"), {"count": seconds // 3600})
    if seconds % 60 == 0:
        return Sentence(gettext_noop("Every %(count)d min"), {"count": seconds // 60})
    return Sentence(gettext_noop("Every %(count)d s"), {"count": seconds})


def _describe_month(days: MonthDays, when: object) -> Sentence:
    if days.ordinal is not None:
        msgids = (
            gettext_noop("First %(weekday)s"),
            gettext_noop("Second %(weekday)s"),
            gettext_noop("Third %(weekday)s"),
            gettext_noop("Fourth %(weekday)s"),
            gettext_noop("Last %(weekday)s"),
        )
        which: object = Sentence(msgids[days.ordinal], {"weekday": WEEKDAYS[days.weekdays[0]]})
    elif days.day == -1:
        which = Sentence(gettext_noop("Last day"), {})
    elif days.day is not None:
        # A language without such endings uses %(day)d.
        which = Sentence(
            gettext_noop("%(ordinal)s"), {"ordinal": _english_ordinal(days.day), "day": days.day}
        )
    elif days.weekdays:
        which = _names(days.weekdays, WEEKDAYS)
    else:
        which = Sentence(gettext_noop("Every day"), {})
    if days.months == ALL_MONTHS:
        return Sentence(gettext_noop("%(which)s of the month %(time)s"), {"which": which, "time": when})
    return Sentence(
        gettext_noop("%(which)s of %(months)s %(time)s"),
        {"which": which, "months": _names(days.months, MONTHS), "time": when},
    )


def _english_ordinal(day: int) -> str:
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _names(numbers: Sequence[int], names: Mapping[int, object]) -> Names:
    return Names(tuple(names[number] for number in numbers))


def _shown(value: object) -> object:
    if isinstance(value, Names):
        return ", ".join(str(name) for name in value.names)
    if isinstance(value, time):
        return clock_text(value)
    if isinstance(value, date):
        return date_format(value, "DATE_FORMAT")
    return value if isinstance(value, int) else str(value)
