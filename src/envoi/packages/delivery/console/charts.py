"""Lines over time, drawn on the server: where each point stands, what the axes say (console design §9)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from babel.numbers import format_compact_decimal
from django.utils import timezone

from envoi.console import words

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 16, 26
TICKS = tuple(
    timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)
)


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


def draw(
    begin: datetime,
    end: datetime,
    series: Sequence[tuple[str, Sequence[tuple[datetime, float]]]],
    *,
    now: datetime | None = None,
    least: float = 4.0,
) -> Chart:
    """Return a chart of the time from `begin` to `end`. The first series gets an area below it.

    `least`: the smallest number at the top of the axis.
    """
    span = max((end - begin).total_seconds(), 1.0)
    highest = max((value for _css, points in series for _at, value in points), default=0.0)
    top = _round_up(max(highest, least))

    def x(moment: datetime) -> float:
        share = (moment - begin).total_seconds() / span
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top, 1)

    lines: list[Line] = []
    for number, (css, points) in enumerate(series):
        placed = [(x(at), y(value)) for at, value in points]
        text = " ".join(f"{each[0]},{each[1]}" for each in placed)
        area = f"{placed[0][0]},{y(0)} {text} {placed[-1][0]},{y(0)}" if placed and not number else ""
        lines.append(Line(css, text, area))
    return Chart(
        lines=lines,
        across=[
            Mark(x(at), text, "end" if x(at) > WIDTH - 24 else "middle") for at, text in _hours(begin, end)
        ],
        up=[Mark(y(top * step / 4), _short(top * step / 4)) for step in range(5)],
        now=x(now) if now is not None and begin < now < end else None,
    )


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


def _hours(begin: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Return at most seven moments, on the clock of the reader, with what is written below them."""
    step = next((each for each in TICKS if (end - begin) / each <= 7), TICKS[-1])
    zone = timezone.get_current_timezone()
    midnight = begin.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + step * math.ceil((begin - midnight) / step)
    days = step >= timedelta(days=1)
    found: list[tuple[datetime, str]] = []
    at = first
    while at <= end and len(found) < 9:
        text = words.moment(at)
        # Whole days need no time; within one, the day is not repeated at every mark.
        found.append((at, text.rpartition(" ")[0] or text if days else words.time_of_day(at)))
        at += step
    return found
