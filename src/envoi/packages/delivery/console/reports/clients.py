"""With what readers read: breakdown of opens, browsers, operating systems (delivery.md §10.2)."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from envoi.console import words
from envoi.packages.delivery.console import charts, timeline
from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block, Column, Drawing, Figure, Row, Share
from envoi.packages.delivery.models import Device
from envoi.packages.delivery.services.reports import clients
from envoi.packages.delivery.services.reports.clients import Opens, Visitors, What

MOBILE = frozenset({Device.PHONE, Device.TABLET})
NAMES: dict[What, Any] = {"browser": lazy("Browser"), "os": lazy("Operating system")}


def opens(asked: Asked) -> list[Block]:
    """Return the blocks of the breakdown of opens: by system, device and browser; of all, and on the move."""
    found = reading.kept("opens", asked.scope, lambda: clients.opens(asked.scope))
    whole = sum(each.count for each in found)
    mobile = sum(each.count for each in found if each.device in MOBILE)
    figures = Block(
        "opens",
        _("Opens"),
        [
            Figure(_("Opens"), whole, "totalRecipientOpen"),
            Figure(_("On phones and tablets"), Share(mobile, whole), "opensShare", mobile),
        ]
        if whole
        else (),
        note=_(
            "Systems and browsers are what mail programs say of themselves; readers of text are not seen."
        ),
        empty=reading.nothing_yet(_("Nothing was opened yet."), asked.scope),
    )
    if not whole:
        return [figures]
    return [
        figures,
        _breakdown("systems", _("By operating system"), _("Operating system"), found, lambda one: one.os),
        _breakdown("devices", _("By device"), _("Device"), found, lambda one: device(one.device)),
        _breakdown("browsers", _("By browser"), _("Browser"), found, lambda one: one.browser),
    ]


def _breakdown(
    name: str, title: str, first: str, found: Iterable[Opens], by: Callable[[Opens], str]
) -> Block:
    everywhere, moving = Counter[str](), Counter[str]()
    for each in found:
        key = by(each) or _("unknown")
        everywhere[key] += each.count
        if each.device in MOBILE:
            moving[key] += each.count
    whole, mobile = everywhere.total(), moving.total()
    return Block(
        name,
        title,
        columns=(
            Column(first),
            Column(_("Opens"), "totalRecipientOpen"),
            Column(_("Share"), "opensShare", "k1"),
            Column(_("On phones and tablets"), "totalRecipientOpen"),
            Column(_("Share of these"), "opensShare", "k3"),
        ),
        rows=[
            Row((key, count, Share(count, whole), moving[key], Share(moving[key], mobile)))
            for key, count in everywhere.most_common()
        ],
    )


def browsers(asked: Asked) -> list[Block]:
    """Return the blocks of the report on browsers."""
    return _visitors(asked, "browser")


def systems(asked: Asked) -> list[Block]:
    """Return the blocks of the report on operating systems."""
    return _visitors(asked, "os")


def device(code: int) -> str:
    """Return the name of a kind of device."""
    return timeline.spoken("nms:userAgent", "device", code)


def _visitors(asked: Asked, what: What) -> list[Block]:
    zone = words.zone_name()
    found = reading.kept(
        "visitors", asked.scope, lambda: clients.visitors(asked.scope, what, zone), what, zone
    )
    ranked = sorted(found.names.items(), key=lambda each: (-each[1][0], each[0]))
    chosen = asked.chosen("name", [name for name, _counts in ranked]) if ranked else ""
    blocks = [
        Block(
            "usage",
            _("Global statistics"),
            columns=(
                Column(str(NAMES[what])),
                Column(_("Visitors"), "visitors"),
                Column(_("Pages viewed"), "pages"),
                Column(_("Usage rate"), "usage", "k1"),
            ),
            rows=[
                Row(
                    (_known(name), people, clicks, Share(people, found.total)),
                    f"?{asked.query(name=name)}#b-history",
                )
                for name, (people, clicks) in ranked
            ],
            note=_("Only recipients who clicked are known: these numbers are estimates."),
            empty=reading.nothing_yet(_("Nobody has clicked yet."), asked.scope),
        )
    ]
    return [*blocks, _history(found, chosen), _versions(found, chosen)] if ranked else blocks


def _history(found: Visitors, chosen: str) -> Block:
    days = sorted((day, count) for (name, day), count in found.days.items() if name == chosen)
    best = max((count for _day, count in days), default=0)
    drawing = None
    if len(days) > 1:
        zone = timezone.get_current_timezone()

        def noon(day: date) -> datetime:
            return datetime.combine(day, time(12), tzinfo=zone)

        begin, end = noon(days[0][0]), noon(days[-1][0])
        known = dict(days)
        points: list[tuple[datetime, float]] = []
        at = days[0][0]
        while at <= days[-1][0]:
            points.append((noon(at), known.get(at, 0) / best))
            at += timedelta(days=1)
        drawing = Drawing(
            charts.draw(begin, end, [("l1", points)], least=1.0, percent=True),
            _("Visitors with %(name)s by day, as a share of the best day.") % {"name": _known(chosen)},
        )
    return Block(
        "history",
        _("History: %(name)s") % {"name": _known(chosen)},
        drawing=drawing,
        columns=(Column(_("Day")), Column(_("Visitors"), "visitors"), Column(_("Rate"), "attendance", "k1")),
        rows=[Row((day, count, Share(count, best))) for day, count in days],
        folded=len(days) > 14,
    )


def _versions(found: Visitors, chosen: str) -> Block:
    own = found.names.get(chosen, (0, 0))[0]
    rows = sorted(
        ((version, counts) for (name, version), counts in found.versions.items() if name == chosen),
        key=lambda each: (-each[1][0], each[0]),
    )
    return Block(
        "versions",
        _("Versions: %(name)s") % {"name": _known(chosen)},
        columns=(
            Column(_("Version")),
            Column(_("Visitors"), "visitors"),
            Column(_("Global rate"), "globalRate"),
            Column(_("Relative rate"), "relativeRate", "k1"),
        ),
        rows=[
            Row((_known(version), people, Share(people, found.total), Share(people, own)))
            for version, (people, _clicks) in rows
        ],
    )


def _known(name: str) -> str:
    return name or _("unknown")
