"""Clicks by link, and the message with shares over its links, against the hits of readers in plain Python."""

import re
from typing import Any

import pytest

from envoi.kernel.testing import allow, make_folder, make_operator
from envoi.packages.delivery.models import IncludeView, Recipient, TrackingUrl, UrlType
from envoi.packages.delivery.services.reports import clicks, hot_clicks, scope
from envoi.packages.delivery.testing import make_recipients
from envoi.packages.delivery.tests.reports import readers
from envoi.packages.delivery.tests.reports.test_messages_reports import signed_in, table, words

pytestmark = pytest.mark.usefixtures("db", "clock", "tracked")
BADGE = re.compile(r'id="l(\d+)"><span class="envoi-hot[^>]*>([^<]+)</span>')
CLEAN = {"black_list": 0, "black_list_email": 0}


def counted_hits(made: readers.Sent) -> list[readers.Hit]:
    return [hit for hit in made.hits if hit.counts]


def test_links_count_clicks_and_people() -> None:
    make_recipients(120, **CLEAN)
    made = readers.sent()
    readers.write(made, readers.read(made, 5))
    found = clicks.by_link(scope.of(made.delivery))
    counted = (int(UrlType.CLICK), int(UrlType.OPT_OUT), int(UrlType.MIRROR))
    for each in found.links:
        own = [hit for hit in counted_hits(made) if hit.url == each.number]
        assert (each.clicks, each.people) == (len(own), len({hit.message for hit in own}))
    clicked = [hit for hit in counted_hits(made) if hit.type in counted]
    assert found.whole == len(clicked)
    assert found.people == len({hit.message for hit in clicked})
    assert found.clicks == sum(hit.type == UrlType.CLICK for hit in counted_hits(made))

    rows = table(
        signed_in("mary", "EXPORT").get(
            f"/deliveries/{made.delivery.pk}/reports/topUrlDelivery.csv?block=links"
        )
    )
    assert {row[0]: int(row[1]) for row in rows[1:-1] if int(row[1])} == {
        name: count
        for name in made.links
        if (count := sum(hit.url == made.links[name] and hit.type == 1 for hit in counted_hits(made)))
    }
    assert float(rows[1][2]) == pytest.approx(100 * int(rows[1][1]) / found.clicks, abs=1e-3)


def test_the_message_shows_shares_of_all_clicks_but_not_over_opt_outs_and_blocks() -> None:
    IncludeView.objects.create(
        name="imprint", label="Imprint", modified_at="2026-01-01T00:00:00Z",
        html_source='<p><a href="https://shop.example/imprint">Imprint</a></p>',
    )  # fmt: skip
    make_recipients(60, **CLEAN)
    made = readers.sent(html_source=readers.HTML.replace("</body>", '{% include "imprint" %}</body>'))
    readers.write(made, readers.read(made, 8))
    client = signed_in("ann")
    place = f"/deliveries/{made.delivery.pk}/tracking"
    answer = client.get(f"{place}/message")
    html = answer.content.decode()
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    # Nothing in it leads anywhere, and nothing opens the message.
    assert not re.search(r"href=[\"']?https://(t|shop)\.example", re.sub(r"<!--.*?-->", "", html))
    assert "/r/" not in html
    badges = dict(BADGE.findall(html))
    own = ("coats", "shoes", "sale")
    drawn = {str(number) for name, number in made.links.items() if any(each in name for each in own)}
    assert badges.keys() == drawn
    whole = sum(hit.type in (1, 3, 6) for hit in counted_hits(made))
    for number, text in badges.items():
        count = sum(str(hit.url) == number for hit in counted_hits(made))
        assert float(text.rstrip("%")) == pytest.approx(100 * count / whole, abs=0.06)
    assert "Dear ," in html

    people = client.get(f"{place}/message?of=people").content.decode()
    clickers = {hit.message for hit in counted_hits(made) if hit.type in (1, 3, 6)}
    for number, text in BADGE.findall(people):
        who = {hit.message for hit in counted_hits(made) if str(hit.url) == number}
        assert float(text.rstrip("%")) == pytest.approx(100 * len(who) / len(clickers), abs=0.06)
    shown = words(client.get(place))
    assert "Imprint" not in shown
    assert "https://shop.example/imprint in a block" in shown
    assert f"{whole} clicks on links of the message." in shown


