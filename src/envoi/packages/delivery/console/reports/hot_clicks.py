"""Hot clicks, the tab Tracking: the message as it looks with the share of clicks over each link, and all
links beside it (delivery.md §11).
"""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Refused
from envoi.kernel.rights import Right
from envoi.packages.delivery.console import delivery_dashboard, delivery_tabs, timeline
from envoi.packages.delivery.console.reports import reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Choice
from envoi.packages.delivery.models import Delivery, UrlType
from envoi.packages.delivery.services.reports import hit_log, hot_clicks, scope
from envoi.packages.delivery.services.reports.clicks import Clicks, Link
from envoi.web.security import POLICY

MODES = (("clicks", lazy("Cumulated clicks")), ("people", lazy("Recipients")))
"""What the shares are of: all clicks, or the recipients who clicked at all."""
MESSAGE_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: http: data: 'self'; "
    "font-src https: data:; frame-ancestors 'self'; form-action 'none'; base-uri 'none'"
)
"""Policy of the message itself: pictures and styles of it, nothing else, and no origin."""
MAKERS = (("", lazy("All")), ("readers", lazy("Readers")), ("machines", lazy("Machines")))
ROWS = 25
KINDS: dict[int, Any] = {UrlType.OPT_OUT: lazy("opt-out"), UrlType.MIRROR: lazy("mirror page")}


@under(Word.DELIVERIES)
@require_GET
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show what was clicked in a message."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    asked = Asked(scope.of(delivery), actor, request.GET, delivery)
    sent = delivery.status not in scope.BEFORE
    mode = asked.chosen("of", [name for name, _label in MODES])
    found = reading.clicks(asked.scope)
    drawn = hot_clicks.drawable(delivery, found.links)
    known = hot_clicks.languages(delivery)
    language = asked.chosen("language", ["", *known])
    frame = reverse("delivery:delivery-hot-message", args=[number])
    shown = f"{frame}?of={mode}" + (f"&language={language}" if language else "")
    context = {
        "sent": sent,
        "found": found,
        "whole": found.people if mode == "people" else found.whole,
        "mode": mode,
        "modes": _modes(asked),
        "links": [_line(each, found, mode, drawn, shown) for each in found.links],
        "languages": asked.choices("language", [("", _("Default")), *((each, each) for each in known)])
        if known
        else (),
        "frame": shown if sent and hot_clicks.can_show(delivery) else "",
        "news": reading.tracking_news(asked.scope),
        **_latest(asked, delivery, found),
        "nothing": reading.nothing_yet(_("No link was clicked yet."), asked.scope),
        "csv": reverse("delivery:delivery-report-csv", args=[number, "topUrlDelivery"]) + "?block=links"
        if actor.has(Right.EXPORT)
        else "",
    }
    answer = delivery_tabs.show(
        request, "delivery/reports/hot_clicks.html", delivery, actor, "tracking", context
    )
    answer["Content-Security-Policy"] = f"{POLICY}; frame-src 'self'"
    return answer


@under(Word.DELIVERIES)
@require_GET
@xframe_options_sameorigin
def message(request: HttpRequest, number: int) -> HttpResponse:
    """Show the message alone, with its badges."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    asked = Asked(scope.of(delivery), actor, request.GET, delivery)
    mode = asked.chosen("of", [name for name, _label in MODES])
    found = reading.clicks(asked.scope)
    language = asked.chosen("language", ["", *hot_clicks.languages(delivery)])
    answer = HttpResponse(_message(delivery, found, mode, language))
    answer["Content-Security-Policy"] = MESSAGE_POLICY
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def _message(delivery: Delivery, found: Clicks, mode: str, language: str) -> str:
    drawn = hot_clicks.drawable(delivery, found.links)
    whole = found.people if mode == "people" else found.whole
    counted = {each.number: _count(each, mode) for each in found.links if each.number in drawn}
    most = max(counted.values(), default=0) or 1
    badges = {
        number: (delivery_dashboard.percent(count, whole), count / most) for number, count in counted.items()
    }
    try:
        return hot_clicks.message(delivery, badges, language)
    except Refused as refusal:
        return f"<!doctype html><meta charset=utf-8><p>{refusal}"


def _latest(asked: Asked, delivery: Delivery, found: Clicks) -> dict[str, Any]:
    """Return the latest hits, newest first, of readers or of machines or of both."""
    maker = asked.chosen("by", [name for name, _label in MAKERS])
    before = str(asked.given.get("before") or "")
    rows, later = hit_log.read(
        delivery,
        asked.scope,
        actor=asked.actor,
        most=ROWS,
        maker=maker,
        before=int(before) if before.isdecimal() and len(before) < 19 else None,
    )
    names = {each.number: each.label or each.url for each in found.links}
    return {
        "makers": asked.choices("by", MAKERS),
        "hits": [
            {
                "hit": each,
                "page": reverse("delivery:recipient", args=[each.target])
                if each.target > 0 and delivery.mapping.schema == "nms:recipient"
                else "",
                "kind": timeline.spoken("nms:trackingUrl", "type", each.type),
                "link": names.get(each.url, ""),
                "maker": timeline.spoken("nms:trackingLogRcp", "automatic", each.automatic)
                if each.automatic
                else "",
                "machine": each.automatic > 0,
                "program": " · ".join(filter(None, (each.browser, each.os))),
            }
            for each in rows
        ],
        "later": f"?{asked.query(before=str(later))}#b-hits" if later is not None else "",
        "first": bool(before),
    }


def _modes(asked: Asked) -> Sequence[Choice]:
    return asked.choices("of", MODES)


def _count(each: Link, mode: str) -> int:
    return each.people if mode == "people" else each.clicks


def _line(each: Link, found: Clicks, mode: str, drawn: set[int], frame: str) -> dict[str, Any]:
    whole = found.people if mode == "people" else found.whole
    count = _count(each, mode)
    most = max((_count(one, mode) for one in found.links), default=0) or 1
    kind = KINDS.get(each.type, "")
    return {
        "link": each,
        "name": each.label or each.url or str(kind).capitalize(),
        "url": each.url if each.label else "",
        "kind": kind or ("" if each.number in drawn else _("in a block")),
        "share": delivery_dashboard.percent(count, whole),
        "length": round(100 * count / most, 1),
        "jump": f"{frame}#l{each.number}" if each.number in drawn else "",
    }
