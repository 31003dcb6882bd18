"""How much goes out, of all deliveries together: messages an hour and Mbit/s, success and errors
(delivery.md §2.14).
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from babel.numbers import format_decimal
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from envoi.console import live, words
from envoi.console.navigation import Word, under
from envoi.kernel import clock
from envoi.packages.delivery.console import charts, delivery_dashboard
from envoi.packages.delivery.services import statistics
from envoi.packages.delivery.services.statistics.remembering import remembered
from envoi.packages.delivery.services.statistics.slices import WIDTH, width_of

DESTINATIONS = 20


@under(Word.REPORTS)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show the throughput of the last hours."""
    span = request.GET.get("span", "")
    span = span if span in statistics.SPANS else "3h"
    etag = live.tag(request)

    def draw() -> HttpResponse:
        region = live.wants_region(request)
        context = _context(span) | {
            "etag": etag,
            "here": request.get_full_path(),
            "region_only": region,
            "shell": "delivery/delivery_shell.html" if region else "console/base.html",
        }
        return render(request, "delivery/throughput.html", context)

    return live.answer(request, etag, draw)


def _context(span: str) -> dict[str, Any]:
    now = clock.now()
    end = now - timedelta(seconds=now.timestamp() % WIDTH.total_seconds()) + WIDTH
    begin = end - statistics.SPANS[span]
    width = width_of(end - begin)
    found = remembered(("throughput", span), now, lambda: statistics.slices(None, begin, end, width))
    servers = remembered(
        ("destinations", span), now, lambda: statistics.destinations(begin, end, DESTINATIONS)
    )
    sent, failed = sum(each.sent for each in found), sum(each.failed for each in found)
    rates = delivery_dashboard.per_hour(found, width, now)
    speeds = [_speed(each, width, now) for each in found]
    peak = max((value for _at, value in rates[0][1]), default=0.0) if rates else 0.0
    rate = statistics.rate(None, now=now) * 3600
    return {
        "span": span,
        "spans": tuple(statistics.SPANS),
        "answer": _("%(n)s messages an hour now.") % {"n": words.number(round(rate))}
        if rate
        else _("Nothing goes out now."),
        "sent": sent,
        "failed": failed,
        "deferred": sum(each.deferred for each in found),
        "share": delivery_dashboard.percent(failed, sent + failed),
        "peak": words.number(round(peak)),
        "speed": _decimal(max((value for _at, value in speeds), default=0.0)),
        "line": charts.draw(begin, end, rates) if sent + failed else None,
        "mbits": charts.draw(begin, end, [("l1", speeds)], least=0.04) if sent else None,
        "servers": [
            {
                **asdict(each),
                "rate": delivery_dashboard.percent(each.failed, each.sent + each.failed),
                "bad": each.failed >= delivery_dashboard.WORST * max(each.sent + each.failed, 1)
                and each.failed > 0,
                "mb": _decimal(each.bytes / 1e6),
            }
            for each in servers
        ],
    }


def _speed(found: statistics.Slice, width: timedelta, now: datetime) -> tuple[datetime, float]:
    """Return the middle of a slice, and its millions of bits a second over what of it has passed."""
    spent = min(width, max(now - found.start, timedelta(minutes=1)))
    return found.start + spent / 2, found.bytes * 8 / 1e6 / spent.total_seconds()


def _decimal(value: float) -> str:
    return format_decimal(round(value, 1 if value >= 10 else 2), locale=words.locale())
