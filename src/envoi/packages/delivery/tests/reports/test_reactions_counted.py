"""From hits in the inbox over tracking to the dashboard and the reports, counted again in plain Python."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from envoi.kernel import clock as product_clock
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.tracking import running
from envoi.packages.delivery.testing import make_hits, make_recipients
from envoi.packages.delivery.tests.reports import readers
from envoi.packages.delivery.tests.reports.test_messages_reports import signed_in, table, words

pytestmark = pytest.mark.usefixtures("db", "tracked")
CLEAN = {"black_list": 0, "black_list_email": 0}


def played(clock: Any, seed: int) -> tuple[readers.Sent, list[readers.Hit]]:
    """Let readers act, and their hits come into the inbox; returns those that count."""
    make_recipients(80, **CLEAN)
    made = readers.sent()
    hits = readers.read(made, seed, hours=20)
    clock.step(days=3)
    make_hits(
        *(
            {
                "broad_log_id": hit.message, "delivery_id": made.delivery.pk, "url_id": hit.url,
                "received_at": hit.at, "source_id": hit.source,
                **({"user_agent": "python-requests/2.31"} if hit.automatic > 0 else {}),
            }
            for hit in hits
        )
    )  # fmt: skip
    return made, [hit for hit in hits if hit.automatic <= 0]


def test_hits_become_the_numbers_of_the_dashboard_and_the_reports(clock: Any) -> None:
    made, hits = played(clock, 21)
    client = signed_in("mary", "ADMINISTRATION")
    place = f"/deliveries/{made.delivery.pk}"
    before = words(client.get(place))
    assert "Nothing is counted yet." in before
    assert "hits wait to be counted." in before
    running.at_once(now=product_clock.now())

    kinds = Counter(hit.type for hit in hits)
    opened = {hit.message for hit in hits}
    clicked = {hit.message for hit in hits if hit.type == 1}
    persons = {hit.source for hit in hits if hit.type == 1}
    sent = len(made.messages)

    def rate(part: int, whole: int) -> float:
        return round(100 * part / whole, 1)

    clock.step(minutes=1)
    shown = words(client.get(place))
    assert f"Opened {rate(len(opened), sent):g}% {len(opened)}" in shown
    assert f"Clicked {rate(len(clicked), sent):g}% {len(clicked)}" in shown
    assert f"Opt-outs {rate(kinds[3], sent):g}% {kinds[3]}" in shown
    assert "Counted up to" in shown
    assert "hits of machines are left out" in shown

    report = f"{place}/reports/deliveryFeedback.csv?block="
    reception = {row[0]: row[1:] for row in table(client.get(f"{report}reception"))}
    assert reception["Distinct opens (%)"][1] == str(len(opened))
    assert float(reception["Distinct opens (%)"][0]) == pytest.approx(100 * len(opened) / sent, abs=1e-3)
    assert reception["Opens"] == [str(kinds[2])]
    assert reception["Clicks on mirror page"] == [str(kinds[6])]
    clicks = {row[0]: row[1:] for row in table(client.get(f"{report}clicks"))}
    assert clicks["Persons who clicked (%)"][1] == str(len(persons))
    assert clicks["Recipients who clicked (%)"][1] == str(len(clicked))
    assert clicks["Cumulated clicks (%)"][1] == str(kinds[1])
    assert float(clicks["Raw reactivity (%)"][0]) == pytest.approx(100 * len(clicked) / len(opened), abs=1e-3)
    hours = table(client.get(f"{place}/reports/recipientActivity.csv?block=activity"))[1:]
    assert (sum(int(row[1]) for row in hours), sum(int(row[2]) for row in hours)) == (kinds[2], kinds[1])
    by_domain = table(client.get(f"{place}/reports/statisticsPerDelivery.csv?block=domains"))
    assert float(by_domain[-1][5]) == pytest.approx(100 * len(opened) / sent, abs=1e-3)
    assert float(by_domain[-1][6]) == pytest.approx(100 * len(clicked) / sent, abs=1e-3)


def test_indicators_are_counted_anew_on_demand_by_those_who_may(clock: Any) -> None:
    made, hits = played(clock, 22)
    running.at_once(now=product_clock.now())
    place = f"/deliveries/{made.delivery.pk}"
    Delivery.objects.filter(pk=made.delivery.pk).update(recipient_open=1, recipient_click=9999, success=1)
    refused = signed_in("ann").post(place, {"do": "recompute"})
    assert refused.status_code == 400
    assert 'value="recompute"' not in signed_in("eve").get(place).content.decode()
    client = signed_in("mary", "PREPARE DELIVERIES")
    clock.step(minutes=1)
    assert 'value="recompute"' in client.get(place).content.decode()
    said = words(client.post(place, {"do": "recompute"}, follow=True))
    assert "The indicators are counted anew from the logs." in said
    made.delivery.refresh_from_db()
    assert made.delivery.recipient_click == len({hit.message for hit in hits if hit.type == 1})
    assert made.delivery.recipient_open == len({hit.message for hit in hits})
    assert made.delivery.success == len(made.messages)


def test_the_card_of_reactions_asks_by_itself_while_readers_react(clock: Any) -> None:
    make_recipients(5, **CLEAN)
    made = readers.sent()
    client = signed_in("ann")
    place = f"/deliveries/{made.delivery.pk}"
    page = client.get(place).content.decode()
    assert f'hx-get="{place}/reactions"' in page
    card = client.get(f"{place}/reactions")
    assert card.content.decode().lstrip().startswith("<section")
    same = client.get(f"{place}/reactions", headers={"If-None-Match": card["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    clock.step(days=3)
    assert f'hx-get="{place}/reactions"' not in client.get(place).content.decode()
    assert timedelta(days=2) < product_clock.now() - made.delivery.broad_start
