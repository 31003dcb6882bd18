"""The schedule itself, and the search for its next date."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo

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
from envoi.engine.schedule.sentences import Sentence, describe, describe_validity
from envoi.engine.schedule.stored import read, write

_FAR = date.max - timedelta(days=400)


@dataclass(frozen=True)
class Schedule:
    """When something is to happen. Without `validity` it never ends."""

    days: EveryDays | Weekdays | MonthDays | OneDay = field(default_factory=EveryDays)
    times: Times | Interval = field(default_factory=lambda: Times((time(),)))
    validity: Dates | Iterations = field(default_factory=Dates)

    def next_after(self, moment: datetime, tz: tzinfo, *, fired: int = 0) -> datetime | None:
        """Return the first date strictly after `moment`, in UTC, or None when there is none any more.

        `tz` is the zone in which the schedule is read; `fired` how often it has fired, for a limited number.
        """
        after = moment.astimezone(UTC)
        first, last = None, _FAR
        if isinstance(self.validity, Iterations):
            if fired >= self.validity.most:
                return None
            if self.validity.start is not None:
                after = max(after, _to_utc(self.validity.start, tz) - timedelta(microseconds=1))
        else:
            first, last = self.validity.first, self.validity.last or _FAR
        # Yesterday's window may still be open.
        earliest = after.astimezone(tz).date() - timedelta(days=1)
        return self._search(after, tz, earliest if first is None else max(earliest, first), last)

    def upcoming(self, moment: datetime, tz: tzinfo, n: int, *, fired: int = 0) -> list[datetime]:
        """Return the next `n` dates after `moment`, in UTC; fewer when the schedule ends before."""
        found: list[datetime] = []
        while len(found) < n:
            following = self.next_after(moment, tz, fired=fired + len(found))
            if following is None:
                break
            found.append(following)
            moment = following
        return found

    def describe(self) -> Sentence:
        """Return a short sentence for lists: "Daily 04:00", "Every 15 min", "25th of the month 00:01"."""
        return describe(self.days, self.times)

    def describe_validity(self) -> Sentence | None:
        """Return how long the schedule is valid, as a sentence of its own; None for a permanent one."""
        return describe_validity(self.validity)

    @staticmethod
    def from_json(value: object, *, place: str = "schedule") -> "Schedule":
        """Read the stored form (see the package). Raises Invalid, naming the key below `place`."""
        return Schedule(*read(value, place))

    def to_json(self) -> dict[str, object]:
        """Return the stored form; `from_json` gives an equal schedule back."""
        return write(self.days, self.times, self.validity)

    def _search(self, after: datetime, tz: tzinfo, day: date, last: date) -> datetime | None:
        offsets = self.times.offsets
        best: datetime | None = None
        while (candidate := self.days.on_or_after(day)) is not None and candidate <= last:
            midnight = datetime.combine(candidate, time())
            # When an hour around midnight is repeated, the next day's first ticks lie before this day's last.
            if best is not None and _to_utc(midnight, tz) >= best:
                break
            for found in self._of_day(midnight, offsets, after, tz):
                best = found if best is None else min(best, found)
            day = candidate + timedelta(days=1)
        return best

    def _of_day(
        self, midnight: datetime, offsets: Sequence[int], after: datetime, tz: tzinfo
    ) -> Iterator[datetime]:
        def first_pass(offset: int) -> datetime:
            return _to_utc(midnight + timedelta(seconds=offset), tz)

        index = bisect_right(offsets, after, key=first_pass)
        if index < len(offsets):
            yield first_pass(offsets[index])
        if not isinstance(self.times, Interval):
            return

        def second_pass(offset: int) -> datetime:
            return _to_utc(midnight + timedelta(seconds=offset), tz, fold=1)

        index = bisect_right(offsets, after, key=second_pass)
        if index < len(offsets):
            again = second_pass(offsets[index])
            repeated = (again - first_pass(offsets[index])).total_seconds()
            if repeated and repeated % self.times.every == 0:
                yield again


def _to_utc(local: datetime, tz: tzinfo, *, fold: int = 0) -> datetime:
    """Return the moment of a naive local time; in a gap the moment at which the gap ends."""
    aware = local.replace(tzinfo=tz, fold=fold)
    moment = aware.astimezone(UTC)
    if moment.astimezone(tz).replace(tzinfo=None, fold=0) == local:
        return moment
    # In a gap fold 0 counts with the offset before it and fold 1 with the one after: they enclose its end.
    latest = local.replace(tzinfo=tz, fold=0).astimezone(UTC)
    earliest = local.replace(tzinfo=tz, fold=1).astimezone(UTC)
    before = earliest.astimezone(tz).utcoffset()
    seconds = range(int((latest - earliest).total_seconds()) + 1)
    change = bisect_left(
        seconds, True, key=lambda s: (earliest + timedelta(seconds=s)).astimezone(tz).utcoffset() != before
    )
    return (earliest + timedelta(seconds=change)).replace(microsecond=0)
