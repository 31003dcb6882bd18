"""`/healthz`, `/readyz` and `/metrics`: answered before sessions, languages and host names come into play.

A load balancer or a Prometheus addresses a process by its number; `allowed_hosts` does not concern them.
`/healthz` and `/readyz` are open and tell nothing that one could use; `/metrics` is for this host, or for
who has `[metrics] token`.
"""

import hmac
import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Probes:
    """Middleware, the first of all that answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a probe, pass on everything else."""
        answer = ANSWERS.get(request.path_info)
        if answer is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(("GET", "HEAD"))
        response = answer(request)
        # Not being ready is an answer, not a fault; a probe every few seconds must not fill the log.
        response._has_been_logged = True  # pyright: ignore[reportAttributeAccessIssue]
        response["Cache-Control"] = "no-store"
        return response


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer as long as the process lives."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the instance can work, else 503 with the reasons."""
    from envoi.web import readiness

    reasons = readiness.reasons()
    return JsonResponse({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with the figures for Prometheus, to those who may have them."""
    if not may_read_metrics(request):
        return HttpResponse(
            "Metrics are for this host, or for a bearer token ([metrics] token, ENVOI_METRICS_TOKEN).\n",
            status=403,
            content_type="text/plain",
        )
    from envoi.web import metrics as figures

    return figures.page()


def may_read_metrics(request: HttpRequest) -> bool:
    """Tell whether the caller has the token or is a process of this host. Behind a proxy only the token
    counts.
    """
    token = settings.CONFIG.metrics.token
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    # A proxy on this host calls from the loopback too; what it adds gives it away.
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


ANSWERS: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics,
}
