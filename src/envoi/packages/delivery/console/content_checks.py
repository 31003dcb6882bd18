"""Checks of a content that take a while: links that do not answer, fields that are empty for some."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.packages.delivery.console import delivery_tabs
from envoi.packages.delivery.services import variants
from envoi.packages.delivery.services.content import checking


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Say what would be looked at; with POST look."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    variants.enter(delivery, request.GET.get("variant", ""))
    found = checking.deeper(delivery, actor=actor) if request.method == "POST" else None
    context = {"part": "checks", "findings": found}
    return delivery_tabs.show(request, "delivery/content_deeper.html", delivery, actor, "content", context)
