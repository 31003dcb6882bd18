"""The machine-readable doors. Health and metrics are answered earlier, by `probes`."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from envoi.kernel import clock
from envoi.web import approvals, openapi


def ping(request: HttpRequest) -> HttpResponse:
    """Answer as clients of the product expect it: OK and the time (soap-api.md §1)."""
    now = clock.now()
    stamp = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}Z"
    return HttpResponse(f"OK\n{stamp}\n", content_type="text/plain")


urlpatterns = [
    path("nl/jsp/ping.jsp", ping, name="ping"),
    path("api/v1/openapi.json", openapi.openapi),
    path("api/v1/approvals", approvals.pending),
    path("api/v1/approvals/<int:number>", approvals.one),
    path("api/v1/approvals/<int:number>/answer", approvals.answer),
]
