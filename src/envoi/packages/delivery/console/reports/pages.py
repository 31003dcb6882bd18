"""Pages of reports: those of one delivery, a tab of it, and those of several, under *Reports*."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from envoi.console import words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import delivery_tabs
from envoi.packages.delivery.console.reports import blocks, catalogue, reading
from envoi.packages.delivery.console.reports.asked import Asked
from envoi.packages.delivery.console.reports.blocks import Block
from envoi.packages.delivery.console.reports.catalogue import REPORTS, Report
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services.reports import scope
from envoi.packages.delivery.services.reports.scope import Scope

FIRST_OF_ONE = "deliveryFeedback"
"""The report that the tab opens with."""
DAYS = 30
"""Days of a report on several deliveries, unless it says otherwise."""
CHOSEN = 50
"""Most deliveries that an address names."""


@under(Word.DELIVERIES)
@require_GET
def of_delivery(request: HttpRequest, number: int, name: str = FIRST_OF_ONE) -> HttpResponse:
    """Show a report on one delivery."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    report = _find(name)
    asked = Asked(scope.of(delivery), actor, request.GET, delivery)
    sent = delivery.status not in scope.BEFORE
    context = {
        **_context(report, asked, sent=sent),
        "menu": [
            (
                each.label,
                reverse("delivery:delivery-report", args=[number, each.name]),
                each.name == report.name,
            )
            for each in REPORTS
        ],
        "csv": reverse("delivery:delivery-report-csv", args=[number, report.name])
        if actor.has(Right.EXPORT)
        else "",
    }
    return delivery_tabs.show(
        request, "delivery/reports/of_delivery.html", delivery, actor, "reports", context
    )


@under(Word.DELIVERIES)
@require_GET
def csv_of_delivery(request: HttpRequest, number: int, name: str) -> HttpResponse:
    """Send one block of a report on a delivery. Takes the right EXPORT; the audit trail keeps what went."""
    actor = actor_of_request(request)
    actor.require(Right.EXPORT, to=_("export a report"))
    delivery = delivery_tabs.find(number, actor)
    asked = Asked(scope.of(delivery), actor, request.GET, delivery)
    return _file(_find(name), asked, f"{delivery.internal_name}-{name}", delivery)


@under(Word.REPORTS)
@require_GET
def several(request: HttpRequest, name: str = "deliverySending") -> HttpResponse:
    """Show a report on the deliveries of a time, a folder, a choice."""
    actor = actor_of_request(request)
    report = _find(name)
    found, said, problem = _several(request, actor)
    asked = Asked(found, actor, request.GET)
    query = f"?{asked.query()}" if request.GET else ""
    context = {
        **_context(report, asked, sent=bool(found.deliveries)),
        **said,
        "problem": problem,
        "menu": [
            (each.label, reverse("delivery:report", args=[each.name]) + query, each.name == report.name)
            for each in REPORTS
        ],
        "csv": reverse("delivery:report-csv", args=[report.name]) if actor.has(Right.EXPORT) else "",
        "counted": ngettext("%(n)s delivery", "%(n)s deliveries", len(found.deliveries))
        % {"n": words.number(len(found.deliveries))},
        "left_off": reading.left_off(found),
        "messages_counted": found.messages,
    }
    return render(request, "delivery/reports/several.html", context, status=400 if problem else 200)


@under(Word.REPORTS)
@require_GET
def csv_of_several(request: HttpRequest, name: str) -> HttpResponse:
    """Send one block of a report on several deliveries, as `csv_of_delivery` does."""
    actor = actor_of_request(request)
    actor.require(Right.EXPORT, to=_("export a report"))
    report = _find(name)
    found, said, problem = _several(request, actor)
    if problem:
        raise Invalid(problem)
    asked = Asked(found, actor, request.GET)
    return _file(report, asked, f"{name}-{said['begin']}-{said['end']}", None)


def _find(name: str) -> Report:
    found = catalogue.find(name)
    if found is None:
        raise NotFound(_("There is no report of this name."))
    return found


def _context(report: Report, asked: Asked, *, sent: bool) -> dict[str, Any]:
    found: list[Block] = []
    too_much = ""
    try:
        found = report.build(asked) if sent else []
    except Invalid as refusal:
        too_much = str(refusal)
    return {
        "report": report,
        "blocks": [blocks.drawn(each) for each in found],
        "sent": sent,
        "too_much": too_much,
        "nothing_sent": _("Nothing has gone out yet. Reports begin with the first message."),
        "query": asked.query(),
    }


def _file(report: Report, asked: Asked, name: str, delivery: Delivery | None) -> HttpResponse:
    wanted = str(asked.given.get("block") or "")
    found = next((each for each in report.build(asked) if each.name == wanted), None)
    if found is None:
        raise NotFound(_("There is no part of this name in the report."))
    answer = HttpResponse(blocks.as_csv(found), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{found.name}-{clock.now():%Y-%m-%d}.csv"'
    detail = {"report": report.name, "block": found.name, "deliveries": len(asked.scope.deliveries)}
    audit.record(
        asked.actor,
        "nms:delivery",
        delivery.internal_name if delivery else "",
        "Export",
        delivery.pk if delivery else None,
        detail,
    )
    return answer


def _several(request: HttpRequest, actor: Actor) -> tuple[Scope, dict[str, Any], str]:
    """Return the deliveries that the address asks for, what the form shows, and what is wrong with it."""
    given = request.GET
    here = timezone.get_current_timezone()
    today = clock.now().astimezone(here).date()
    problem = ""
    first, last = today - timedelta(days=DAYS - 1), today
    try:
        first = _day(given.get("begin", ""), first)
        last = _day(given.get("end", ""), last)
        if last < first:
            raise Invalid(_("The last day lies before the first."))
    except Invalid as refusal:
        problem = str(refusal)
        first, last = today - timedelta(days=DAYS - 1), today
    chosen = [int(each) for each in given.getlist("id")[:CHOSEN] if each.isdecimal() and len(each) < 19]
    folder = (
        int(given["folder"]) if given.get("folder", "").isdecimal() and len(given["folder"]) < 19 else None
    )
    proofs = given.get("proofs") == "1"
    begin, end = _midnight(first, here), _midnight(last + timedelta(days=1), here)
    found = scope.many(actor, begin=begin, end=end, folder=folder, chosen=chosen, proofs=proofs)
    offered = scope.of_time(actor, begin=begin, end=end, folder=folder, proofs=proofs)
    lines = {
        each.pk: each
        for each in (*(found.deliveries if chosen else ()), *offered.order_by("-broad_start")[:CHOSEN])
    }
    said: dict[str, Any] = {
        "begin": first.isoformat(),
        "end": last.isoformat(),
        "folder_chosen": folder,
        "proofs": proofs,
        "chosen": len(chosen),
        "offered": [(each.pk, each.label, each.broad_start, each.pk in chosen) for each in lines.values()],
        "folders": _folders(actor),
    }
    return found, said, problem


def _day(text: str, usual: date) -> date:
    if not text:
        return usual
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(_("%(text)s is no day: write it as 2026-11-24.") % {"text": text[:20]}) from None


def _midnight(day: date, zone: Any) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone)


def _folders(actor: Actor) -> list[tuple[int, str]]:
    """Return the folders of deliveries that the actor sees."""
    found = folders.readable_folders(actor).filter(model="nms:delivery").order_by("path")
    return [(each.folder_id, folders.label_of(each)) for each in found]
