"""Health of destinations and of our addresses: what went where, what was refused, what is blocked and why."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_http_methods

from envoi.console import live
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Right
from envoi.packages.delivery.console import charts
from envoi.packages.delivery.console.sending_pages import number
from envoi.packages.delivery.models import DeliveryStat, MxBlock, SendingIp
from envoi.packages.delivery.services.routing import blocks, health
from envoi.packages.delivery.services.routing.health import Row, Slice

SPANS: dict[str, tuple[Any, timedelta, timedelta]] = {
    "1h": (lazy("1 hour"), timedelta(hours=1), timedelta(minutes=5)),
    "3h": (lazy("3 hours"), timedelta(hours=3), timedelta(minutes=5)),
    "24h": (lazy("24 hours"), timedelta(hours=24), timedelta(minutes=30)),
}
FEWEST = 20
"""Attempts from which on a ratio says something."""
SHOWN = 60


@dataclass(frozen=True)
class Line:
    """A row with how it looks."""

    row: Row
    label: str
    css: str
    icon: str
    word: str
    percent: float


@under(Word.MONITORING)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show it; `do=lift` ends a block."""
    actor = actor_of_request(request)
    if not actor.has(Right.START_DELIVERIES):
        actor.require(Right.PREPARE_DELIVERIES, to=_("see how mail goes"))
    if request.method == "POST":
        try:
            blocks.lift(number(request.POST.get("block", "")), actor=actor)
            messages.success(request, _("It is open again. Senders know it within a minute."))
        except (NotFound, Invalid) as refusal:
            messages.error(request, str(refusal))
        return redirect(request.get_full_path())
    span = request.GET.get("span", "")
    span = span if span in SPANS else "1h"
    latest = DeliveryStat.objects.aggregate(at=Max("slice"), n=Max("delivery_stat_id"))
    blocked = MxBlock.objects.aggregate(until=Max("until"), lifted=Max("lifted_at"))
    etag = live.tag(request, *latest.values(), *blocked.values())

    def draw() -> HttpResponse:
        part = "region" if live.wants_region(request) else "page"
        context = {
            **_content(actor, span),
            "etag": etag,
            "here": request.get_full_path(),
            "icons": "ok warn bad req stop",
            "opens": actor.is_administrator,
        }
        return render(request, f"delivery/health/{part}.html", context)

    return live.answer(request, etag, draw)


def _content(actor: Any, span: str) -> dict[str, Any]:
    _label, length, width = SPANS[span]
    now = clock.now()
    until = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) + health.SLICE
    since = until - length
    slices = health.slices(since, until, width)
    lines = [_line(row) for row in health.destinations(since, actor=actor)]
    known = dict(SendingIp.objects.values_list("public_id", "address"))
    ours = [_line(row, known.get(int(row.name), "") or _own(row.name)) for row in health.addresses(since)]
    total = Row("")
    for each in slices:
        total.sent, total.failed = total.sent + each.sent, total.failed + each.failed
        total.deferred, total.bytes = total.deferred + each.deferred, total.bytes + each.bytes
    return {
        "spans": [(name, label, name == span) for name, (label, _span, _width) in SPANS.items()],
        "span": span,
        "lines": lines[:SHOWN],
        "left_out": max(0, len(lines) - SHOWN),
        "ours": ours,
        "blocks": blocks.current(),
        "total": total,
        "chart": _chart(slices, width, now) if total.total else None,
        "slices": [(each, _rates(each, width)) for each in reversed(slices) if _any(each)],
    }


def _line(row: Row, label: str = "") -> Line:
    percent = round(100 * row.ratio, 1)
    css, icon, word = "ok", "ok", _("Well")
    if row.total < FEWEST:
        css, icon, word = "draft", "req", _("Too few to tell")
    elif row.ratio >= 0.5:
        css, icon, word = "bad", "bad", _("Refused")
    elif row.ratio >= 0.2:
        css, icon, word = "warn", "warn", _("Look at it")
    return Line(row, label or row.name or _("no server answered"), css, icon, word, percent)


def _own(name: str) -> str:
    return _("chosen by the system") if name == "0" else _("address %(n)s") % {"n": name}


def _any(each: Slice) -> bool:
    return bool(each.sent or each.failed or each.deferred)


def _rates(each: Slice, width: timedelta) -> tuple[float, float]:
    """Return messages an hour and megabits a second."""
    seconds = width.total_seconds()
    return each.sent * 3600 / seconds, round(each.bytes * 8 / 1e6 / seconds, 3)


def _chart(slices: list[Slice], width: timedelta, now: Any) -> charts.Chart:
    hours = width.total_seconds() / 3600
    sent = [(each.start + width / 2, each.sent / hours) for each in slices]
    bad = [(each.start + width / 2, (each.failed + each.deferred) / hours) for each in slices]
    return charts.draw(slices[0].start, slices[-1].start + width, [("l1", sent), ("le", bad)], now=now)
