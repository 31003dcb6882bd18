"""User activities: opens, clicks and transactions per half-hour, hour or day (delivery.md §10.2,
`recipientActivity`).
"""

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.console import words
from envoi.packages.delivery.console import charts
from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Column, Drawing, Figure, Row

WIDTHS = {
    "hour": (lazy("Hour"), timedelta(hours=1)),
    "half": (lazy("Half-hour"), timedelta(minutes=30)),
    "day": (lazy("Day"), timedelta(days=1)),
}
POINTS = 400
"""Most points of a line; a longer time is cut to its beginning."""


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    name = asked.chosen("step", list(WIDTHS))
    width = WIDTHS[name][1]
    found, cut = reading.activities(asked.scope, width, POINTS)
    opens, clicks = sum(each.opens for each in found), sum(each.clicks for each in found)
    transactions = sum(each.transactions for each in found)
    drawing = None
    if found and (opens or clicks or transactions):
        begin, end = found[0].start, found[-1].start + width
        lines = [
            ("l1", [(each.start + width / 2, float(each.opens)) for each in found]),
            ("l2", [(each.start + width / 2, float(each.clicks)) for each in found]),
        ]
        names = [("l1", _("Opens")), ("l2", _("Clicks"))]
        if transactions:
            lines.append(("l3", [(each.start + width / 2, float(each.transactions)) for each in found]))
            names.append(("l3", _("Transactions")))
        if len(found) == 1:
            lines = [(css, [(begin, points[0][1]), (end, points[0][1])]) for css, points in lines]
        best = max(found, key=lambda each: each.opens)
        drawing = Drawing(
            charts.draw(begin, end, lines),
            _("%(opens)s opens and %(clicks)s clicks over time; most opens, %(best)s, from %(at)s on.")
            % {
                "opens": words.number(opens),
                "clicks": words.number(clicks),
                "best": words.number(best.opens),
                "at": words.moment(best.start),
            },
            names,
        )
    rows = [
        Row((each.start, each.opens, each.clicks, each.transactions))
        for each in found
        if each.opens or each.clicks or each.transactions
    ]
    return [
        Block(
            "activity",
            _("What readers did, over time"),
            [
                Figure(_("Opens"), opens, "totalRecipientOpen"),
                Figure(_("Clicks"), clicks, "totalRecipientClick"),
                Figure(_("Transactions"), transactions, "transaction"),
            ]
            if drawing
            else (),
            drawing=drawing,
            columns=(
                Column(_("From")),
                Column(_("Opens"), "totalRecipientOpen"),
                Column(_("Clicks"), "totalRecipientClick"),
                Column(_("Transactions"), "transaction"),
            ),
            rows=rows,
            folded=True,
            choices=asked.choices("step", [(key, label) for key, (label, _width) in WIDTHS.items()]),
            note=_("Only the beginning is shown: choose longer steps to see all of it.") if cut else "",
            empty=reading.nothing_yet(_("Nothing was opened or clicked yet."), asked.scope),
        )
    ]
