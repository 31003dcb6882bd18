"""The stored form of a schedule: JSON in, JSON out (described in the package's docstring)."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import cast

from envoi.engine.schedule.rules import (
    ALL_MONTHS,
    DAY,
    DAY_NAMES,
    ORDINALS,
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
    seconds_of,
    time_of,
)
from envoi.kernel.errors import Invalid

Days = EveryDays | Weekdays | MonthDays | OneDay
Parts = tuple[Days, Times | Interval, Dates | Iterations]


def read(value: object, place: str) -> Parts:
    """Return days, times and validity of a stored schedule. Raises Invalid, naming the key below `place`."""
    return _Reader(_mapping(value, place), place).parts()


def _mapping(value: object, place: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{place} must be an object with a frequency, not {value!r}.")
    return cast("Mapping[str, object]", value)


class _Reader:
    """Reads one JSON object key by key and refuses what is left over."""

    def __init__(self, values: Mapping[str, object], place: str) -> None:
        self._values = dict(values)
        self._known: list[str] = []
        self._place = place

    def parts(self) -> Parts:
        frequency = self._choice("frequency", ("several", "daily", "weekly", "monthly", "once"))
        if frequency == "once":
            at = self._moment("at")
            if at is None:
                raise self._refused("at", "is missing: a date and time such as 2026-11-24T09:00")
            found: Parts = (OneDay(at.date()), Times((at.time(),)), Dates())
        else:
            read = {
                "several": self._several,
                "daily": self._daily,
                "weekly": self._weekly,
                "monthly": self._monthly,
            }[frequency]
            days, times = read()
            found = (days, times, self._validity())
        self._finish()
        return found

    def _several(self) -> tuple[EveryDays | Weekdays, Times | Interval]:
        weekdays = self._weekdays()
        days = Weekdays(weekdays) if weekdays else EveryDays()
        listed, every = self._values.get("times"), self._whole("every_seconds", None, most=DAY)
        self._known += ["times"]
        if (listed is None) == (every is None):
            raise self._refused("times", "or every_seconds must be given, and not both")
        if every is None:
            if not isinstance(listed, list) or not listed:
                raise self._refused("times", f"must be a list of times such as 08:30, not {listed!r}")
            times = [self._as_time("times", each) for each in cast("list[object]", listed)]
            return days, Times(tuple(sorted(set(times))))
        start = seconds_of(self._time_of("from", time()))
        ends = self._values.get("to", "24:00")
        self._known += ["to"]
        end = DAY if ends == "24:00" else seconds_of(self._as_time("to", ends)) or DAY
        if end == start:
            raise self._refused("to", "must differ from its beginning; leave both out for the whole day")
        return days, Interval(every, start, end if end > start else end + DAY)

    def _daily(self) -> tuple[EveryDays | Weekdays, Times]:
        times = Times((self._time_of("at"),))
        if weekdays := self._weekdays():
            return Weekdays(weekdays), times
        every = self._whole("every_days", 1, most=3660)
        return EveryDays(every or 1, self._since(every)), times

    def _weekly(self) -> tuple[Weekdays, Times]:
        weekdays = self._weekdays()
        if not weekdays:
            raise self._refused("weekdays", f"must name at least one of {', '.join(DAY_NAMES)}")
        every = self._whole("every_weeks", 1, most=520)
        return Weekdays(weekdays, every or 1, self._since(every)), Times((self._time_of("at"),))

    def _monthly(self) -> tuple[MonthDays, Times]:
        times = Times((self._time_of("at"),))
        months = self._months()
        given = [key for key in ("day", "ordinal", "weekdays") if key in self._values]
        if len(given) != 1:
            raise self._refused(
                "day", "or ordinal with weekday, or weekdays must be given, and only one of them"
            )
        if given == ["ordinal"]:
            ordinal = ORDINALS.index(self._choice("ordinal", ORDINALS))
            weekday = DAY_NAMES.index(self._choice("weekday", DAY_NAMES))
            return MonthDays(months, ordinal=ordinal, weekdays=(weekday,)), times
        if given == ["weekdays"]:
            return MonthDays(months, weekdays=self._weekdays()), times
        day = self._values["day"]
        self._known += ["day"]
        if day == "every":
            return MonthDays(months), times
        if day == "last":
            return MonthDays(months, day=-1), times
        number = self._whole("day", None, most=31)
        if number is not None and all(number > monthrange(2024, month)[1] for month in months):
            raise self._refused("day", f"{number} does not exist in any of the chosen months")
        return MonthDays(months, day=number), times

    def _validity(self) -> Dates | Iterations:
        self._known += ["validity"]
        given = self._values.get("validity")
        if given is None:
            return Dates()
        inner = _Reader(_mapping(given, f"{self._place}.validity"), f"{self._place}.validity")
        most = inner._whole("max", None, most=10**9)
        if most is not None:
            found: Dates | Iterations = Iterations(most, inner._moment("from"))
        else:
            found = Dates(inner._date("from"), inner._date("to"))
            if found.first and found.last and found.last < found.first:
                raise inner._refused("to", f"({found.last}) is before its beginning ({found.first})")
        inner._finish()
        return found

    def _since(self, every: int | None) -> date | None:
        since = self._date("since")
        if since is None and every != 1:
            raise self._refused("since", "is missing: the date from which to count")
        return since

    def _weekdays(self) -> tuple[int, ...]:
        self._known += ["weekdays"]
        given = self._values.get("weekdays")
        if given is None:
            return ()
        names = cast("list[object]", given) if isinstance(given, list) else []
        if not names or any(name not in DAY_NAMES for name in names):
            raise self._refused("weekdays", f"must be a list out of {', '.join(DAY_NAMES)}, not {given!r}")
        return tuple(sorted({DAY_NAMES.index(str(name)) for name in names}))

    def _months(self) -> tuple[int, ...]:
        self._known += ["months"]
        given = self._values.get("months")
        if given is None:
            return ALL_MONTHS
        months = cast("list[object]", given) if isinstance(given, list) else []
        if not months or any(type(each) is not int or each not in ALL_MONTHS for each in months):
            raise self._refused("months", f"must be a list of numbers from 1 to 12, not {given!r}")
        return tuple(sorted({each for each in months if isinstance(each, int)}))

    def _choice(self, key: str, choices: Sequence[str]) -> str:
        self._known += [key]
        value = self._values.get(key)
        if not isinstance(value, str) or value not in choices:
            raise self._refused(key, f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    def _whole(self, key: str, default: int | None, *, most: int) -> int | None:
        self._known += [key]
        value = self._values.get(key, default)
        if value is None:
            return None
        if type(value) is not int or not 1 <= value <= most:
            raise self._refused(key, f"must be a whole number from 1 to {most}, not {value!r}")
        return value

    def _time_of(self, key: str, default: time | None = None) -> time:
        self._known += [key]
        if default is not None and key not in self._values:
            return default
        return self._as_time(key, self._values.get(key))

    def _as_time(self, key: str, value: object) -> time:
        try:
            found = time.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is not None or found.microsecond:
            raise self._refused(key, f"must be a time of day such as 08:30, not {value!r}")
        return found

    def _date(self, key: str) -> date | None:
        self._known += [key]
        value = self._values.get(key)
        if value is None:
            return None
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise self._refused(key, f"must be a date such as 2026-11-24, not {value!r}") from None

    def _moment(self, key: str) -> datetime | None:
        self._known += [key]
        value = self._values.get(key)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            found = None
        if found is None or found.tzinfo is not None or found.microsecond:
            raise self._refused(
                key, f"must be a local date and time such as 2026-11-24T09:00, without a zone, not {value!r}"
            )
        return found

    def _finish(self) -> None:
        for key in self._values:
            if key not in self._known:
                raise self._refused(
                    key, f"is not known here; known are {', '.join(sorted(set(self._known)))}"
                )

    def _refused(self, key: str, problem: str) -> Invalid:
        return Invalid(f"{self._place}.{key} {problem}.")


def write(days: Days, times: Times | Interval, validity: Dates | Iterations) -> dict[str, object]:
    """Return the stored form of a schedule's parts."""
    if isinstance(days, OneDay) and isinstance(times, Times):
        return {"frequency": "once", "at": datetime.combine(days.day, times.at[0]).isoformat()}
    written: dict[str, object] = {}
    if isinstance(times, Interval):
        written = {
            "frequency": "several",
            "every_seconds": times.every,
            "from": clock_text(time_of(times.start)),
            "to": offset_text(times.end),
        }
    else:
        first, *others = (clock_text(each) for each in times.at)
        if others:
            written = {"frequency": "several", "times": [first, *others]}
        elif isinstance(days, MonthDays):
            written = {"frequency": "monthly", "at": first}
        else:
            written = {"frequency": "weekly" if isinstance(days, Weekdays) else "daily", "at": first}
    if isinstance(days, MonthDays):
        written |= _write_month(days)
    elif isinstance(days, Weekdays):
        written["weekdays"] = [DAY_NAMES[day] for day in days.days]
    if isinstance(days, (EveryDays, Weekdays)):
        if days.every != 1:
            written["every_days" if isinstance(days, EveryDays) else "every_weeks"] = days.every
        if days.since is not None:
            written["since"] = days.since.isoformat()
    if limits := _write_validity(validity):
        written["validity"] = limits
    return written


def _write_month(days: MonthDays) -> dict[str, object]:
    written: dict[str, object] = {} if days.months == ALL_MONTHS else {"months": list(days.months)}
    if days.ordinal is not None:
        return written | {"ordinal": ORDINALS[days.ordinal], "weekday": DAY_NAMES[days.weekdays[0]]}
    if days.weekdays:
        return written | {"weekdays": [DAY_NAMES[day] for day in days.weekdays]}
    return written | {"day": {None: "every", -1: "last"}.get(days.day, days.day)}


def _write_validity(validity: Dates | Iterations) -> dict[str, object]:
    if isinstance(validity, Iterations):
        written: dict[str, object] = {"max": validity.most}
        return written | ({"from": validity.start.isoformat()} if validity.start else {})
    bounds = {"from": validity.first, "to": validity.last}
    return {key: day.isoformat() for key, day in bounds.items() if day}
