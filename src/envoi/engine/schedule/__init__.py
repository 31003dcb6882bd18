"""When a scheduler fires: every form of engine.md §7.1, as one frozen value.

A schedule is a rule for days, the times of those days, and how long it is valid. Days and times are read in a
zone given by the caller (the activity's), results are in UTC. Around a change of the clocks

- a local time that does not exist fires at the first moment that does exist after it;
- a local time that exists twice fires the first time only. An interval ("every 15 min") goes on ticking in
  the repeated hour when it divides it, since "every 15 min" that pauses for an hour would not be true.

Whether a missed date is caught up is the engine's business, not decided here.

The stored form is a JSON object:

    {"frequency": "several", "times": ["00:00", "05:00"], "weekdays": ["tue", "thu"]}
    {"frequency": "several", "every_seconds": 900, "from": "08:00", "to": "09:00"}
    {"frequency": "daily", "at": "04:00", "every_days": 2, "since": "2026-11-24"}
    {"frequency": "weekly", "at": "05:00", "weekdays": ["mon"], "every_weeks": 2, "since": "2026-11-24"}
    {"frequency": "monthly", "at": "00:01", "day": 25, "months": [3, 6]}        also "day": "every" or "last"
    {"frequency": "monthly", "at": "06:00", "ordinal": "first", "weekday": "mon"}
    {"frequency": "monthly", "at": "06:00", "weekdays": ["mon", "fri"]}
    {"frequency": "once", "at": "2026-11-24T09:00"}

with, for all but `once`, `"validity": {"from": DATE, "to": DATE}` (both included, either may be left out) or
`"validity": {"max": 3, "from": DATE-AND-TIME}`.
"""

from envoi.engine.schedule.rules import (
    Dates,
    EveryDays,
    Interval,
    Iterations,
    MonthDays,
    OneDay,
    Times,
    Weekdays,
)
from envoi.engine.schedule.sentences import Sentence
from envoi.engine.schedule.value import Schedule

__all__ = [
    "Dates",
    "EveryDays",
    "Interval",
    "Iterations",
    "MonthDays",
    "OneDay",
    "Schedule",
    "Sentence",
    "Times",
    "Weekdays",
]
