"""Reports on what became of messages, against a count of the same rows in plain Python."""

import csv
import io
import random
import re
from collections import Counter
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from envoi.kernel.models import Enum, EnumAlias
from envoi.kernel.testing import admin_actor, allow, make_folder, make_operator
from envoi.packages.delivery.models import Delivery, Flag
from envoi.packages.delivery.services.reports import domains, exclusions, messages, scope
from envoi.packages.delivery.testing import make_recipients, make_sent

pytestmark = pytest.mark.usefixtures("db", "clock")
SUCCESS, SOFT, HARD = (1, 3, 5), (2, 3, 4, 5, 6, 20), (1,)


def signed_in(name: str, *rights: str, language: str = "") -> Client:
    client = Client()
    client.force_login(
        make_operator(name, rights, language=language), "django.contrib.auth.backends.ModelBackend"
    )
    return client


def words(answer: Any) -> str:
    text = re.sub(r"<(script|style|template)[^>]*>.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def table(answer: Any) -> list[list[str]]:
    """Return the rows of a CSV answer."""
    text = answer.content.decode()
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text[1:])))


def shaken(seed: int, count: int = 400) -> tuple[Delivery, list[tuple[str, int, int, int]]]:
    """Make a delivery whose messages have any outcome; returns it, and (provider, status, reason, flags) of
    each message that counts.
    """
    drawn = random.Random(seed)
    made = make_sent(make_recipients(count, seed=seed), excluded=count // 10, label=f"Shaken {seed}")
    providers = dict(
        EnumAlias.objects.filter(enum=Enum.objects.get(name="domain")).values_list("alias", "value__value")
    )
    known: list[tuple[str, int, int, int]] = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, status FROM nms_broad_log_rcp WHERE run_id = %s ORDER BY id", [made.run_id]
        )
        for number, before in cursor.fetchall():
            status = 0 if before == 0 else drawn.choice((1, 1, 1, 2, 2, 3, 5, 6, 7, 8, 9))
            reason = drawn.choice((1, 2, 3, 4, 5, 6, 8, 20, 25)) if status == 2 else 0
            flags = int(Flag.SEED) if drawn.random() < 0.05 else 0
            name = drawn.choice(("gmail.com", "GoogleMail.com", "hotmail.fr", "free.fr", "shop.example", "x"))
            cursor.execute(
                """UPDATE nms_broad_log_rcp SET status = %s, failure_reason = %s, flags = %s, address = %s
                   WHERE run_id = %s AND id = %s""",
                [status, reason, flags, f"p{number}@{name}" if name != "x" else "", made.run_id, number],
            )
            if status and not flags:
                known.append((providers.get(name.lower(), ""), status, reason, flags))
    return made, known


@pytest.mark.parametrize("seed", [1, 2])
def test_outcomes_by_provider_are_those_of_the_rows(seed: int) -> None:
    made, known = shaken(seed)
    found = messages.by_provider(scope.of(made), domains.bins())
    assert found.keys() == {provider for provider, *_ in known}
    for provider, each in found.items():
        own = [(status, reason) for where, status, reason, _flags in known if where == provider]
        statuses, reasons = Counter(s for s, _ in own), Counter(r for s, r in own if s == 2)
        assert each.success == sum(statuses[status] for status in SUCCESS)
        assert each.reasons == reasons
        assert each.processed == each.success + statuses[2] + statuses[8]
        assert (each.hard, each.soft) == (
            sum(reasons[reason] for reason in HARD),
            sum(reasons[reason] for reason in SOFT),
        )
    whole = messages.whole(found)
    assert whole.processed == sum(status in (*SUCCESS, 2, 8) for _p, status, *_ in known)
    assert whole.waiting == sum(status in (6, 7, 9) for _p, status, *_ in known)


