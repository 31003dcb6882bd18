"""Tracking statistics: how long it took to reach a share of all opens, clicks, transactions (delivery.md
§10.2, `trackingStatistics`).
"""

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.console import words
from envoi.packages.delivery.console import charts, delivery_dashboard
from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Cell, Column, Drawing, Row
from envoi.packages.delivery.services.reports import over_time

STEPS = (5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 100)
"""Per cents of the table."""
VIEWS = {
    "all": (lazy("All"), 0),
    "3": (lazy("3 h"), 3),
    "24": (lazy("24 h"), 24),
    "168": (lazy("7 days"), 168),
}


def build(asked: Asked) -> list[Block]:
    """Return the blocks of the report."""
    found = reading.cheap("pace", asked.scope, lambda: over_time.since_start(asked.scope))
    kinds = [
        (css, label, curve)
        for css, label, curve in (
            ("l1", _("Opens"), found.opens),
            ("l2", _("Clicks"), found.clicks),
            ("l3", _("Transactions"), found.transactions),
        )
        if curve
    ]
    last = max((curve[-1][0] for _css, _label, curve in kinds), default=timedelta())
    hours = VIEWS[asked.chosen("hours", list(VIEWS))][1] or max(last.total_seconds() / 3600, 1.0)
    drawing = None
    if kinds:
        lines = [(css, _line(curve, hours)) for css, _label, curve in kinds]
        half = over_time.reached(kinds[0][2], 50)
        drawing = Drawing(
            charts.curves(lines, hours),
            _("Share of all opens, clicks and transactions over the time since the first message; half of "
              "the %(what)s came within %(time)s.")
            % {
                "what": kinds[0][1].lower(),
                "time": words.duration(half.total_seconds()) if half is not None else words.NONE,
            },
            [(css, label) for css, label, _curve in kinds],
        )  # fmt: skip
    return [
        Block(
            "pace",
            _("Time to reach a share"),
            drawing=drawing,
            columns=(
                Column(_("Share")),
                Column(_("Opens"), "timeToReach"),
                Column(_("Clicks"), "timeToReach"),
                Column(_("Transactions"), "timeToReach"),
            ),
            rows=[
                Row(
                    (
                        delivery_dashboard.percent(step, 100),
                        _time(found.opens, step),
                        _time(found.clicks, step),
                        _time(found.transactions, step),
                    )
                )
                for step in STEPS
            ]
            if kinds
            else (),
            choices=asked.choices("hours", [(key, label) for key, (label, _hours) in VIEWS.items()]),
            note=_("Times are since the first message of each delivery, to five minutes."),
            empty=reading.nothing_yet(_("Nothing was opened or clicked yet."), asked.scope),
        )
    ]


def _time(curve: over_time.Curve, step: int) -> Cell:
    return over_time.reached(curve, step)


def _line(curve: over_time.Curve, hours: float) -> list[tuple[float, float]]:
    whole = sum(count for _at, count in curve) or 1
    points, before = [(0.0, 0.0)], 0
    for at, count in curve:
        hour = at.total_seconds() / 3600
        if hour > hours:
            break
        before += count
        points.append((hour, before / whole))
    points.append((hours, points[-1][1]))
    return points
