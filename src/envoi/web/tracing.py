"""A span for each request; in use only where `[telemetry] endpoint` is set."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from opentelemetry import propagate, trace  # pyright: ignore[reportMissingImports]


class Trace:
    """Middleware. A span bears the name of the view and its route, never the address, which may tell of
    persons.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.tracer = trace.get_tracer("envoi.web")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the request inside of a span that continues the caller's trace."""
        context = propagate.extract({name.lower(): value for name, value in request.headers.items()})
        method = request.method or ""
        with self.tracer.start_as_current_span(method, context=context, kind=trace.SpanKind.SERVER) as span:
            response = self.get_response(request)
            span.set_attribute("http.request.method", method)
            span.set_attribute("http.response.status_code", response.status_code)
            if (match := request.resolver_match) is not None:
                span.update_name(f"{method} {match.view_name}")
                span.set_attribute("http.route", f"/{match.route}")
            if response.status_code >= 500:
                span.set_status(trace.StatusCode.ERROR)
            return response
