"""`/r/f/`: passing a message on to a friend (delivery.md §11, viral)."""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.kernel import clock
from envoi.kernel.errors import NotFound, Refused
from envoi.packages.delivery.endpoints import pages
from envoi.packages.delivery.endpoints.subscribing import TRAP
from envoi.packages.delivery.services.landing import messages, mirror, requests, wording
from envoi.packages.delivery.services.landing.messages import Message
from envoi.packages.delivery.services.redirection import tags


@pages.door
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Ask for a friend's address, and send the message's page there."""
    tag = messages.read(pages.target(request), tags.FORWARD)
    message = messages.find(tag.broad_log_id, tag.delivery_id) if tag else None
    language = pages.speaking(request, message.language if message else "")
    if tag is None or message is None:
        return pages.lost(request)
    try:
        mirror.for_reader(message, shared=True, now=clock.now())
    except NotFound as refusal:
        return pages.lost(request, str(refusal), pages.gone())
    if message.is_test:
        return pages.tell(
            request,
            _("This was a test message"),
            _("It was sent to check how it looks: it stays here."),
        )
    problem, sent = "", False
    if request.method == "POST":
        try:
            problem = "" if request.POST.get(TRAP) else _send(request, message, language)
            sent = not problem
        except requests.TooMany as refusal:
            return pages.tell(request, _("Not now"), str(refusal), status=429)
        except Refused as refusal:
            problem = str(refusal)
    context = {
        "words": wording.of(wording.FORWARD, language),
        "problem": problem,
        "sent": sent,
        "given": request.POST.get("email", "") if problem else "",
        "trap": TRAP,
    }
    return pages.show(request, "forward", context, status=400 if problem else 200)


def _send(request: HttpRequest, message: Message, language: str) -> str:
    """Send it; returns what is wrong."""
    asked = requests.Asked(request.POST.get("email", ""), language, source_address=pages.source(request))
    if requests.pass_on(message, asked, mirror.shared_address(message), now=clock.now()):
        return ""
    return _("You have passed this message on to %(most)d friends. That is all for this one.") % {
        "most": requests.PER_MESSAGE
    }
