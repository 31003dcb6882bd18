"""Lines over time or over what has passed, drawn on the server: where each point stands, what the axes say
(console design §9).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from babel.dates import format_date
from babel.numbers import format_compact_decimal, format_percent
from django.utils import timezone

from envoi.console import words

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 16, 26
TICKS = tuple(
    timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)
)
PASSED = (1 / 12, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 48.0, 96.0, 168.0, 336.0, 720.0)
"""Hours between the marks of a line over what has passed."""


@dataclass(frozen=True)
class Mark:
    """A tick of an axis: where it stands, and its text."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Line:
    """One series, drawn in the colours of its class."""

    css: str
    points: str
    area: str = ""


@dataclass(frozen=True)
class Chart:
    """All that a template needs to draw it."""

    lines: Sequence[Line]
    across: Sequence[Mark]
    up: Sequence[Mark]
    now: float | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


Series = Sequence[tuple[str, Sequence[tuple[datetime, float]]]]
"""Class and points of each line."""


def draw(
    begin: datetime,
    end: datetime,
    series: Series,
    *,
    now: datetime | None = None,
    least: float = 4.0,
    percent: bool = False,
) -> Chart:
    """Return a chart of the time from `begin` to `end`. The first series gets an area below it.

    `least`: the smallest number at the top of the axis. `percent`: values are shares of 1.
    """
    length = max((end - begin).total_seconds(), 1.0)
    passed = [
        (css, [((at - begin).total_seconds(), value) for at, value in points]) for css, points in series
    ]
    marks = [((at - begin).total_seconds(), text) for at, text in _hours(begin, end)]
    chart = _drawn(length, passed, marks, least, percent=percent)
    if now is not None and begin < now < end:
        return replace(chart, now=_x((now - begin).total_seconds(), length))
    return chart


def curves(series: Sequence[tuple[str, Sequence[tuple[float, float]]]], hours: float) -> Chart:
    """Return shares of 1 over the hours that have passed since the beginning, up to `hours`."""
    step = next((each for each in PASSED if hours / each <= 7), PASSED[-1])
    marks: list[tuple[float, str]] = []
    at = 0.0
    while at <= hours and len(marks) < 9:
        marks.append((at, _passed(at)))
        at += step
    return _drawn(hours, series, marks, 1.0, percent=True)


def spark(values: Sequence[float], width: float = 160.0, height: float = 32.0) -> str:
    """Return the points of a small line without axes, from zero, in a box of this size."""
    if len(values) < 2:
        return ""
    top = max(values) or 1.0
    step = width / (len(values) - 1)
    return " ".join(
        f"{at * step:.1f},{height - 2 - (height - 4) * value / top:.1f}" for at, value in enumerate(values)
    )


def _x(passed: float, length: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * min(max(passed / length, 0.0), 1.0), 1)


def _drawn(
    length: float,
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    marks: Sequence[tuple[float, str]],
    least: float,
    *,
    percent: bool,
) -> Chart:
    highest = max((value for _css, points in series for _at, value in points), default=0.0)
    top = _round_up(max(highest, least))

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top, 1)

    lines: list[Line] = []
    for number, (css, points) in enumerate(series):
        placed = [(_x(at, length), y(value)) for at, value in points]
        text = " ".join(f"{each[0]},{each[1]}" for each in placed)
        area = f"{placed[0][0]},{y(0)} {text} {placed[-1][0]},{y(0)}" if placed and not number else ""
        lines.append(Line(css, text, area))
    return Chart(
        lines=lines,
        across=[
            Mark(_x(at, length), text, "end" if _x(at, length) > WIDTH - 24 else "middle")
            for at, text in marks
        ],
        up=[
            Mark(y(top * step / 4), _share(top * step / 4) if percent else _short(top * step / 4))
            for step in range(5)
        ],
        now=None,
    )


def _share(value: float) -> str:
    pattern = words.locale().percent_formats[None].pattern
    return format_percent(value, format=pattern.replace("0", "0.#", 1), locale=words.locale())


def _round_up(value: float) -> float:
    """Return the next number whose quarters are easy to read."""
    unit = 10 ** math.floor(math.log10(value))
    return next(unit * each for each in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if unit * each >= value)


def _short(value: float) -> str:
    if value < 1:
        return words.number(round(value, 3))
    if value < 10_000:
        return words.number(round(value, 0 if value >= 10 else 1))
    return format_compact_decimal(value, locale=words.locale(), fraction_digits=1)


def _passed(hours: float) -> str:
    return words.span(timedelta(minutes=round(hours * 60))) if hours else "0"


def _hours(begin: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Return at most seven moments, on the clock of the reader, with what is written below them."""
    step = next((each for each in TICKS if (end - begin) / each <= 7), TICKS[-1])
    zone = timezone.get_current_timezone()
    midnight = begin.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + step * math.ceil((begin - midnight) / step)
    pattern = {"ko": "M월 d일", "zh": "M月d日"}.get(words.locale().language, "d MMM")
    days, long = step >= timedelta(days=1), end - begin > timedelta(days=1)
    found: list[tuple[datetime, str]] = []
    at = first
    while at <= end and len(found) < 9:
        # Whole days need no time; within one, the day is not repeated at every mark. Where several follow
        # each other, midnight has the name of its day.
        midnight = long and at.astimezone(zone).hour == at.astimezone(zone).minute == 0
        day = format_date(at.astimezone(zone).date(), pattern, locale=words.locale())
        found.append((at, day if days or midnight else words.time_of_day(at)))
        at += step
    return found
