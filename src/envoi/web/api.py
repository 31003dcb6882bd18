"""What the operations of `/api/v1/` share: sign-in, JSON in and out, refusals with their status.

The caller signs in with each call (HTTP Basic). No session is read or made.
"""

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from envoi.web import credentials

STATUS: dict[type[Refused], int] = {NotAllowed: 403, NotFound: 404, Invalid: 400, Conflict: 409}
LONGEST = 1 << 20
"""Bytes of a body."""


def operation(method: str) -> Callable[[Callable[..., Mapping[str, Any]]], Callable[..., HttpResponse]]:
    """Make an operation of a function of `(actor, request, …)` that returns a JSON object.

    Refusals of services are answered as `{"error": text}`: 400 invalid, 401 not signed in, 403 not allowed,
    404 not found, 409 the state forbids it, 429 sign-in is paused.
    """

    def make(function: Callable[..., Mapping[str, Any]]) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @never_cache
        @require_http_methods([method])
        @wraps(function)
        @sensitive_variables()
        def view(request: HttpRequest, **place: Any) -> HttpResponse:
            try:
                return JsonResponse(function(credentials.by_basic(request), request, **place))
            except credentials.NotSignedIn as refusal:
                response = _problem(str(refusal), refusal.status)
                if refusal.status == 401:
                    response["WWW-Authenticate"] = credentials.REALM
                if refusal.seconds:
                    response["Retry-After"] = str(refusal.seconds)
                return response
            except Refused as refusal:
                status = next((code for kind, code in STATUS.items() if isinstance(refusal, kind)), 400)
                return _problem(str(refusal), status)

        return view

    return make


def body(request: HttpRequest, known: Mapping[str, type]) -> dict[str, Any]:
    """Return the JSON object that a request brings, of the members in `known`.

    Raises Invalid for anything else. A page of another site can send no JSON without being asked first.
    """
    if request.content_type != "application/json":
        raise Invalid(_("Send a JSON object, as application/json."))
    try:
        found = json.loads(request.body[:LONGEST])
    except (ValueError, RecursionError) as error:
        raise Invalid(_("The body cannot be read as JSON.")) from error
    if not isinstance(found, dict):
        raise Invalid(_("Send a JSON object, as application/json."))
    members = cast("dict[str, Any]", found)
    for name, value in members.items():
        if not isinstance(value, known.get(name, ())):
            raise Invalid(
                _("%(name)r is wrong here. Known are: %(known)s.")
                % {
                    "name": name,
                    "known": ", ".join(f"{each} ({kind.__name__})" for each, kind in known.items()),
                }
            )
    return members


def _problem(text: str, status: int) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)
