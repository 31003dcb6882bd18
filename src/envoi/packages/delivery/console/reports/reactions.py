"""How readers react, as the dashboard of a delivery shows it: from the indicators that tracking has worked
out, and the first two days in slices. No row of a log is read.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from envoi.console import live, words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock, folders
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import charts, delivery_dashboard, delivery_tabs
from envoi.packages.delivery.models import Channel, Delivery
from envoi.packages.delivery.services.reports import reactions, totals
from envoi.packages.delivery.services.statistics.remembering import remembered

FIRST = timedelta(hours=48)
"""How much of the beginning the small line shows."""
SPARK = (320.0, 44.0)


@dataclass(frozen=True)
class Stage:
    """A stage of the way from the message to the click: length of its bar in per cent, of the first stage."""

    label: str
    definition: str
    count: int
    share: str
    css: str
    length: float


def shown(delivery: Delivery) -> bool:
    """Return whether a delivery has readers who may have reacted."""
    mails = delivery.message_type == Channel.EMAIL and not delivery.is_model
    return mails and delivery.status not in delivery_dashboard.BEFORE


@under(Word.DELIVERIES)
@require_GET
def region(request: HttpRequest, number: int) -> HttpResponse:
    """Show the card alone: it asks by itself once the page around it asks no more."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    etag = _etag(request, delivery)
    if request.headers.get("If-None-Match") == etag:
        answer = HttpResponse(status=304)
    else:
        answer = render(request, "delivery/reports/reactions.html", context(request, delivery, actor))
    answer["ETag"] = etag
    answer["Envoi-Time"] = words.time_of_day(clock.now(), seconds=True)
    return answer


def _etag(request: HttpRequest, delivery: Delivery) -> str:
    return live.tag(request, "reactions", delivery.indicators_at, delivery.modified_at, reactions.moment())


def _asks(delivery: Delivery) -> bool:
    """Return whether reactions are still to be expected while nothing else of the page moves."""
    ended = delivery.status in delivery_tabs.STILL
    return ended and delivery.broad_start is not None and clock.now() < delivery.broad_start + FIRST


def context(request: HttpRequest, delivery: Delivery, actor: Actor) -> dict[str, Any]:
    """Return what the card of reactions shows."""
    sums = totals.of((delivery,))
    news = remembered(("reactions", delivery.pk), reactions.moment(), lambda: reactions.news(delivery))
    percent = delivery_dashboard.percent
    stages = [
        (_("Delivered"), "success", sums.success, "k6"),
        (_("Opened"), "recipientOpen", sums.recipient_open, "k1"),
        (_("Clicked"), "recipientClick", sums.recipient_click, "k2"),
    ]
    whole = sums.success or 1
    slices = reactions.beginning(delivery, FIRST) if delivery.broad_start else []
    return {
        "reactions": True,
        "delivery": delivery,
        "reacts": _asks(delivery),
        "reactions_etag": _etag(request, delivery),
        "reactions_at": reverse("delivery:delivery-reactions", args=[delivery.pk]),
        "recomputes": actor.has(Right.PREPARE_DELIVERIES)
        and folders.may(actor, delivery.folder, Access.WRITE),
        "sums": sums,
        "stages": [
            Stage(
                label,
                definition,
                count,
                percent(count, sums.success) if at else "",
                css,
                round(min(100 * count / whole, 100), 1),
            )
            for at, (label, definition, count, css) in enumerate(stages)
        ],
        "estimated": percent(sums.estimated_recipient_open, sums.success),
        "opt_outs": percent(sums.opt_out, sums.success),
        "complaint_rate": percent(sums.complaints, sums.success),
        "reactivity": percent(*sums.reactivity),
        "counted_at": delivery.indicators_at,
        "waiting_hits": news.waiting,
        "last_tracking": news.last,
        "automatic_hits": news.automatic,
        "proxied": percent(news.proxied, sums.total_recipient_open) if news.proxied else "",
        "spark_opens": charts.spark([float(opens) for opens, _clicks in slices], *SPARK),
        "spark_clicks": charts.spark([float(clicks) for _opens, clicks in slices], *SPARK),
        "spark_width": int(SPARK[0]),
        "spark_height": int(SPARK[1]),
    }
