"""The page of the heat map (engine.md §8.4): a day of 24 rows and 12 columns, and what ran in one cell."""

import zoneinfo
from dataclasses import dataclass
from datetime import date, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from envoi.console.access import administrators_only
from envoi.console.navigation import Word, under
from envoi.kernel import clock
from envoi.kernel.errors import Invalid
from envoi.packages.core_default.services import heat_map
from envoi.packages.core_default.services.heat_map import Filters, Kind

_LONGEST_SECONDS = 3600


@dataclass(frozen=True)
class Asked:
    """What the address asks for, checked."""

    day: date
    zone: str
    filters: Filters
    first_hour: int
    last_hour: int
    at: tuple[int, int] | None


@under(Word.MONITORING)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show one day, and below it what ran in the chosen cell."""
    actor = administrators_only(request, to=_("see the heat map"))
    problem = ""
    try:
        asked = _asked(request)
        tz = zoneinfo.ZoneInfo(asked.zone)
        shown = heat_map.day_of(asked.day, tz, asked.filters, actor=actor)
        at = asked.at
        inside = heat_map.cell_of(asked.day, *at, tz, asked.filters, actor=actor) if at else []
    except Invalid as refusal:
        problem = str(refusal)
        asked = Asked(_today(), timezone.get_current_timezone_name(), Filters(), 0, 23, None)
        tz = zoneinfo.ZoneInfo(asked.zone)
        shown = heat_map.day_of(asked.day, tz, asked.filters, actor=actor)
        inside = []
    query = request.GET.copy()
    query.pop("at", None)
    query.pop("day", None)
    context = {
        "asked": asked,
        "map": shown,
        "rows": shown.rows[asked.first_hour : asked.last_hour + 1],
        "columns": range(0, 60, 5),
        "hours": range(24),
        "steps": [(0, 0), *enumerate(heat_map.STEPS, 1)],
        "inside": inside,
        "until": _five_minutes_later(asked.at),
        "day_before": asked.day - timedelta(days=1),
        "day_after": asked.day + timedelta(days=1) if asked.day < _today(tz) else None,
        "others": query.urlencode(),
        "kinds": [
            (Kind.ALL, _("All workflows")),
            (Kind.TECHNICAL, _("Technical")),
            (Kind.MARKETING, _("Marketing")),
        ],
        "zones": sorted({"UTC", asked.zone, timezone.get_current_timezone_name()}),
        "problem": problem,
    }
    return render(request, "core_default/heat_map.html", context, status=400 if problem else 200)


def _asked(request: HttpRequest) -> Asked:
    given = {key: str(request.GET.get(key, "")).strip() for key in request.GET}
    zone = given.get("zone") or timezone.get_current_timezone_name()
    try:
        tz = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(_("There is no time zone %(zone)s.") % {"zone": zone}) from None
    try:
        day = date.fromisoformat(given["day"]) if given.get("day") else _today(tz)
        chosen = int(given["workflow"]) if given.get("workflow") else None
        first, last = int(given.get("from") or 0), int(given.get("to") or 23)
        kind = Kind(given.get("type") or Kind.ALL)
        activity = _seconds(given.get("activity"))
        lasting = _seconds(given.get("lasting"))
        at = _time(given["at"]) if given.get("at") else None
        if not (0 <= first <= last <= 23 and 1970 <= day.year < 9999):
            raise ValueError(first, last, day)
    except ValueError:
        raise Invalid(_("This day, hour, duration or type cannot be shown. Choose from the form.")) from None
    filters = Filters(activity, lasting, chosen, kind, given.get("name", ""))
    return Asked(day, zone, filters, first, last, at)


def _seconds(text: str | None) -> int:
    seconds = int(text or 0)
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise ValueError(text)
    return seconds


def _time(text: str) -> tuple[int, int]:
    hour, minute = map(int, text.split(":"))
    if not (0 <= hour <= 23 and minute in range(0, 60, 5)):
        raise ValueError(text)
    return hour, minute


def _today(tz: zoneinfo.ZoneInfo | None = None) -> date:
    return clock.now().astimezone(tz or timezone.get_current_timezone()).date()


def _five_minutes_later(at: tuple[int, int] | None) -> str:
    if at is None:
        return ""
    end = at[0] * 60 + at[1] + 5
    return f"{end // 60:02}:{end % 60:02}"
