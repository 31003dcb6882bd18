"""`/r/m/`: a message as a page (delivery.md §2.10). It runs nothing, and no referrer names it."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from envoi.kernel import clock
from envoi.kernel.errors import NotFound
from envoi.packages.delivery.endpoints import pages
from envoi.packages.delivery.services.content.addresses import SHARED
from envoi.packages.delivery.services.landing import messages, mirror
from envoi.packages.delivery.services.redirection import tags


@pages.door
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the message to its reader, or what is not personal of it to anybody."""
    tag = messages.read(pages.target(request), tags.MIRROR_PAGE)
    message = messages.find(tag.broad_log_id, tag.delivery_id) if tag else None
    pages.speaking(request, message.language if message else "")
    if tag is None or message is None:
        return pages.lost(request)
    try:
        html = mirror.for_reader(message, shared=SHARED in tag.params, now=clock.now())
    except NotFound as refusal:
        return pages.lost(request, str(refusal), pages.gone())
    return answer(html)


def answer(html: str) -> HttpResponse:
    """Return the answer that shows the HTML of a message."""
    response = pages.confined(HttpResponse(html), mirror.POLICY)
    response["Referrer-Policy"] = "no-referrer"
    return response
