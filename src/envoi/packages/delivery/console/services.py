"""The page of a service: who subscribes, and how that went."""

import json
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import explorer, words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock, folders
from envoi.kernel.errors import NotFound
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import Service, ServiceType, Subscription, ValidityUnit
from envoi.packages.delivery.services import subscriptions

DAYS = 30
SNIPPET = """\
<form action="{address}" method="post">
  <label>{email} <input type="email" name="email" required></label>
  <button>{subscribe}</button>
</form>"""
"""What an operator puts on another site: it leads to the form, filled in."""
LATEST = 20


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show one service; with POST, let readers find it or no longer."""
    actor = actor_of_request(request)
    service = _find(number, actor)
    if request.method == "POST":
        public = request.POST.get("do") == "open"
        subscriptions.open_to_readers(service, public, actor=actor)
        text = _("Readers find the service now.") if public else _("Readers no longer find the service.")
        messages.success(request, text)
        return redirect(request.path)
    since = clock.now() - timedelta(days=DAYS)
    figures = subscriptions.figures(service, actor=actor, since=since, zone=words.zone_name())
    newest = (
        Subscription.objects.filter(
            service=service, delete_status=0, recipient__folder_id__in=folders.readable(actor).queryset()
        )
        .select_related("recipient")
        .order_by("-subscription_id")[:LATEST]
    )
    loyalty = figures.loyalty
    form = settings.ENVOI.config.web.address + reverse("readers:subscribe", args=[service.name])
    context = {
        "service": service,
        "type": timeline.spoken("nms:service", "type", service.type),
        "validity": _validity(service),
        "figures": figures,
        "loyalty": f"{loyalty:.0%}" if loyalty is not None else words.NONE,
        "bars": _bars(figures),
        "days": DAYS,
        "newest": newest,
        "by_mail": ServiceType(service.type) is ServiceType.EMAIL,
        "changes": folders.may(actor, service.folder, Access.WRITE),
        "form": form,
        "snippet": SNIPPET.format(
            address=escape(form), email=escape(_("E-mail address")), subscribe=escape(_("Subscribe"))
        ),
        "details": reverse("console:record-page", args=["nms", "service", number]),
        "everybody": f"{reverse('console:records-list', args=['nms', 'subscription'])}?{_only(number)}",
        **explorer.frame(request, service.folder),
        "crumbs": explorer.crumbs(request, service.folder, whole=True),
    }
    return render(request, "delivery/service.html", context)


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of services."""
    return explorer.first_of(request, "nms:service")


def _find(number: int, actor: Actor) -> Service:
    found = Service.objects.filter(pk=number).first()
    if found is None:
        raise NotFound(_("There is no service with the number %(number)s.") % {"number": number})
    return subscriptions.find(found.name, actor=actor)


def _only(number: int) -> str:
    """Return the filter of a list that shows the rows of one service."""
    return urlencode({"filter": json.dumps({"condition": [{"expr": f"[@service-id] = {number}"}]})})


def _validity(service: Service) -> str:
    n = service.validity_length
    if not n:
        return _("without end")
    if ValidityUnit(service.validity_unit) is ValidityUnit.MONTHS:
        return ngettext("%(n)d month", "%(n)d months", n) % {"n": n}
    return ngettext("%(n)d day", "%(n)d days", n) % {"n": n}


def _bars(figures: subscriptions.Figures) -> list[dict[str, Any]]:
    """Return a pair of bars for each of the last days: places and heights in a box of 900 × 120."""
    today = clock.now().astimezone(timezone.get_current_timezone()).date()
    by_day: dict[date, subscriptions.Day] = {each.day: each for each in figures.days}
    most = max((max(each.came, each.went) for each in figures.days), default=0) or 1
    width, found = 900 / DAYS, list[dict[str, Any]]()
    for index in range(DAYS):
        day = today - timedelta(days=DAYS - 1 - index)
        numbers = by_day.get(day)
        came, went = (numbers.came, numbers.went) if numbers else (0, 0)
        found.append(
            {
                "day": day, "came": came, "went": went, "x": round(index * width + 2, 1),
                "x2": round(index * width + width / 2, 1), "w": round(width / 2 - 2, 1),
                "y": round(100 - 90 * came / most, 1), "h": round(90 * came / most, 1),
                "y2": round(100 - 90 * went / most, 1), "h2": round(90 * went / most, 1),
                "named": index % 7 == DAYS % 7,
            }
        )  # fmt: skip
    return found
