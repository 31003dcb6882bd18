"""Schedules against the examples of the specification and against a minute-by-minute model."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from envoi.engine.schedule import (
    Dates,
    EveryDays,
    Interval,
    Iterations,
    MonthDays,
    OneDay,
    Schedule,
    Times,
    Weekdays,
)
from envoi.kernel.errors import Invalid

PARIS = ZoneInfo("Europe/Paris")
# The day of each change of the clocks, among them changes by half an hour and changes around midnight.
CHANGES = [
    ("Europe/Paris", date(2026, 3, 29)),
    ("Europe/Paris", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Havana", date(2026, 3, 8)),
    ("America/Havana", date(2026, 11, 1)),
    ("America/St_Johns", date(2010, 3, 14)),
    ("America/St_Johns", date(2010, 11, 7)),
]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def launches(stored: dict, start: datetime, n: int, tz=UTC) -> list[str]:
    """Return the next launches in the schedule's own zone."""
    found = Schedule.from_json(stored).upcoming(start, tz, n)
    return [moment.astimezone(tz).strftime("%Y-%m-%d %H:%M") for moment in found]


@pytest.mark.case("E5")
def test_times_of_chosen_weekdays_between_two_dates_included():
    stored = {
        "frequency": "several",
        "times": ["00:00", "05:00", "09:00"],
        "weekdays": ["tue", "thu"],
        "validity": {"from": "2017-01-18", "to": "2017-01-31"},
    }
    found = launches(stored, utc(2017, 1, 1), 100)
    assert found[:4] == ["2017-01-19 00:00", "2017-01-19 05:00", "2017-01-19 09:00", "2017-01-24 00:00"]
    assert found[-1] == "2017-01-31 09:00"
    assert len(found) == 4 * 3
    assert Schedule.from_json(stored).next_after(utc(2017, 1, 31, 9), UTC) is None


@pytest.mark.case("E6")
def test_monthly_forms():
    twentieth = {"frequency": "monthly", "at": "06:00", "day": 20, "months": [3, 6, 9, 12]}
    assert launches(twentieth, utc(2027, 4, 1), 5) == [
        "2027-06-20 06:00",
        "2027-09-20 06:00",
        "2027-12-20 06:00",
        "2028-03-20 06:00",
        "2028-06-20 06:00",
    ]
    last = {"frequency": "monthly", "at": "06:00", "day": "last"}
    assert launches(last, utc(2028, 1, 1), 4) == [
        "2028-01-31 06:00",
        "2028-02-29 06:00",
        "2028-03-31 06:00",
        "2028-04-30 06:00",
    ]
    monday = {"frequency": "monthly", "at": "06:00", "ordinal": "first", "weekday": "mon"}
    assert launches(monday, utc(2028, 1, 1), 3) == [
        "2028-01-03 06:00",
        "2028-02-07 06:00",
        "2028-03-06 06:00",
    ]
    assert launches({**monday, "ordinal": "last"}, utc(2028, 1, 1), 2) == [
        "2028-01-31 06:00",
        "2028-02-28 06:00",
    ]
    leap = {"frequency": "monthly", "at": "06:00", "day": 29, "months": [2]}
    assert launches(leap, utc(2095, 1, 1), 2) == ["2096-02-29 06:00", "2104-02-29 06:00"]
    weekdays = {"frequency": "monthly", "at": "06:00", "weekdays": ["mon", "fri"], "months": [2]}
    assert launches(weekdays, utc(2027, 2, 20), 4) == [
        "2027-02-22 06:00",
        "2027-02-26 06:00",
        "2028-02-04 06:00",
        "2028-02-07 06:00",
    ]
    every_day = {"frequency": "monthly", "at": "06:00", "day": "every", "months": [2]}
    assert len(launches({**every_day, "validity": {"to": "2028-12-31"}}, utc(2028, 1, 1), 100)) == 29
    thirty_first = {"frequency": "monthly", "at": "06:00", "day": 31}
    assert launches(thirty_first, utc(2027, 1, 31, 6), 2) == ["2027-03-31 06:00", "2027-05-31 06:00"]


