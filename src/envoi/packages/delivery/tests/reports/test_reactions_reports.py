"""Activities, time to reach a share, programs, machines: against the hits of readers in plain Python."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from envoi.kernel import clock
from envoi.packages.delivery.console.reports import catalogue
from envoi.packages.delivery.models import Delivery, Device, TrackingUrl, Typology, UrlType, UserAgent
from envoi.packages.delivery.services.reports import clients, machines, over_time, platform, scope
from envoi.packages.delivery.services.reports.definitions import DEFINITIONS
from envoi.packages.delivery.testing import make_recipients
from envoi.packages.delivery.tests.reports import readers
from envoi.packages.delivery.tests.reports.test_messages_reports import signed_in, table, words

pytestmark = pytest.mark.usefixtures("db", "clock", "tracked")
CLEAN = {"black_list": 0, "black_list_email": 0}
FIVE = timedelta(minutes=5)
ORIGIN = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)


def played(seed: int, count: int = 120, **values: Any) -> readers.Sent:
    """Make a delivery that was sent, with readers and some transactions."""
    make_recipients(count, **CLEAN)
    made = readers.sent(**values)
    bought = TrackingUrl.objects.create(
        delivery=made.delivery, type=UrlType.TRANSACTION, url="thanks", digest="t", created_at=clock.now()
    )
    made.links["thanks"] = bought.pk
    readers.write(made, readers.read(made, seed))
    return made


def sliced(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 5 * 5, second=0, microsecond=0)


@pytest.mark.parametrize("width", [timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)])
def test_activities_by_step_on_the_clock_of_the_reader(width: timedelta) -> None:
    made = played(1)
    zone = ZoneInfo("Asia/Kathmandu")  # a quarter of an hour off
    found, cut = over_time.slices(scope.of(made.delivery), width, zone.key, 1000)
    known: dict[datetime, Counter[int]] = {}
    for hit in (each for each in made.hits if each.counts):
        local = sliced(hit.at).astimezone(zone).replace(tzinfo=None)
        start = ORIGIN + (local - ORIGIN) // width * width
        known.setdefault(start.replace(tzinfo=zone), Counter())[hit.type] += 1
    assert not cut
    assert [each.start for each in found] == [
        found[0].start + at * width for at in range(len(found))
    ]  # without gaps
    assert {each.start.astimezone(zone): (each.opens, each.clicks, each.transactions) for each in found
            if each.opens or each.clicks or each.transactions} == {
        start: (count[2], count[1], count[5])
        for start, count in known.items() if count[2] or count[1] or count[5]
    }  # fmt: skip
    few, cut = over_time.slices(scope.of(made.delivery), timedelta(hours=1), "UTC", 3)
    assert (len(few), cut) == (3, True)


def test_the_time_to_reach_a_share() -> None:
    made = played(2)
    found = over_time.since_start(scope.of(made.delivery))
    begin = sliced(made.delivery.broad_start)
    for kind, curve in ((2, found.opens), (1, found.clicks), (5, found.transactions)):
        passed = sorted(sliced(hit.at) - begin + FIVE for hit in made.hits if hit.type == kind and hit.counts)
        for step in (5, 25, 50, 90, 100):
            needed = -(-step * len(passed) // 100)
            assert over_time.reached(curve, step) == passed[max(needed, 1) - 1]
    assert over_time.reached((), 50) is None
    rows = table(
        signed_in("mary", "EXPORT").get(
            f"/deliveries/{made.delivery.pk}/reports/trackingStatistics.csv?block=pace"
        )
    )
    half = next(row for row in rows if row[0] == "50%")
    assert half[1] == f"{over_time.reached(found.opens, 50).total_seconds():.0f}"


def test_opens_by_system_device_and_browser() -> None:
    made = played(3)
    agents = {each.pk: each for each in UserAgent.objects.all()}
    known = Counter(
        (agents[hit.agent].os, agents[hit.agent].device, agents[hit.agent].browser)
        if hit.agent
        else ("", 0, "")
        for hit in made.hits
        if hit.type == 2 and hit.counts
    )
    found = clients.opens(scope.of(made.delivery))
    assert {(each.os, each.device, each.browser): each.count for each in found} == known
    rows = {
        row[0]: row
        for row in table(
            signed_in("mary", "EXPORT").get(
                f"/deliveries/{made.delivery.pk}/reports/opensBreakdown.csv?block=systems"
            )
        )[1:]
    }
    whole = known.total()
    phones = sum(count for (_os, device, _b), count in known.items() if device == Device.PHONE)
    ios = known["iOS", Device.PHONE, "Safari"]
    assert rows["iOS"][1] == rows["iOS"][3] == str(ios)
    assert float(rows["iOS"][2]) == pytest.approx(100 * ios / whole, abs=1e-3)
    assert float(rows["iOS"][4]) == pytest.approx(100 * ios / phones, abs=1e-3)
    assert rows["Windows"][3:] == ["0", "0.0000"]
    assert rows["unknown"][1] == str(known["", 0, ""])


@pytest.mark.parametrize("what", ["browser", "os"])
def test_visitors_are_recipients_who_clicked(what: Any) -> None:
    made = played(4)
    agents = {each.pk: each for each in UserAgent.objects.all()}
    clicked = [hit for hit in made.hits if hit.type == 1 and hit.counts]

    def name(hit: readers.Hit) -> str:
        return getattr(agents[hit.agent], what) if hit.agent else ""

    found = clients.visitors(scope.of(made.delivery), what, "UTC")
    assert found.total == len({hit.message for hit in clicked})
    assert found.names == {
        each: (
            len({hit.message for hit in clicked if name(hit) == each}),
            sum(name(hit) == each for hit in clicked),
        )
        for each in {name(hit) for hit in clicked}
    }
    assert found.days == {
        (who, day): len({hit.message for hit in clicked if (name(hit), hit.at.date()) == (who, day)})
        for who, day in {(name(hit), hit.at.date()) for hit in clicked}
    }
    assert (
        sum(people for (who, _v), (people, _c) in found.versions.items() if who == "Chrome")
        == (found.names.get("Chrome", (0, 0))[0])
    )
    report = "browserStatistics" if what == "browser" else "osStatistics"
    client = signed_in(f"m{what}", "EXPORT")
    rows = table(client.get(f"/deliveries/{made.delivery.pk}/reports/{report}.csv?block=usage"))
    for label, people, _pages, usage in rows[1:]:
        assert int(people) == found.names["" if label == "unknown" else label][0]
        assert float(usage) == pytest.approx(100 * int(people) / found.total, abs=1e-3)
    best = max(found.names, key=lambda each: (found.names[each][0], each))
    rows = table(client.get(f"/deliveries/{made.delivery.pk}/reports/{report}.csv?block=history&name={best}"))
    days = [count for (who, _day), count in sorted(found.days.items()) if who == best]
    assert [int(row[1]) for row in rows[1:]] == days
    assert [float(row[2]) for row in rows[1:]] == pytest.approx(
        [100 * each / max(days) for each in days], abs=1e-3
    )


def test_machines_are_told_with_their_reasons_and_count_nowhere() -> None:
    made = played(5)
    own = [hit for hit in made.hits if not hit.flags & 3]
    found = machines.makers(scope.of(made.delivery))
    assert found.hits == Counter(hit.automatic for hit in own)
    assert found.opens == +Counter(hit.automatic for hit in own if hit.type == 2) | Counter(
        dict.fromkeys(found.opens, 0)
    )
    assert found.messages == Counter(maker for maker, _m in {(hit.automatic, hit.message) for hit in own})
    assert found.machines == sum(hit.automatic > 0 for hit in own)
    shown = words(signed_in("ann").get(f"/deliveries/{made.delivery.pk}/reports/machines"))
    assert re.search(r"Several links within seconds It followed several links", shown)
    assert "Apple loads pictures of all mails ahead" in shown
    assert f"{found.machines}" in shown


def test_the_platform_average_is_of_the_same_typology_in_six_months() -> None:
    make_recipients(10, **CLEAN)
    typology = Typology.objects.create(
        name="quiet", label="Quiet", created_at=clock.now(), modified_at=clock.now()
    )
    old, mine, alike, other, proof = (readers.sent(label=str(at)).delivery for at in range(5))
    numbers = {"success": 100, "estimated_recipient_open": 40, "recipient_click": 10, "person_click": 12}
    rows = Delivery.objects.filter(pk__in=[each.pk for each in (old, mine, alike, other, proof)])
    rows.update(**numbers, total_recipient_click=30, typology=None)
    Delivery.objects.filter(pk=old.pk).update(broad_start=clock.now() - timedelta(days=190))
    Delivery.objects.filter(pk=alike.pk).update(recipient_click=30, person_click=60)
    Delivery.objects.filter(pk=other.pk).update(typology=typology, recipient_click=1000)
    Delivery.objects.filter(pk=proof.pk).update(fcp=True, recipient_click=1000)
    mine.refresh_from_db()
    usual = platform.average(scope.of(mine))
    assert usual.reactivity == (10 + 30, 40 + 40)
    assert (usual.person_click, usual.success) == (12 + 60, 200)
    shown = words(signed_in("ann").get(f"/deliveries/{mine.pk}/reports/topUrlDelivery"))
    assert "Reactivity 25% platform: 50%" in shown
    assert "Distinct clicks 12% platform: 36%" in shown


def test_every_report_builds_on_nothing_and_on_much_and_names_known_definitions() -> None:
    make_recipients(30, **CLEAN)
    made = readers.sent()
    client = signed_in("mary", "ADMINISTRATION")
    for again in range(2):
        for report in catalogue.REPORTS:
            page = client.get(f"/deliveries/{made.delivery.pk}/reports/{report.name}")
            assert page.status_code == 200, report.name
            names = set(re.findall(r'hx-get="/reports/indicators/(\w+)"', page.content.decode()))
            assert names <= DEFINITIONS.keys(), report.name
            if not again and report.name in ("recipientActivity", "opensBreakdown", "browserStatistics"):
                assert "each hour; it has not run yet." in words(page)
            assert client.get(f"/reports/deliveries/{report.name}").status_code == 200
        if not again:
            readers.write(made, readers.read(made, 6))
        Delivery.objects.filter(pk=made.delivery.pk).update(indicators_at=clock.now())
    french = signed_in("marie", "ADMINISTRATION", language="fr")
    assert french.get(f"/deliveries/{made.delivery.pk}/reports/recipientActivity?step=day").status_code == 200


def test_a_long_table_is_cut_on_the_page_and_whole_in_the_file() -> None:
    make_recipients(3, **CLEAN)
    made = readers.sent()
    urls = TrackingUrl.objects.bulk_create(
        TrackingUrl(
            delivery=made.delivery, type=UrlType.CLICK, url=f"https://shop.example/{at}", digest=f"{at}",
            created_at=clock.now(),
        )
        for at in range(130)
    )  # fmt: skip
    message = next(iter(made.messages))
    readers.write(
        made,
        [
            readers.Hit(message, "", each.pk, 1, clock.now() + timedelta(minutes=at))
            for at, each in enumerate(urls)
        ],
    )
    client = signed_in("mary", "EXPORT")
    place = f"/deliveries/{made.delivery.pk}/reports/topUrlDelivery"
    shown = words(client.get(place))
    links = TrackingUrl.objects.filter(delivery=made.delivery, type=UrlType.CLICK).count()
    assert f"The first 100 of {links} rows are shown; the file has them all." in shown
    assert len(table(client.get(f"{place}.csv?block=links"))) == links + 2
    assert len(client.get(place).content) < 120_000
