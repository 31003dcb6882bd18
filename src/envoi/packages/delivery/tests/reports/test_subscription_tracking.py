"""Subscription tracking against a diary of who came and went, kept in plain Python."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from envoi.kernel import clock as product_clock
from envoi.kernel.models import Folder
from envoi.kernel.rights import actor_of
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import Recipient
from envoi.packages.delivery.services import chosen, subscriptions
from envoi.packages.delivery.services.reports import subscribers
from envoi.packages.delivery.testing import make_recipients, make_service
from envoi.packages.delivery.tests.reports.test_messages_reports import signed_in, table, words

pytestmark = pytest.mark.usefixtures("db")


def diary(
    service: Any, people: list[int], clock: Any, days: int, seed: int
) -> list[tuple[date, int, int, int]]:
    """Let people come and go for some days; returns (day, came, went, subscribers at its end) of each."""
    drawn, inside = random.Random(seed), set[int]()
    found: list[tuple[date, int, int, int]] = []
    for _day in range(days):
        came = {each for each in people if each not in inside and drawn.random() < 0.2}
        went = {each for each in inside if drawn.random() < 0.15}
        subscriptions.subscribe(service, chosen.ids(sorted(came)), actor=admin_actor(), confirm=False)
        subscriptions.unsubscribe(service, chosen.ids(sorted(went)), actor=admin_actor(), confirm=False)
        inside = (inside | came) - went
        found.append((product_clock.now().date(), len(came), len(went), len(inside)))
        clock.step(days=1)
    clock.step(days=-1)
    return found


def test_each_day_and_month_is_that_of_the_diary(clock: Any) -> None:
    people, service = list(make_recipients(40)), make_service("news")
    known = diary(service, people, clock, 45, 7)
    end = datetime.combine(known[-1][0] + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    begin = end - timedelta(days=30)

    found = subscribers.periods(service, actor=admin_actor(), begin=begin, end=end, step="day", zone="UTC")
    assert [(each.start, each.came, each.went, each.subscribers) for each in found] == known[-30:]
    came, went = sum(each[1] for each in known[-30:]), sum(each[2] for each in known[-30:])
    whole = known[-1][3] + came - went
    assert subscribers.kept(known[-1][3], came, went) == (whole - went, whole)

    # A time that ended before now: who came afterwards is not yet there.
    early = subscribers.periods(
        service, actor=admin_actor(), begin=begin, end=end - timedelta(days=10), step="day", zone="UTC"
    )
    assert [(each.start, each.came, each.went, each.subscribers) for each in early] == known[-30:-10]

    months = subscribers.periods(
        service, actor=admin_actor(), begin=end - timedelta(days=45), end=end, step="month", zone="UTC"
    )
    by_month = Counter[date]()
    for day, count, _went, _standing in known:
        by_month[day.replace(day=1)] += count
    assert {each.start: each.came for each in months} == dict(by_month)
    assert months[-1].subscribers == known[-1][3]
    (standing,) = subscribers.standings(actor=admin_actor(), begin=begin, end=end)
    assert (standing.subscribers, standing.came, standing.went) == (known[-1][3], came, went)


def test_the_pages_say_it_and_hide_what_is_not_seen(clock: Any) -> None:
    people, service = list(make_recipients(30)), make_service("news")
    known = diary(service, people, clock, 12, 3)
    came, went, now = sum(each[1] for each in known), sum(each[2] for each in known), known[-1][3]
    client = signed_in("mary", "EXPORT")
    place = f"/reports/subscriptions/{service.pk}"
    shown = words(client.get(place))
    assert (
        f"Subscribers now {now} Subscriptions {came} Unsubscriptions {went} Evolution {came - went}" in shown
    )
    rows = table(client.get(f"{place}?block=periods"))
    assert rows[0][5] == "Loyalty (%)"
    assert [int(row[2]) for row in rows[1:-1]] == [each[1] for each in reversed(known) if each[1] or each[2]]
    assert float(rows[-1][5]) == pytest.approx(100 * (1 - went / (now + came - went)), abs=1e-3)
    assert table(client.get("/reports/subscriptions?block=services&span=90"))[1][1:5] == [
        str(now), str(came), str(went), str(came - went)
    ]  # fmt: skip
    assert signed_in("ann").get(f"{place}?block=periods").status_code == 403

    # Whoever may not see some of the people counts the others.
    closed = make_folder("closed", "recipients", model="nms:recipient")
    allow(closed, make_operator("keeper"))
    Recipient.objects.filter(pk__in=people[:15]).update(folder=closed)
    bob = actor_of(make_operator("bob"))
    end = product_clock.now() + timedelta(days=1)
    seen = subscribers.standings(actor=bob, begin=end - timedelta(days=30), end=end)[0]
    assert seen.came < came
    hidden = make_service("hidden", folder=_closed_services())
    assert client.get(f"/reports/subscriptions/{hidden.pk}").status_code == 404


def test_a_service_without_anybody_divides_nothing() -> None:
    service = make_service("empty")
    shown = words(signed_in("ann").get(f"/reports/subscriptions/{service.pk}?span=365"))
    assert "Loyalty —" in shown
    assert "Nobody came or went in this time." in shown


def _closed_services() -> Folder:
    made = make_folder("closedServices", "services", model="nms:service")
    allow(made, make_operator("warden"))
    return made
