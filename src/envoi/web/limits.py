"""How much a request may bring."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

MOST_BYTES = 64 * 1024 * 1024
"""Of a request's body. Larger files come in by the command line or through a folder of the instance."""


class BodyLimit:
    """Middleware that refuses a body before any of it is read. One without a stated length reads as empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the request unless it is too large."""
        stated = request.META.get("CONTENT_LENGTH") or "0"
        if not stated.isdigit() or int(stated) > MOST_BYTES:
            return HttpResponse(
                f"The request is larger than {MOST_BYTES // 1024 // 1024} MB.\n",
                status=413,
                content_type="text/plain",
            )
        return self.get_response(request)
