"""When deliveries go out: a week or a month of days, and the deliveries of the day that is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_date, format_skeleton, get_day_names
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_GET

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.kernel import clock, folders
from envoi.packages.delivery.console import delivery_tabs, timeline
from envoi.packages.delivery.models import Channel, DeliveryState
from envoi.packages.delivery.services.statistics.planned import Planned, planned, undated

SHOWN = 4
"""Entries of a day in a month; in a week all are shown."""
VIEWS = ("week", "month", "list")
S = DeliveryState
STATES: tuple[tuple[str, Any, frozenset[DeliveryState]], ...] = (
    ("editing", lazy("Being edited"), frozenset({S.EDITING})),
    (
        "preparing",
        lazy("In preparation"),
        frozenset(
            {S.TARGET_PENDING, S.TARGETING, S.TARGET_READY, S.PREPARATION_PENDING, S.PREPARING, S.EXTRACTION}
        ),
    ),
    ("ready", lazy("Ready to be delivered"), frozenset({S.READY})),
    ("pending", lazy("Pending"), frozenset({S.START_PENDING})),
    (
        "progress",
        lazy("In progress"),
        frozenset({S.IN_PROGRESS, S.RETRY_PENDING, S.RETRYING, S.STOP_ASKED, S.STOPPING}),
    ),
    ("paused", lazy("Paused"), frozenset({S.PAUSE_ASKED, S.PAUSING, S.PAUSED})),
    ("finished", lazy("Finished"), frozenset({S.FINISHED})),
    ("stopped", lazy("Canceled"), frozenset({S.STOPPED})),
    ("failed", lazy("Failed"), frozenset({S.FAILED})),
)
"""Groups of states by which deliveries are filtered (delivery.md §2.3)."""


def ready_filters() -> list[tuple[Any, str]]:
    """Return the same groups as filters of a list of deliveries."""
    return [
        (label, " OR ".join(f"@state = {int(each)}" for each in sorted(states)))
        for _name, label, states in STATES
    ]


@dataclass(frozen=True)
class Line:
    """One delivery at its time."""

    planned: Planned
    face: Face
    icon: str
    channel: str


@dataclass
class Day:
    """One day of the calendar."""

    date: date
    name: str
    address: str
    inside: bool
    """Of the month that is shown."""
    today: bool
    chosen: bool
    lines: list[Line] = field(default_factory=list)
    more: int = 0

    @property
    def messages(self) -> int:
        """How many messages are planned."""
        return sum(each.planned.messages for each in self.lines)

    @property
    def shown(self) -> list[Line]:
        """Those for which there is room."""
        return self.lines[: len(self.lines) - self.more]


@under(Word.DELIVERIES)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show the calendar around a day."""
    actor = actor_of_request(request)
    given = request.GET
    view = given.get("view") if given.get("view") in VIEWS else "month"
    today = clock.now().astimezone(timezone.get_current_timezone()).date()
    chosen = _date(given.get("day")) or today
    first, last = _range(chosen, str(view))
    channel = _one_of(given.get("channel"), Channel.values)
    group = next((each for each in STATES if each[0] == given.get("state")), None)
    found_folders = list(folders.readable_folders(actor).filter(model="nms:delivery").order_by("path")[:200])
    folder = _one_of(given.get("folder"), [each.folder_id for each in found_folders])
    found = planned(
        _midnight(first), _midnight(last + timedelta(days=1)), actor=actor, channel=channel,
        states=group[2] if group else (), folder=folder,
    )  # fmt: skip
    kept = {name: given[name] for name in ("channel", "state", "folder") if given.get(name)}

    def address(day: date, **more: str) -> str:
        return "?" + urlencode({"view": view, "day": day.isoformat(), **kept, **more})

    days = [
        Day(
            each,
            words.day(_midnight(each))
            if each.year == today.year
            else format_date(each, "full", locale=words.locale()),
            address(each),
            view != "month" or each.month == chosen.month,
            each == today,
            each == chosen,
        )
        for each in (first + timedelta(days=at) for at in range((last - first).days + 1))
    ]
    by_date = {each.date: each for each in days}
    for each in found:
        at = each.at.astimezone(timezone.get_current_timezone()).date()
        if at in by_date:
            by_date[at].lines.append(_line(each))
    if view == "month":
        for each in days:
            each.more = max(len(each.lines) - SHOWN, 0) if len(each.lines) > SHOWN + 1 else 0
    context = {
        "view": view,
        "views": [
            ("week", _("Week"), address(chosen, view="week")),
            ("month", _("Month"), address(chosen, view="month")),
            ("list", _("List"), address(chosen, view="list")),
        ],
        "title": _title(chosen, first, last, str(view)),
        "answer": _answer(found),
        "earlier": address(_step(chosen, str(view), -1)),
        "later": address(_step(chosen, str(view), 1)),
        "this_day": address(today),
        "weeks": [days[at : at + 7] for at in range(0, len(days), 7)],
        "days": [each for each in days if each.lines],
        "names": _day_names(first),
        "day": by_date.get(chosen),
        "channels": [
            (value, timeline.spoken("nms:delivery", "messageType", value)) for value in Channel.values
        ],
        "channel": channel,
        "states": [(name, label) for name, label, _states in STATES],
        "state": group[0] if group else "",
        "folders": [(each.folder_id, folders.label_of(each)) for each in found_folders],
        "folder": folder,
        "chosen": chosen.isoformat(),
        "undated": undated(actor=actor),
    }
    return render(request, "delivery/calendar.html", context)