@pytest.mark.case("E7")
def test_every_quarter_of_an_hour_inside_a_window():
    stored = {"frequency": "several", "every_seconds": 900, "from": "08:00", "to": "09:00"}
    assert launches(stored, utc(2026, 11, 24), 6, PARIS) == [
        "2026-11-24 08:00",
        "2026-11-24 08:15",
        "2026-11-24 08:30",
        "2026-11-24 08:45",
        "2026-11-24 09:00",
        "2026-11-25 08:00",
    ]


def test_window_across_midnight_belongs_to_the_day_on_which_it_opens():
    stored = {
        "frequency": "several",
        "every_seconds": 7200,
        "from": "22:00",
        "to": "02:00",
        "weekdays": ["fri"],
    }
    assert launches(stored, utc(2026, 11, 27, 23), 3) == [
        "2026-11-28 00:00",
        "2026-11-28 02:00",
        "2026-12-04 22:00",
    ]


def test_six_hourly_window_that_ends_at_midnight():
    stored = {"frequency": "several", "every_seconds": 21600, "from": "01:00", "to": "00:00"}
    assert [text[-5:] for text in launches(stored, utc(2026, 11, 24), 5)] == [
        "01:00",
        "07:00",
        "13:00",
        "19:00",
        "01:00",
    ]


def test_daily_and_weekly_counts_begin_at_their_date():
    daily = {"frequency": "daily", "at": "04:00", "every_days": 3, "since": "2026-11-24"}
    assert launches(daily, utc(2026, 1, 1), 2) == ["2026-11-24 04:00", "2026-11-27 04:00"]
    assert launches(daily, utc(2026, 11, 28), 1) == ["2026-11-30 04:00"]
    weekly = {
        "frequency": "weekly",
        "at": "05:00",
        "weekdays": ["mon"],
        "every_weeks": 2,
        "since": "2026-11-24",
    }
    assert launches(weekly, utc(2026, 1, 1), 2) == ["2026-12-07 05:00", "2026-12-21 05:00"]


def test_limited_number_of_firings_from_a_moment():
    stored = {"frequency": "daily", "at": "04:00", "validity": {"max": 3, "from": "2026-11-24T04:00"}}
    schedule = Schedule.from_json(stored)
    assert schedule.upcoming(utc(2026, 11, 1), UTC, 10) == [utc(2026, 11, day, 4) for day in (24, 25, 26)]
    assert schedule.next_after(utc(2026, 11, 25), UTC, fired=2) == utc(2026, 11, 25, 4)
    assert schedule.next_after(utc(2026, 11, 25), UTC, fired=3) is None


def test_once():
    schedule = Schedule.from_json({"frequency": "once", "at": "2026-11-24T09:00"})
    assert schedule.next_after(utc(2026, 1, 1), PARIS) == utc(2026, 11, 24, 8)
    assert schedule.next_after(utc(2026, 11, 24, 8), PARIS) is None


def test_missing_hour_fires_at_its_end_and_repeated_hour_once():
    schedule = Schedule.from_json({"frequency": "daily", "at": "02:30"})
    assert schedule.next_after(utc(2026, 3, 28, 12), PARIS) == utc(2026, 3, 29, 1)  # 03:00 summer time
    assert schedule.upcoming(utc(2026, 10, 24, 12), PARIS, 2) == [
        utc(2026, 10, 25, 0, 30),
        utc(2026, 10, 26, 1, 30),
    ]


