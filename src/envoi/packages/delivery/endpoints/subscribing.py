"""`/r/s/<service>`: the form of a service that is open to readers. The address itself has to confirm."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from envoi.kernel import clock
from envoi.kernel.errors import Refused
from envoi.packages.delivery.endpoints import pages
from envoi.packages.delivery.models import Service
from envoi.packages.delivery.services.landing import messages, people, requests, wording
from envoi.packages.delivery.services.landing.messages import Message
from envoi.packages.delivery.services.redirection import tags

TRAP = "website"
"""A field that people do not see: who fills it in is a program."""


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Show the form, or take it. A form on another site leads here: it fills the form in, no more."""
    if request.method == "POST" and "csrfmiddlewaretoken" not in request.POST:
        return _filled_in(request, name)
    return _page(request, name)


@pages.door
@require_http_methods(["GET", "HEAD"])
def all_services(request: HttpRequest) -> HttpResponse:
    """List the services that are open to readers: the registration page that messages link to."""
    pages.speaking(request)
    query = request.META.get("QUERY_STRING", "")
    kept = f"?{query}" if _message(request) else ""
    found = [
        (reverse("readers:subscribe", args=[each.name]) + kept, each) for each in requests.open_services()
    ]
    if not found:
        return pages.lost(request, _("There is nothing to subscribe to"), _("Please come back later."))
    return pages.show(request, "services", {"title": _("What you can subscribe to"), "found": found})


def _message(request: HttpRequest) -> Message | None:
    """Return the message whose link has led here, if one has: its tag is signed for the registration page."""
    tag = messages.read(f"{tags.SUBSCRIBE}?{request.META.get('QUERY_STRING', '')}", tags.SUBSCRIBE)
    return messages.find(tag.broad_log_id, tag.delivery_id) if tag else None


@pages.door
def _page(request: HttpRequest, name: str) -> HttpResponse:
    service = requests.open_service(name)
    language = pages.speaking(request)
    if service is None:
        return pages.lost(request)
    if request.method != "POST":
        return _form(request, service, language)
    words = wording.of(wording.SUBSCRIBE, language, service=service.label)
    given = request.POST
    asked = requests.Asked(
        given.get("email", ""),
        language,
        given.get("first_name", ""),
        given.get("last_name", ""),
        consent=words.legal if "consent" in given else "",
        source_address=pages.source(request),
    )
    try:
        if not given.get(TRAP):
            requests.subscribe(service, asked, now=clock.now(), by=_message(request))
    except requests.TooMany as refusal:
        return pages.tell(request, _("Not now"), str(refusal), status=429)
    except Refused as refusal:
        return _form(request, service, language, problem=str(refusal))
    return pages.tell(
        request,
        _("Look into your mailbox"),
        _("We have sent a message to %(who)s. Open it, and confirm that it is you.")
        % {"who": people.masked(asked.email.strip())},
    )


@pages.spoken
def _filled_in(request: HttpRequest, name: str) -> HttpResponse:
    service = requests.open_service(name)
    language = pages.speaking(request)
    return _form(request, service, language) if service else pages.lost(request)


def _form(request: HttpRequest, service: Service, language: str, problem: str = "") -> HttpResponse:
    context = {
        "words": wording.of(wording.SUBSCRIBE, language, service=service.label),
        "service": service,
        "given": {name: request.POST.get(name, "")[:254] for name in ("email", "first_name", "last_name")},
        "problem": problem,
        "trap": TRAP,
    }
    return pages.show(request, "subscribe", context, status=400 if problem else 200)