def _line(each: Planned) -> Line:
    delivery = each.delivery
    return Line(
        each,
        delivery_tabs.face(delivery.state),
        delivery_tabs.CHANNEL_ICONS.get(delivery.message_type, "mail"),
        timeline.spoken("nms:delivery", "messageType", delivery.message_type),
    )


def _range(chosen: date, view: str) -> tuple[date, date]:
    """Return the first and the last day that are shown: whole weeks, as the reader counts them."""
    if view == "week":
        first = _week_of(chosen)
        return first, first + timedelta(days=6)
    begin = chosen.replace(day=1)
    end = _step(begin, "month", 1) - timedelta(days=1)
    if view == "list":
        return begin, end
    return _week_of(begin), _week_of(end) + timedelta(days=6)


def _week_of(day: date) -> date:
    return day - timedelta(days=(day.weekday() - words.locale().first_week_day) % 7)


def _step(day: date, view: str, by: int) -> date:
    """Return the same day of the week or the month before or after."""
    if view == "week":
        return day + timedelta(days=7 * by)
    month = day.month - 1 + by
    year, month = day.year + month // 12, month % 12 + 1
    begin = date(year, month, 1)
    longest = (date(year + month // 12, month % 12 + 1, 1) - begin).days
    return begin.replace(day=min(day.day, longest))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.get_current_timezone())


def _title(chosen: date, first: date, last: date, view: str) -> str:
    locale = words.locale()
    if view != "week":
        return format_skeleton("yMMMM", chosen, locale=locale).capitalize()
    said = {
        "first": format_date(first, "medium", locale=locale),
        "last": format_date(last, "medium", locale=locale),
    }
    return _("%(first)s to %(last)s") % said


def _answer(found: Sequence[Planned]) -> str:
    """Return the sentence above: how much, and which day has most."""
    if not found:
        return _("Nothing goes out in this time.")
    zone = timezone.get_current_timezone()
    by_day: dict[date, int] = {}
    for each in found:
        at = each.at.astimezone(zone).date()
        by_day[at] = by_day.get(at, 0) + each.messages
    most = max(by_day, key=lambda day: (by_day[day], day))
    said = {
        "n": words.number(sum(by_day.values())),
        "day": words.day(_midnight(most)),
        "most": words.number(by_day[most]),
    }
    if len(by_day) == 1 or not by_day[most]:
        return _("%(n)s messages go out.") % said
    return _("%(n)s messages go out, most of them on %(day)s: %(most)s.") % said


def _day_names(first: date) -> list[tuple[str, str]]:
    long, short = (
        get_day_names("wide", locale=words.locale()),
        get_day_names("abbreviated", locale=words.locale()),
    )
    return [(long[(first.weekday() + at) % 7], short[(first.weekday() + at) % 7]) for at in range(7)]


def _date(text: str | None) -> date | None:
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return None
    return found if 2000 <= found.year <= 2200 else None


def _one_of(text: str | None, known: Sequence[int]) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and int(text) in known else None
