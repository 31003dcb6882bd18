"""The pages that readers see: their words, with a preview; and the message of a line of the log."""

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET, require_http_methods

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock, query
from envoi.kernel.errors import Invalid, NotAllowed, NotFound
from envoi.kernel.query import Condition, Field, QueryDef
from envoi.kernel.rights import Right
from envoi.packages.delivery.console import delivery_tabs, timeline
from envoi.packages.delivery.console.delivery_dashboard import percent
from envoi.packages.delivery.models import OptOut, OptOutReason
from envoi.packages.delivery.services.landing import messages as sent
from envoi.packages.delivery.services.landing import mirror, people, wording
from envoi.packages.delivery.services.landing.wording import Wording
from envoi.packages.delivery.services.statistics import messages as log
from envoi.web.security import POLICY

DAYS = 30
_FRAMED = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; frame-ancestors 'self'; "
    "base-uri 'none'; sandbox"
)


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show and change the words of one page in one language."""
    actor = actor_of_request(request)
    actor.require(Right.PREPARE_DELIVERIES, to=_("change the pages of readers"))
    name, language = _asked(request.GET)
    problem = ""
    given = wording.own(name, language)
    if request.method == "POST":
        given = Wording(*(request.POST.get(each, "").replace("\r\n", "\n") for each in wording.LONGEST))
        try:
            with transaction.atomic():
                wording.change(name, language, given, actor=actor)
            messages.success(request, _("The words are kept. Readers see them at once."))
            return redirect(request.get_full_path())
        except (Invalid, NotAllowed) as refusal:
            problem = str(refusal)
    with override(language):
        usual = wording.usual(name)
    here = {"page": name, "language": language}
    context = {
        "name": name,
        "language": language,
        "own": given,
        "usual": usual,
        "problem": problem,
        "with_legal": True,
        "pages": [
            (f"?{urlencode({**here, 'page': each})}", label, each == name)
            for each, label in _labels().items()
        ],
        "languages": [
            (f"?{urlencode({**here, 'language': code})}", code, label, code == language)
            for code, label in settings.LANGUAGES
        ],
        "frame": f"{reverse('delivery:reader-pages-preview')}?{urlencode(here)}",
        "reasons": _reasons(),
        "everybody": reverse("console:records-list", args=["nms", "optOut"]),
        "days": DAYS,
    }
    response = render(request, "delivery/reader_pages.html", context, status=400 if problem else 200)
    response["Content-Security-Policy"] = f"{POLICY}; frame-src 'self'"
    return response


@require_GET
@xframe_options_sameorigin
def preview(request: HttpRequest) -> HttpResponse:
    """Show a page as somebody reads it who does not exist."""
    actor_of_request(request).require(Right.PREPARE_DELIVERIES, to=_("change the pages of readers"))
    name, language = _asked(request.GET)
    service = SimpleNamespace(label="Newsletter", description="")
    with override(language):
        context = {
            "words": wording.of(name, language, service=service.label),
            "sender": wording.sender(),
            "language": language,
            "who": people.masked("marie@example.org"),
            "service": service,
            "message": SimpleNamespace(service=service, is_test=False),
            "found": SimpleNamespace(
                services=[SimpleNamespace(key="", label=service.label, has=True)], consents=[], refuses=False
            ),
            "languages": [(code, label, code == language) for code, label in settings.LANGUAGES],
            "preferences": "#",
        }
        response = render(request, f"delivery/reader/{name}.html", context)
    response["Content-Security-Policy"] = _FRAMED
    return response


@require_GET
def message(request: HttpRequest, number: int, message: int) -> HttpResponse:
    """Show the message of one line of a delivery log to who may see that line."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    schema = log.schema_of(delivery)
    seen = query.run(
        QueryDef(
            schema.name,
            select=(Field("@id"),),
            where=(Condition(f"@id = {message} AND [@delivery-id] = {delivery.pk}"),),
        ),
        actor=actor,
    )
    found = sent.find(message, delivery.pk) if seen.rows else None
    if found is None:
        raise NotFound(_("There is no such message, or you have no right to see it."))
    response = HttpResponse(mirror.for_operator(found))
    response["Content-Security-Policy"] = mirror.POLICY
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "no-store, private"
    return response


def _asked(given: Mapping[str, str]) -> tuple[str, str]:
    """Return page and language that are asked for, of those there are."""
    name, language = given.get("page", ""), given.get("language", "")
    known = {code for code, _label in settings.LANGUAGES}
    return (
        name if name in wording.PAGES else wording.SUBSCRIBE,
        language if language in known else settings.ENVOI.config.instance.language,
    )


def _labels() -> dict[str, str]:
    return {
        wording.SUBSCRIBE: _("Subscription form"),
        wording.PREFERENCES: _("Preferences"),
        wording.UNSUBSCRIBE: _("Unsubscription"),
        wording.FORWARD: _("Forward to a friend"),
    }


def _reasons() -> list[dict[str, Any]]:
    """Return why readers have left by the page lately, the most frequent first."""
    found = (
        OptOut.objects.filter(date__gte=clock.now() - timedelta(days=DAYS), undone_at=None)
        .values("reason")
        .annotate(count=Count("*"))
        .order_by("-count", "reason")
    )
    total = sum(each["count"] for each in found)
    return [
        {
            "label": timeline.spoken("nms:optOut", "reason", OptOutReason(each["reason"])),
            "count": each["count"],
            "share": percent(each["count"], total),
        }
        for each in found
    ]
