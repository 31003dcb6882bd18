"""Numbers, dates and durations as people of a locale write them (one place for all pages)."""

import math
from datetime import UTC, datetime, timedelta
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import format_decimal
from django.utils import timezone, translation
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from envoi.kernel import clock

NONE = "—"
_UNITS: tuple[tuple[Literal["day", "hour", "minute", "second"], int], ...] = (
    ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1),
)  # fmt: skip


def locale() -> Locale:
    """Return the locale of the language in use; English where the language is not known."""
    try:
        return Locale.parse(translation.to_locale(translation.get_language() or "en"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def number(value: float | None) -> str:
    """Write a number with the grouping of the locale: 468,112 or 468 112."""
    return NONE if value is None else format_decimal(value, locale=locale())


def duration(seconds: float | None) -> str:
    """Write a duration in at most two units: `4.2 s`, `41 s`, `6 min 18 s`, `1 h 12 min`, `3 d 4 h`."""
    if seconds is None:
        return NONE
    if 0 < seconds < 0.05:
        return _("under %(n)s s") % {"n": format_decimal(0.1, locale=locale())}
    if seconds < 10 and round(seconds, 1) != round(seconds):
        return _("%(n)s s") % {"n": format_decimal(round(seconds, 1), locale=locale())}
    whole = round(seconds)
    if whole < 60:
        return _("%(n)s s") % {"n": whole}
    if whole < 3600:
        return _("%(min)s min %(s)s s") % {"min": whole // 60, "s": f"{whole % 60:02}"}
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return _("%(h)s h %(min)s min") % {"h": minutes // 60, "min": f"{minutes % 60:02}"}
    hours = round(seconds / 3600)
    return _("%(d)s d %(h)s h") % {"d": hours // 24, "h": hours % 24}


def span(length: timedelta) -> str:
    """Write a length of time that somebody has set, in the largest unit that leaves no rest: `5 days`,
    `90 minutes`. One with odd seconds is written as `duration` does.
    """
    for unit, seconds in _UNITS:
        count, rest = divmod(length.total_seconds(), seconds)
        if count >= 1 and not rest and (seconds > 1 or count < 60):
            return format_timedelta(length, granularity=unit, threshold=math.inf, locale=locale())
    return duration(length.total_seconds())


def moment(value: datetime | None, *, seconds: bool = False) -> str:
    """Write a moment in the zone in use: today as time only, this year without the year, otherwise whole."""
    if value is None:
        return NONE
    here = value.astimezone(timezone.get_current_timezone())
    today = clock.now().astimezone(timezone.get_current_timezone()).date()
    clock_time = time_of_day(value, seconds=seconds)
    if here.date() == today:
        return clock_time
    # "d MMM" reads in all our languages and is narrow enough for a column; CJK has its own order.
    pattern = {"ko": "M월 d일", "zh": "M月d日"}.get(locale().language, "d MMM")
    if here.year != today.year:
        pattern = {"ko": "y년 M월 d일", "zh": "y年M月d日"}.get(locale().language, "d MMM y")
    return f"{format_date(here.date(), pattern, locale=locale())} {clock_time}"


def time_of_day(value: datetime, *, seconds: bool = False) -> str:
    """Write the time of day in the zone in use, in 24 hours."""
    here = value.astimezone(timezone.get_current_timezone())
    return format_time(here.time(), "HH:mm:ss" if seconds else "HH:mm", locale=locale())


def day(value: datetime) -> str:
    """Write the day of a moment in full: Tuesday 24 November."""
    here = value.astimezone(timezone.get_current_timezone())
    pattern = {"ko": "M월 d일 EEEE", "zh": "M月d日EEEE"}.get(locale().language, "EEEE d MMMM")
    return format_date(here.date(), pattern, locale=locale())


def time_tag(value: datetime | None, *, seconds: bool = False) -> SafeString:
    """Return `<time>` with the machine-readable moment in UTC and the words of `moment`."""
    if value is None:
        return format_html("{}", NONE)
    utc = value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return format_html('<time datetime="{}">{}</time>', utc, moment(value, seconds=seconds))


def zone_name() -> str:
    """Return the name of the zone in use, as it is named once a page."""
    return str(timezone.get_current_timezone())
