"""What pages draw: answers that are kept for a while, axes, months."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from envoi.packages.delivery.console import calendar, charts, delivery_dashboard
from envoi.packages.delivery.services.statistics import remembering
from envoi.packages.delivery.services.statistics.slices import MOST, width_of

pytestmark = pytest.mark.usefixtures("db")


def test_an_answer_stands_for_its_version_and_as_long_as_it_was_dear(monkeypatch: Any) -> None:
    now, asked = [100.0], []
    monkeypatch.setattr(remembering.time, "monotonic", lambda: now[0])
    remembering.forget()

    def find(cost: float) -> int:
        now[0] += cost
        asked.append(cost)
        return len(asked)

    def answer(version: int, cost: float) -> int:
        return remembering.remembered("figures", version, lambda: find(cost))

    assert [answer(1, 0.001), answer(1, 0.001), answer(2, 0.001)] == [1, 1, 2]
    assert answer(3, 0.4) == 3
    now[0] += 19.0  # fifty times 0.4 s have not passed
    assert answer(4, 0.4) == 3
    now[0] += 1.1
    assert answer(5, 0.4) == 4


def test_shares_never_say_all_or_nothing_of_what_is_not() -> None:
    percent = delivery_dashboard.percent
    with translation.override("en"):
        assert [percent(1, 3), percent(0, 5), percent(5, 5), percent(1, 0)] == ["33.3%", "0%", "100%", "—"]
        assert [percent(999_999, 1_000_000), percent(1, 1_000_000)] == ["99.9%", "0.01%"]
    with translation.override("fr"):
        assert percent(981, 1000).replace("\u00a0", " ").replace("\u202f", " ") == "98,1 %"


def test_axes_are_easy_to_read_also_when_the_clock_changes() -> None:
    begin = datetime(2026, 10, 24, 22, tzinfo=UTC)  # the night in which Paris has two hours from two to three
    with timezone.override("Europe/Paris"), translation.override("en"):
        drawn = charts.draw(begin, begin + timedelta(hours=8), [("l1", [(begin, 742.0)])])
    assert [each.text for each in drawn.up] == ["0", "200", "400", "600", "800"]
    assert [each.text for each in drawn.across][:3] == ["00:00", "02:00", "04:00"]
    assert all(charts.LEFT <= each.at <= charts.WIDTH for each in drawn.across)
    for days in (0.1, 1, 5, 60):
        assert timedelta(days=days) / width_of(timedelta(days=days)) < MOST


def test_months_and_weeks_are_whole() -> None:
    with translation.override("fr"):
        assert calendar._range(date(2026, 11, 27), "month") == (date(2026, 10, 26), date(2026, 12, 6))
        assert calendar._range(date(2026, 11, 27), "week") == (date(2026, 11, 23), date(2026, 11, 29))
    assert calendar._step(date(2026, 1, 31), "month", 1) == date(2026, 2, 28)
    assert calendar._step(date(2026, 1, 31), "month", -1) == date(2025, 12, 31)
    assert calendar._step(date(2026, 12, 31), "week", 1) == date(2027, 1, 7)