def test_interval_keeps_ticking_through_the_repeated_hour():
    hourly = Schedule.from_json({"frequency": "several", "every_seconds": 3600, "from": "00:40"})
    found = hourly.upcoming(utc(2026, 10, 24, 22), PARIS, 6)
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        ({"frequency": "daily", "at": "04:00"}, "Daily 04:00"),
        ({"frequency": "several", "every_seconds": 900}, "Every 15 min"),
        ({"frequency": "several", "every_seconds": 3600}, "Hourly"),
        ({"frequency": "several", "every_seconds": 3600, "from": "00:40"}, "Hourly at :40"),
        (
            {"frequency": "several", "every_seconds": 21600, "from": "01:00", "to": "24:00"},
            "Every 6 h from 01:00 to 24:00",
        ),
        (
            {
                "frequency": "several",
                "every_seconds": 900,
                "from": "08:00",
                "to": "09:00",
                "weekdays": ["mon", "fri"],
            },
            "Monday, Friday: Every 15 min from 08:00 to 09:00",
        ),
        ({"frequency": "several", "times": ["09:00", "05:00"]}, "Daily 05:00, 09:00"),
        ({"frequency": "weekly", "at": "05:00", "weekdays": ["mon"]}, "Monday 05:00"),
        (
            {
                "frequency": "weekly",
                "at": "05:00",
                "weekdays": ["mon"],
                "every_weeks": 2,
                "since": "2026-11-23",
            },
            "Monday 05:00, every 2 weeks",
        ),
        ({"frequency": "daily", "at": "05:00", "every_days": 2, "since": "2026-11-23"}, "Every 2 days 05:00"),
        ({"frequency": "monthly", "at": "00:01", "day": 25}, "25th of the month 00:01"),
        ({"frequency": "monthly", "at": "00:01", "day": 1, "months": [3, 6]}, "1st of March, June 00:01"),
        ({"frequency": "monthly", "at": "00:01", "day": "last"}, "Last day of the month 00:01"),
        (
            {"frequency": "monthly", "at": "00:01", "ordinal": "first", "weekday": "mon"},
            "First Monday of the month 00:01",
        ),
        ({"frequency": "once", "at": "2026-11-24T09:00"}, "Once, Nov. 24, 2026 09:00"),
    ],
)
def test_sentences(stored, sentence):
    with translation.override("en"):
        assert str(Schedule.from_json(stored).describe()) == sentence


def test_sentence_of_the_validity():
    with translation.override("en"):
        assert str(Schedule(validity=Dates(date(2017, 1, 18), date(2017, 1, 31))).describe_validity()) == (
            "from Jan. 18, 2017 to Jan. 31, 2017"
        )
        assert str(Schedule(validity=Iterations(3)).describe_validity()) == "3 times at most"
    assert Schedule().describe_validity() is None


@pytest.mark.parametrize(
    ("stored", "key"),
    [
        ({"frequency": "hourly"}, "schedule.frequency"),
        ({"frequency": "daily"}, "schedule.at"),
        ({"frequency": "daily", "at": "25:00"}, "schedule.at"),
        ({"frequency": "daily", "at": "04:00+01:00"}, "schedule.at"),
        ({"frequency": "daily", "at": "04:00", "every_days": 2}, "schedule.since"),
        ({"frequency": "daily", "at": "04:00", "every_days": True}, "schedule.every_days"),
        ({"frequency": "daily", "at": "04:00", "evry_days": 2}, "schedule.evry_days"),
        ({"frequency": "weekly", "at": "04:00"}, "schedule.weekdays"),
        ({"frequency": "weekly", "at": "04:00", "weekdays": ["monday"]}, "schedule.weekdays"),
        ({"frequency": "several"}, "schedule.times"),
        ({"frequency": "several", "times": ["08:00"], "every_seconds": 60}, "schedule.times"),
        ({"frequency": "several", "every_seconds": 0}, "schedule.every_seconds"),
        ({"frequency": "several", "every_seconds": 60, "from": "08:00", "to": "08:00"}, "schedule.to"),
        ({"frequency": "monthly", "at": "04:00"}, "schedule.day"),
        ({"frequency": "monthly", "at": "04:00", "day": 1, "weekdays": ["mon"]}, "schedule.day"),
        ({"frequency": "monthly", "at": "04:00", "day": 30, "months": [2]}, "schedule.day"),
        ({"frequency": "monthly", "at": "04:00", "day": 1, "months": [13]}, "schedule.months"),
        ({"frequency": "monthly", "at": "04:00", "ordinal": "fifth", "weekday": "mon"}, "schedule.ordinal"),
        ({"frequency": "once", "at": "tomorrow"}, "schedule.at"),
        ({"frequency": "daily", "at": "04:00", "validity": {"max": 0}}, "schedule.validity.max"),
        (
            {"frequency": "daily", "at": "04:00", "validity": {"from": "2026-02-02", "to": "2026-02-01"}},
            "schedule.validity.to",
        ),
        ({"frequency": "daily", "at": "04:00", "validity": {"until": 1}}, "schedule.validity.until"),
        ("daily", "schedule"),
    ],
)
def test_refusals_name_the_key(stored, key):
    with pytest.raises(Invalid, match=rf"^{key} "):
        Schedule.from_json(stored)