def test_the_report_of_errors_says_contribution_and_breakdown() -> None:
    made, known = shaken(3)
    errors = [(provider, reason) for provider, status, reason, _f in known if status == 2]
    processed = [provider for provider, status, *_ in known if status in (*SUCCESS, 2, 8)]
    client = signed_in("mary", "ADMINISTRATION")
    place = f"/deliveries/{made.pk}/reports/errors"

    rows = table(client.get(f"{place}.csv?block=reasons"))
    assert rows[0] == ["Reason", "Errors", "Breakdown (%)", "Contribution (%)"]
    counted = Counter(reason for _p, reason in errors)
    assert sorted(int(row[1]) for row in rows[1:-1]) == sorted(counted.values())
    for _label, count, breakdown, contribution in rows[1:]:
        assert float(breakdown) == pytest.approx(100 * int(count) / len(errors), abs=1e-3)
        assert float(contribution) == pytest.approx(100 * int(count) / len(processed), abs=1e-3)
    assert rows[-1][:2] == ["All", str(len(errors))]

    rows = {row[0]: row for row in table(client.get(f"{place}.csv?block=domains"))[1:]}
    assert rows.keys() == {"Gmail", "Microsoft", "Free", "Others", "All"}
    gmail = [reason for provider, reason in errors if provider == "Gmail"]
    assert rows["Gmail"][1:3] == [str(processed.count("Gmail")), str(len(gmail))]
    hard = 100 * gmail.count(1) / processed.count("Gmail")
    assert float(rows["Gmail"][4]) == pytest.approx(hard, abs=1e-3)
    assert float(rows["Gmail"][6]) == pytest.approx(100 * len(gmail) / len(errors), abs=1e-3)


def test_the_summary_takes_shares_of_what_was_to_deliver() -> None:
    made = make_sent(make_recipients(300), excluded=60, sent=0.8, failed=0.1)
    client = signed_in("mary", "ADMINISTRATION")
    shown = words(client.get(f"/deliveries/{made.pk}/reports/deliverySending"))
    assert "Initial population 300 Rejected by rules 20% 60" in shown
    assert f"Success {round(100 * made.success / 240, 1):g}% {made.success}" in shown
    causes = exclusions.causes(scope.of(made))
    assert sum(each.count for each in causes) == 60
    rows = table(client.get(f"/deliveries/{made.pk}/reports/deliverySending.csv?block=causes"))
    assert sum(int(row[1]) for row in rows[1:]) == 60
    assert sum(float(row[2]) for row in rows[1:]) == pytest.approx(100, abs=0.01)
    assert sum(float(row[3]) for row in rows[1:]) == pytest.approx(20, abs=0.01)


def test_several_deliveries_add_up_and_are_bound_by_folder_and_time(clock: Any) -> None:
    first = make_sent(make_recipients(80), sent=0.7, failed=0.2, label="=Primo")
    clock.step(days=40)
    second = make_sent(make_recipients(120), sent=0.9, failed=0.05, label="Second")
    closed = make_folder("closed", "deliveries", model="nms:delivery")
    allow(closed, make_operator("keeper"))
    make_sent(make_recipients(50), folder=closed, label="Hidden")
    client = signed_in("mary", "EXPORT")
    shown = words(client.get("/reports/deliveries"))
    assert "1 delivery · 120 messages" in shown
    assert ("Second" in shown, "Primo" in shown, "Hidden" in shown) == (True, False, False)

    begin = first.broad_start.date().isoformat()
    rows = table(client.get(f"/reports/deliveries/deliverySending.csv?block=deliveries&begin={begin}"))
    assert [row[0] for row in rows[1:]] == ["Second", "'=Primo", "All"]
    assert rows[-1][2] == "200"
    assert float(rows[-1][3]) == pytest.approx(
        100 * (first.success + second.success) / (first.processed + second.processed), abs=1e-3
    )
    both = scope.many(
        admin_actor(), begin=first.broad_start, end=second.broad_start, chosen=(first.pk, second.pk)
    )
    counted = messages.whole(messages.by_provider(both, domains.bins()))
    assert counted.success == first.success + second.success
    # Ticked on the page: one that is offered for this time, and one of another time that was ticked before.
    page = client.get(f"/reports/deliveries?id={first.pk}")
    assert "1 delivery" in words(page)
    boxes = re.findall(r'name="id" value="(\d+)"( checked)?>', page.content.decode())
    assert boxes == [(str(first.pk), " checked"), (str(second.pk), "")]
    assert "2 deliveries" in words(client.get(f"/reports/deliveries?id={first.pk}&id={second.pk}"))
    assert client.get(f"/reports/deliveries?begin={begin}&end=2020-01-01").status_code == 400
    assert client.get("/reports/deliveries?begin=tomorrow").status_code == 400


