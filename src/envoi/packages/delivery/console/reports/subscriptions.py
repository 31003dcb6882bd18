"""Subscription tracking: of one service over time, of all services side by side (delivery.md §10.2)."""

from datetime import datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_GET

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import charts
from envoi.packages.delivery.console.reports import blocks
from envoi.packages.delivery.console.reports.blocks import Block, Choice, Column, Drawing, Figure, Row, Share
from envoi.packages.delivery.models import Service
from envoi.packages.delivery.services.reports import subscribers

SPANS: dict[str, tuple[Any, int, str]] = {
    "30": (lazy("30 days"), 30, "day"),
    "90": (lazy("90 days"), 90, "week"),
    "365": (lazy("A year"), 365, "month"),
}
"""Value in the address -> label, days, length of a period."""


@under(Word.REPORTS)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show how all services did."""
    actor = actor_of_request(request)
    return _answer(request, _all(request, actor), None, actor)


@under(Word.REPORTS)
@require_GET
def of_service(request: HttpRequest, number: int) -> HttpResponse:
    """Show how one service did."""
    actor = actor_of_request(request)
    found = Service.objects.filter(pk=number, folder_id__in=folders.readable(actor).queryset()).first()
    if found is None:
        raise NotFound(_("This service is not there, or you have no right to see it."))
    return _answer(request, _one(request, found, actor), found, actor)


def _answer(request: HttpRequest, found: list[Block], service: Service | None, actor: Actor) -> HttpResponse:
    wanted = request.GET.get("block", "")
    if wanted:
        return _file(found, wanted, service, actor)
    context = {
        "service": service,
        "blocks": [blocks.drawn(each) for each in found],
        "csv": request.path if actor.has(Right.EXPORT) else "",
        "query": f"span={_span(request)}",
        "spans": _choices(request),
        "span": _span(request),
    }
    return render(request, "delivery/reports/subscriptions.html", context)


def _file(found: list[Block], wanted: str, service: Service | None, actor: Actor) -> HttpResponse:
    actor.require(Right.EXPORT, to=_("export a report"))
    block = next((each for each in found if each.name == wanted), None)
    if block is None:
        raise NotFound(_("There is no part of this name in the report."))
    name = service.name if service else "services"
    answer = HttpResponse(blocks.as_csv(block), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = (
        f'attachment; filename="subscriptions-{name}-{block.name}-{clock.now():%Y-%m-%d}.csv"'
    )
    detail = {"report": "subscriptionsProgress", "block": block.name}
    audit.record(actor, "nms:service", name, "Export", service.pk if service else None, detail)
    return answer


def _span(request: HttpRequest) -> str:
    value = request.GET.get("span", "")
    return value if value in SPANS else "30"


def _choices(request: HttpRequest) -> list[Choice]:
    current = _span(request)
    return [
        Choice(str(label), f"?span={value}", value == current) for value, (label, *_rest) in SPANS.items()
    ]


def _time(request: HttpRequest) -> tuple[datetime, datetime, str]:
    """Return the time of the report, whole days of the reader, and the length of a period."""
    _label, days, step = SPANS[_span(request)]
    zone = timezone.get_current_timezone()
    today = clock.now().astimezone(zone).date()
    end = datetime.combine(today + timedelta(days=1), time(), tzinfo=zone)
    begin = datetime.combine(today - timedelta(days=days - 1), time(), tzinfo=zone)
    return begin, end, step


def _one(request: HttpRequest, service: Service, actor: Actor) -> list[Block]:
    begin, end, step = _time(request)
    found = subscribers.periods(service, actor=actor, begin=begin, end=end, step=step, zone=words.zone_name())
    came, went = sum(each.came for each in found), sum(each.went for each in found)
    now = found[-1].subscribers if found else 0
    zone = timezone.get_current_timezone()

    def line(css: str, name: str) -> tuple[str, list[tuple[datetime, float]]]:
        points = [
            (max(datetime.combine(each.start, time(), tzinfo=zone), begin), float(getattr(each, name)))
            for each in found
        ]
        return css, points

    moved = bool(came or went)
    drawing = Drawing(
        charts.draw(begin, end, [line("l1", "came"), line("l2", "went")]),
        _("Subscriptions and unsubscriptions over time: %(came)s came, %(went)s left.")
        % {"came": words.number(came), "went": words.number(went)},
        (("l1", _("Subscriptions")), ("l2", _("Unsubscriptions"))),
    )
    rows = [
        Row((each.start, each.subscribers, each.came, each.went, each.evolution, Share(*each.kept)))
        for each in reversed(found)
        if each.came or each.went or step != "day"
    ]
    if rows:
        total = (_("All"), now, came, went, came - went, Share(*subscribers.kept(now, came, went)))
        rows.append(Row(total, total=True))
    return [
        Block(
            "progress",
            _("Overall evolution of subscriptions"),
            [
                Figure(_("Subscribers now"), now, "subscribers"),
                Figure(_("Subscriptions"), came, "subscriptions"),
                Figure(_("Unsubscriptions"), went, "unsubscriptions"),
                Figure(_("Evolution"), came - went, "evolution", Share(came - went, now) if now else None),
                Figure(_("Loyalty"), Share(*subscribers.kept(now, came, went)), "loyalty"),
            ],
        ),
        Block(
            "periods",
            _("Evolution over time"),
            drawing=drawing if moved else None,
            columns=_columns(_("Period from")),
            rows=rows if moved else (),
            empty=_("Nobody came or went in this time."),
        ),
    ]


def _all(request: HttpRequest, actor: Actor) -> list[Block]:
    begin, end, _step = _time(request)
    found = subscribers.standings(actor=actor, begin=begin, end=end)
    rows = [
        Row(
            (
                each.service.label,
                each.subscribers,
                each.came,
                each.went,
                each.evolution,
                Share(*each.kept),
            ),
            f"{reverse('delivery:subscriptions-report', args=[each.service.pk])}?span={_span(request)}",
            each.service.name,
        )
        for each in found
    ]
    return [
        Block(
            "services",
            _("Services"),
            columns=_columns(_("Service")),
            rows=rows,
            empty=_("There is no service yet, or you have no right to see one."),
        )
    ]


def _columns(first: str) -> tuple[Column, ...]:
    return (
        Column(first),
        Column(_("Subscribers"), "subscribers", "k6"),
        Column(_("Subscriptions"), "subscriptions"),
        Column(_("Unsubscriptions"), "unsubscriptions"),
        Column(_("Evolution"), "evolution"),
        Column(_("Loyalty"), "loyalty"),
    )
