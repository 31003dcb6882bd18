"""Numbers, durations, moments as people write them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone, translation

from envoi.console import gauges, words

NARROW = "\u202f"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "—"),
        (0, "0 s"),
        (0.004, "under 0.1 s"),
        (4.23, "4.2 s"),
        (9.96, "10 s"),
        (41.4, "41 s"),
        (59.6, "1 min 00 s"),
        (378, "6 min 18 s"),
        (3599.7, "1 h 00 min"),
        (4320, "1 h 12 min"),
        (86399, "1 d 0 h"),
        (273600, "3 d 4 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds, written):
    with translation.override("en"):
        assert words.duration(seconds) == written


@pytest.mark.parametrize(
    ("language", "length", "written"),
    [
        ("en", timedelta(days=5), "5 days"),
        ("en", timedelta(hours=6), "6 hours"),
        ("en", timedelta(minutes=90), "90 minutes"),
        ("en", timedelta(hours=1), "1 hour"),
        ("en", timedelta(seconds=3661), "1 h 01 min"),
        ("en", timedelta(), "0 s"),
        ("fr", timedelta(days=5), "5 jours"),
        ("ko", timedelta(hours=6), "6시간"),
        ("zh-hant", timedelta(days=5), "5 天"),
    ],
)
def test_a_length_that_was_set_is_written_in_one_unit(language, length, written):
    with translation.override(language):
        assert " ".join(words.span(length).split()) == written


def test_french_has_narrow_spaces_in_numbers_and_before_units():
    with translation.override("fr"):
        assert words.number(468112) == f"468{NARROW}112"
        assert words.duration(4.2) == f"4,2{NARROW}s"
        assert words.duration(378) == f"6{NARROW}min 18{NARROW}s"


@pytest.mark.parametrize(
    ("language", "moment", "written"),
    [
        ("en", datetime(2026, 11, 24, 8, 42, tzinfo=UTC), "09:42"),
        ("en", datetime(2026, 11, 24, 23, 30, tzinfo=UTC), "25 Nov 00:30"),
        ("en", datetime(2025, 3, 1, 11, 0, tzinfo=UTC), "1 Mar 2025 12:00"),
        ("fr", datetime(2026, 11, 25, 3, 0, tzinfo=UTC), "25 nov. 04:00"),
        ("ko", datetime(2026, 11, 25, 3, 0, tzinfo=UTC), "11월 25일 04:00"),
        ("zh-hant", datetime(2026, 11, 25, 3, 0, tzinfo=UTC), "11月25日 04:00"),
    ],
)
def test_today_is_a_time_this_year_has_no_year_in_the_zone_of_the_operator(clock, language, moment, written):
    with translation.override(language), timezone.override(ZoneInfo("Europe/Paris")):
        assert words.moment(moment) == written


def test_the_machine_reads_utc(clock):
    with translation.override("en"), timezone.override(ZoneInfo("Europe/Paris")):
        here = datetime(2026, 11, 24, 9, 42, tzinfo=ZoneInfo("Europe/Paris"))
        assert words.time_tag(here) == '<time datetime="2026-11-24T08:42:00Z">09:42</time>'
        assert words.time_tag(here + timedelta(seconds=5), seconds=True).endswith(">09:42:05</time>")


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (None, "B", "—"),
        (512, "B", f"512{NARROW}B"),
        (10_900_000, "B", f"11{NARROW}MB"),
        (1_530_000, "B", f"1.5{NARROW}MB"),
        (184e9, "B", f"184{NARROW}GB"),
        (378, "s", "6 min 18 s"),
        (0.42, "", "0.42"),
        (1234, "", "1,234"),
        (81, "%", f"81{NARROW}%"),
    ],
)
def test_an_amount_is_written_in_its_unit(value, unit, written):
    with translation.override("en"):
        assert gauges.amount(value, unit) == written
