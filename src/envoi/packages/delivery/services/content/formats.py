"""Filters of templates: dates, times and numbers in the language of a delivery."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, cast
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError, dates, numbers


def filters(language: str, zone: str) -> Mapping[str, Callable[..., str]]:
    """Return the filters. Each gives nothing for an empty value, and the value itself when it is of another
    kind.
    """
    locale, where = known(language), ZoneInfo(zone)

    def day(value: Any, form: str = "medium") -> str:
        if isinstance(value, datetime):
            value = value.astimezone(where).date()
        return dates.format_date(value, form, locale=locale) if isinstance(value, date) else _plain(value)

    def moment(value: Any, form: str = "medium") -> str:
        if isinstance(value, datetime):
            return dates.format_datetime(value.astimezone(where), form, locale=locale)
        return day(value, form)

    def hour(value: Any, form: str = "short") -> str:
        if isinstance(value, datetime):
            return dates.format_time(value.astimezone(where), form, locale=locale)
        return _plain(value)

    def number(value: Any, decimals: int | None = None) -> str:
        if not _counts(value):
            return _plain(value)
        form = None if decimals is None else "#,##0" + ("." + "0" * int(decimals) if decimals else "")
        return numbers.format_decimal(value, form, locale=locale)

    def money(value: Any, currency: str = "EUR") -> str:
        return numbers.format_currency(value, currency, locale=locale) if _counts(value) else _plain(value)

    def smart(value: Any) -> str:
        return " ".join(each.capitalize() for each in _plain(value).split(" "))

    def escaped(value: Any) -> str:
        return quote(_plain(value), safe="")

    return {
        "date": day,
        "datetime": moment,
        "time": hour,
        "number": number,
        "currency": money,
        "smartcase": smart,
        "urlencode": escaped,
    }


def known(language: str) -> Locale:
    """Return the locale of a language, English when nothing is known of it."""
    try:
        return Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def _counts(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> str:
    return "" if value is None else str(cast("object", value))
