"""Puts the operator's language, zone and actor on each request, and lets only those in who signed in."""

import re
import zoneinfo
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone, translation
from django.utils.cache import add_never_cache_headers

from envoi.console import failures
from envoi.console.access import is_public
from envoi.console.context import page_language
from envoi.kernel import registry
from envoi.kernel.errors import Refused
from envoi.kernel.models import Operator
from envoi.kernel.rights import actor_of

# Doors for machines and readers check their callers themselves: the web room, and `endpoints` of packages.
MACHINE_DOORS = re.compile(r"^envoi\.(web|packages\.\w+\.endpoints)(\.|$)")


class OperatorMiddleware:
    """`request.actor` is the actor of who is signed in, or None; refusals of services become pages."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the request in the language and zone of its operator."""
        request.actor = None  # pyright: ignore[reportAttributeAccessIssue]
        if _is_machine_door(request):
            return self.get_response(request)
        operator = request.user
        zone = settings.CONFIG.instance.timezone
        if isinstance(operator, Operator) or getattr(operator, "pk", None):
            # Whatever was added to the schemas until now is known to the page.
            registry.fresh()
            request.actor = actor_of(operator)  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
            zone = getattr(operator, "timezone", "") or zone
            if language := getattr(operator, "language", ""):
                translation.activate(language)
                request.LANGUAGE_CODE = translation.get_language()  # pyright: ignore[reportAttributeAccessIssue]
        with timezone.override(zoneinfo.ZoneInfo(zone)):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", page_language())
        if not response.has_header("Cache-Control"):
            add_never_cache_headers(response)
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Send those who have not signed in to the sign-in page, and back afterwards."""
        if getattr(request, "actor", None) or is_public(view) or _is_machine_door(request):
            return None
        if request.headers.get("HX-Request"):
            # A fragment asked for by a page whose session ended: reload the page, which then asks to sign in.
            return HttpResponse(status=401, headers={"HX-Refresh": "true"})
        return redirect_to_login(request.get_full_path(), reverse("console:sign-in"))

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Show a refusal as a page: what did not happen, why, and that nothing was changed."""
        if isinstance(error, Refused) and not _is_machine_door(request):
            return failures.refused(request, error)
        return None


def _is_machine_door(request: HttpRequest) -> bool:
    try:
        match = resolve(request.path_info)
    except Resolver404:
        return False
    return MACHINE_DOORS.match(match.func.__module__) is not None