# A model that knows nothing of the search: it walks through the minutes and looks at the wall clock.


def day_matches(rule, day: date) -> bool:
    match rule:
        case OneDay(only):
            return day == only
        case EveryDays(every, since):
            return since is None or (day >= since and (day - since).days % every == 0)
        case Weekdays(days, every, since):
            weeks = 0
            if since is not None:
                monday = since - timedelta(days=since.weekday())
                weeks = (day - monday).days // 7
            return day.weekday() in days and weeks % every == 0 and (since is None or day >= since)
        case MonthDays(months, number, ordinal, weekdays):
            if day.month not in months:
                return False
            length = monthrange(day.year, day.month)[1]
            if number is not None:
                return day.day == (length if number == -1 else number)
            if ordinal == 4:
                return day.weekday() in weekdays and day.day + 7 > length
            if ordinal is not None:
                return day.weekday() in weekdays and (day.day - 1) // 7 == ordinal
            return not weekdays or day.weekday() in weekdays
    raise AssertionError(rule)


def wall_matches(schedule: Schedule, wall: datetime) -> bool:
    """Whether the schedule names this local time, on its own day or in a window of the day before."""
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        offset = (wall - datetime.combine(day, time())).total_seconds()
        if isinstance(schedule.times, Times):
            named = not back and wall.time() in schedule.times.at
        else:
            window = schedule.times
            named = window.start <= offset <= window.end and (offset - window.start) % window.every == 0
            named = named and not (window.end == 86400 and offset == 86400)
        valid = schedule.validity
        if named and isinstance(valid, Dates):
            named = (valid.first is None or day >= valid.first) and (valid.last is None or day <= valid.last)
        if named and day_matches(schedule.days, day):
            return True
    return False


def minutes_of(schedule: Schedule, start: datetime, end: datetime, tz: ZoneInfo) -> list[datetime]:
    found = []
    minute = start
    before = (start - timedelta(minutes=1)).astimezone(tz).replace(tzinfo=None)
    while (minute := minute + timedelta(minutes=1)) <= end:
        local = minute.astimezone(tz)
        wall = local.replace(tzinfo=None, fold=0)
        skipped = before + timedelta(minutes=1)
        fires = wall_matches(schedule, wall)
        if local.fold:
            repeated = (local.replace(fold=0).utcoffset() - local.utcoffset()).total_seconds()
            fires = fires and isinstance(schedule.times, Interval) and repeated % schedule.times.every == 0
        while skipped < wall and minute > start + timedelta(minutes=1):
            fires = fires or wall_matches(schedule, skipped)
            skipped += timedelta(minutes=1)
        if fires:
            found.append(minute)
        before = wall
    valid = schedule.validity
    if isinstance(valid, Iterations):
        if valid.start is not None:
            # The start used by the strategy below is never in a gap.
            found = [each for each in found if each >= valid.start.replace(tzinfo=tz).astimezone(UTC)]
        found = found[: valid.most]
    return found


