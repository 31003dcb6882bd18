"""URLs and click streams: how often what was clicked, with the average of the platform (delivery.md §10.2,
`topUrlDelivery`).
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.console import words
from envoi.packages.delivery.console import charts
from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import (
    Block,
    Cell,
    Column,
    Drawing,
    Figure,
    Row,
    Share,
    text,
)
from envoi.packages.delivery.models import UrlType
from envoi.packages.delivery.services.reports import over_time, platform, totals
from envoi.packages.delivery.services.reports.clicks import Clicks, Link

WAYS = (("url", lazy("By link")), ("label", lazy("By label")), ("category", lazy("By category")))


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    found = reading.clicks(asked.scope)
    return [_rates(asked, found), _links(asked, found), _days(asked)]


def _rates(asked: Asked, found: Clicks) -> Block:
    sums, usual = totals.of(asked.scope.deliveries), platform.average(asked.scope)

    def beside(share: Share) -> Cell:
        return _("platform: %(share)s") % {"share": text(share)}

    return Block(
        "rates",
        _("Click rates"),
        [
            Figure(_("Reactivity"), Share(*sums.reactivity), "reactivity", beside(Share(*usual.reactivity))),
            Figure(
                _("Distinct clicks"),
                Share(sums.person_click, sums.success),
                "personClick",
                beside(Share(usual.person_click, usual.success)),
            ),
            Figure(
                _("Cumulated clicks"),
                Share(sums.total_recipient_click, sums.success),
                "totalRecipientClick",
                beside(Share(usual.total_recipient_click, usual.success)),
            ),
        ],
        note=_(
            "The average of the platform is that of the deliveries of the last six months with the same "
            "typology and channel, without proofs."
        ),
    )


def _links(asked: Asked, found: Clicks) -> Block:
    way = asked.chosen("by", [name for name, _label in WAYS])
    rows = [
        Row((name, clicks, Share(clicks, found.clicks), people), below=below)
        for name, below, clicks, people in _grouped(found.links, way)
    ]
    if rows:
        rows.append(Row((_("All"), found.clicks, Share(found.clicks, found.clicks), None), total=True))
    return Block(
        "links",
        _("Clicks by link"),
        columns=(
            Column(_("Link")),
            Column(_("Clicks"), "linkClicks"),
            Column(_("Clicks, share"), "linkShare", "k2"),
            Column(_("Recipients who clicked"), "linkPeople"),
        ),
        rows=rows if found.clicks else (),
        empty=reading.nothing_yet(_("No link was clicked yet."), asked.scope),
        choices=asked.choices("by", WAYS),
        note=_("Opt-out links and mirror pages are not counted here."),
    )


def _grouped(found: Iterable[Link], way: str) -> list[tuple[str, str, int, int]]:
    """Return name, what stands below it, clicks and people of each link, label or category."""
    clicks, people, below = Counter[str](), Counter[str](), dict[str, str]()
    for each in found:
        if each.type != UrlType.CLICK:
            continue
        match way:
            case "category":
                name, more = each.category or _("without a category"), ""
            case "label":
                name, more = each.label or each.url, each.url if each.label else ""
            case _:
                name, more = each.url, each.label
        clicks[name] += each.clicks
        people[name] += each.people
        below.setdefault(name, more)
    return [(name, below[name], count, people[name]) for name, count in clicks.most_common()]


def _days(asked: Asked) -> Block:
    found = reading.days(asked.scope)
    clicked = [(day, count.clicks) for day, count in found]
    whole = sum(count for _day, count in clicked)
    drawing = None
    if whole and clicked:
        begin, end = clicked[0][0], clicked[-1][0] + timedelta(days=1)
        points = _ended([(day + timedelta(hours=12), float(count)) for day, count in clicked], begin, end)
        best = max(clicked, key=lambda each: each[1])
        drawing = Drawing(
            charts.draw(begin, end, [("l1", points)]),
            _("Cumulated clicks by day; most of them, %(n)s, on %(day)s.")
            % {"n": words.number(best[1]), "day": words.day(best[0])},
        )
    return Block(
        "days",
        _("Breakdown of clicks in time"),
        drawing=drawing,
        columns=(
            Column(_("Day")),
            Column(_("Clicks"), "totalRecipientClick"),
            Column(_("Share"), "linkShare", "k1"),
        ),
        rows=[Row((day.date(), count, Share(count, whole))) for day, count in clicked] if whole else (),
        folded=len(clicked) > over_time.SHORT,
        empty=reading.nothing_yet(_("No link was clicked yet."), asked.scope),
    )


def _ended(
    points: list[tuple[datetime, float]], begin: datetime, end: datetime
) -> list[tuple[datetime, float]]:
    """Return the points of a line that has at least two."""
    return [(begin, points[0][1]), (end, points[0][1])] if len(points) == 1 else points