def test_a_text_has_badges_too_and_nothing_clicked_divides_nothing() -> None:
    make_recipients(3, **CLEAN)
    made = readers.sent(html_source="", text_source="Coats: https://shop.example/coats <now>")
    (coats,) = (each for each in made.links if "coats" in each)
    html = hot_clicks.message(made.delivery, {made.links[coats]: ("12%", 1.0)})
    assert "&lt;now&gt;" in html
    assert re.search(rf'id="l{made.links[coats]}"><span class="envoi-hot h3">12%<', html)
    client = signed_in("ann")
    shown = words(client.get(f"/deliveries/{made.delivery.pk}/tracking"))
    assert "No link was clicked yet. Hits are counted within a minute" in shown
    assert "it has not run yet" in shown
    assert "—" in client.get(f"/deliveries/{made.delivery.pk}/tracking/message").content.decode()


def test_what_cannot_be_shown_is_said() -> None:
    make_recipients(3, **CLEAN)
    made = readers.sent()
    TrackingUrl.objects.filter(delivery=made.delivery).delete()
    client = signed_in("ann")
    shown = words(client.get(f"/deliveries/{made.delivery.pk}/tracking"))
    assert "Nothing is tracked in this delivery" in shown


def test_reactions_by_domain_are_those_of_the_hits() -> None:
    from envoi.packages.delivery.services.reports import domains, hits

    make_recipients(150, **CLEAN)
    made = readers.sent()
    readers.write(made, readers.read(made, 11))
    names = {"gmail.com": "Gmail", "hotmail.fr": "Microsoft", "free.fr": "Free", "shop.example": ""}
    found = hits.by_provider(scope.of(made.delivery), domains.bins())
    for domain, provider in names.items():
        own = [hit for hit in counted_hits(made) if hit.provider == domain]
        each: Any = found[provider]
        assert each.opened == len({hit.message for hit in own})
        assert each.clicked == len({hit.message for hit in own if hit.type == 1})
        assert each.clicks == sum(hit.type == 1 for hit in own)
        assert each.opt_outs == sum(hit.type == 3 for hit in own)
    rows = table(
        signed_in("mary", "EXPORT").get(
            f"/deliveries/{made.delivery.pk}/reports/deliveryFeedback.csv?block=rates"
        )
    )
    by_name = {row[0]: row for row in rows[1:]}
    sent_there = sum(domain == "gmail.com" for domain in made.messages.values())
    assert by_name["Gmail"][1] == str(sent_there)
    assert float(by_name["Gmail"][4]) == pytest.approx(100 * found["Gmail"].opened / sent_there, abs=1e-3)
    assert float(by_name["Gmail"][7]) == pytest.approx(
        100 * found["Gmail"].clicked / found["Gmail"].opened, abs=1e-3
    )


def test_the_latest_hits_show_who_did_what_and_hide_whom_one_may_not_see() -> None:
    ids = list(make_recipients(40, **CLEAN))
    made = readers.sent()
    readers.write(made, readers.read(made, 9))
    client = signed_in("ann")
    place = f"/deliveries/{made.delivery.pk}/tracking"
    page = client.get(place).content.decode()
    rows = page.partition('id="b-hits"')[2].partition("</table>")[0]
    assert rows.count("<tr>") == 26
    machines = client.get(f"{place}?by=machines").content.decode().partition('id="b-hits"')[2]
    expected = min(sum(hit.automatic > 0 for hit in made.hits), 25)
    assert machines.partition("</table>")[0].count('class="r2"') == expected
    seen = 0
    address = place
    while address:
        rows = client.get(address).content.decode().partition('id="b-hits"')[2]
        seen += rows.count('class="r2"')
        later = re.search(r'rel="next" href="([^"#]+)#', rows)
        address = f"{place}{later[1].replace('&amp;', '&')}" if later else ""
    assert seen == len(made.hits)
    closed = make_folder("closed", "recipients", model="nms:recipient")
    allow(closed, make_operator("keeper"))
    Recipient.objects.filter(pk__in=ids).update(folder=closed)
    hidden = client.get(place).content.decode()
    assert 'class="r2"' not in hidden.partition('id="b-hits"')[2]