weekdays = st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days)))
months = st.one_of(
    st.just(tuple(range(1, 13))),
    st.sets(st.integers(1, 12), min_size=1).map(lambda each: tuple(sorted(each))),
)
clock_times = st.one_of(
    st.times().map(lambda each: each.replace(second=0, microsecond=0)),
    # Close to where the clocks change.
    st.builds(time, st.sampled_from([23, 0, 1, 2, 3]), st.sampled_from([0, 1, 15, 30, 59])),
)


@st.composite
def rules(draw, near: date):
    since = st.dates(near - timedelta(days=40), near + timedelta(days=2))
    form = draw(st.sampled_from(["daily", "weekly", "monthly", "once"]))
    if form == "daily":
        every = draw(st.integers(1, 5))
        return EveryDays(every, draw(since) if every > 1 else draw(st.none() | since))
    if form == "weekly":
        every = draw(st.integers(1, 3))
        return Weekdays(draw(weekdays), every, draw(since) if every > 1 else draw(st.none() | since))
    if form == "once":
        return OneDay(draw(st.dates(near - timedelta(days=1), near + timedelta(days=1))))
    chosen = draw(st.one_of(st.just((near.month,)), months))
    which = draw(st.sampled_from(["day", "last", "ordinal", "weekdays", "all"]))
    if which == "day":
        return MonthDays(chosen, day=draw(st.integers(1, 28)))
    if which == "last":
        return MonthDays(chosen, day=-1)
    if which == "ordinal":
        return MonthDays(chosen, ordinal=draw(st.integers(0, 4)), weekdays=(draw(st.integers(0, 6)),))
    return MonthDays(chosen, weekdays=draw(weekdays) if which == "weekdays" else ())


@st.composite
def intervals(draw):
    every = draw(st.sampled_from([1, 5, 7, 15, 20, 30, 40, 60, 90, 120, 360])) * 60
    start = draw(clock_times)
    end = draw(clock_times)
    begins = start.hour * 3600 + start.minute * 60
    ends = end.hour * 3600 + end.minute * 60 or 86400
    if ends == begins:
        return Interval(every)
    return Interval(every, begins, ends if ends > begins else ends + 86400)


@st.composite
def cases(draw):
    zone, near = draw(st.sampled_from(CHANGES))
    days = draw(rules(near))
    times = st.sets(clock_times, min_size=1, max_size=4).map(lambda each: Times(tuple(sorted(each))))
    if isinstance(days, OneDay):
        return zone, near, Schedule(days, Times((draw(clock_times),)))
    several = isinstance(days, EveryDays | Weekdays) and days.every == 1 and days.since is None
    taken = draw(st.one_of(times, intervals())) if several else Times((draw(clock_times),))
    close = st.none() | st.dates(near - timedelta(days=1), near + timedelta(days=1))
    first, last = draw(close), draw(close)
    if first and last and last < first:
        first, last = last, first
    noon = st.none() | st.just(datetime.combine(near - timedelta(days=1), time(12)))
    validity = draw(st.one_of(st.just(Dates(first, last)), st.builds(Iterations, st.integers(1, 9), noon)))
    return zone, near, Schedule(days, taken, validity)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_agrees_with_a_walk_through_the_minutes(case):
    zone, near, schedule = case
    tz = ZoneInfo(zone)
    start = datetime.combine(near - timedelta(days=2), time(12), tzinfo=UTC)
    end = start + timedelta(days=4)
    found, moment = [], start
    while (moment := schedule.next_after(moment, tz, fired=len(found))) is not None and moment <= end:
        found.append(moment)
    assert found == minutes_of(schedule, start, end, tz)


@settings(max_examples=300, deadline=None)
@given(cases())
def test_stored_form_gives_an_equal_schedule_back(case):
    _, _, schedule = case
    assert Schedule.from_json(schedule.to_json()) == schedule