def test_nobody_sees_more_than_they_may_and_export_takes_its_right() -> None:
    closed = make_folder("closed", "deliveries", model="nms:delivery")
    allow(closed, make_operator("keeper"))
    hidden = make_sent(make_recipients(20), folder=closed)
    open_to_all = make_sent(make_recipients(20))
    client = signed_in("ann")
    assert client.get(f"/deliveries/{hidden.pk}/reports").status_code == 404
    assert client.get(f"/deliveries/{hidden.pk}/reports/errors.csv?block=reasons").status_code in (403, 404)
    assert client.get(f"/reports/deliveries?id={hidden.pk}").status_code == 404
    assert client.get(f"/deliveries/{open_to_all.pk}/reports/errors").status_code == 200
    assert client.get(f"/deliveries/{open_to_all.pk}/reports/errors.csv?block=reasons").status_code == 403
    assert client.get(f"/deliveries/{open_to_all.pk}/reports/nothing").status_code == 404


def test_nothing_sent_and_nothing_there_are_said_and_divide_nothing() -> None:
    empty = make_sent(make_recipients(5), sent=0, failed=0)
    client = signed_in("mary", "ADMINISTRATION")
    shown = words(client.get(f"/deliveries/{empty.pk}/reports/errors"))
    assert "Processed 0 Errors — 0" in shown
    assert "No message has failed." in shown
    Delivery.objects.filter(pk=empty.pk).update(state=0)
    assert "Nothing has gone out yet." in words(client.get(f"/deliveries/{empty.pk}/reports/errors"))
    assert "No delivery went out in this time." in words(
        client.get("/reports/deliveries?begin=2020-01-01&end=2020-02-01")
    )


def test_each_number_has_a_definition() -> None:
    client = signed_in("ann")
    made = make_sent(make_recipients(20))
    page = client.get(f"/deliveries/{made.pk}/reports/deliverySending").content.decode()
    names = set(re.findall(r'hx-get="/reports/indicators/(\w+)"', page))
    assert {"totalTarget", "reject", "toDeliver", "success", "error", "newQuarantine"} <= names
    whole = client.get("/reports/indicators").content.decode()
    for name in names:
        assert f'id="{name}"' in whole
        assert client.get(f"/reports/indicators/{name}").status_code == 200
    assert client.get("/reports/indicators/nothing").status_code == 404


def test_more_than_can_be_read_at_once_is_refused_with_the_way_out() -> None:
    made = [make_sent(make_recipients(20, start=at)) for at in (1, 100)]
    Delivery.objects.filter(pk=made[0].pk).update(to_deliver=6_000_000)
    client = signed_in("mary", "EXPORT")
    shown = words(client.get("/reports/deliveries/errors"))
    assert "Choose a shorter time, or fewer deliveries." in shown
    assert "2 deliveries" in shown
    assert client.get("/reports/deliveries/errors.csv?block=reasons").status_code == 400
    assert "Errors by reason" in words(client.get(f"/deliveries/{made[0].pk}/reports/errors"))
    assert "Time to reach a share" in words(client.get("/reports/deliveries/trackingStatistics"))
