"""Live regions: a page asks every two seconds, with the version of what it shows, and mostly hears "same"."""

import hashlib
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from envoi.console import words
from envoi.kernel import clock

REGION = "live-region"
"""Id of the part of a page that is swapped."""
COARSE = 10
"""Seconds after which a region is drawn again although no row changed: late and long depend on time alone."""


def tag(request: HttpRequest, *versions: object) -> str:
    """Return the entity tag of a region: versions, reader, language, zone, address and the coarse time."""
    parts = (
        *versions,
        request.user.pk,
        translation.get_language(),
        timezone.get_current_timezone_name(),
        request.get_full_path(),
        int(clock.now().timestamp()) // COARSE,
    )
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=12)
    return f'"{digest.hexdigest()}"'


def answer(request: HttpRequest, etag: str, draw: Callable[[], HttpResponse]) -> HttpResponse:
    """Answer for a region: 304 when its tag is the one that the page has, else what `draw` gives."""
    if wants_region(request) and request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = draw()
    response["ETag"] = etag
    response["Envoi-Time"] = words.time_of_day(clock.now(), seconds=True)
    return response


def wants_region(request: HttpRequest) -> bool:
    """Return whether only the live region was asked for, not the page around it."""
    return request.headers.get("HX-Target") == REGION
