"""Pages for requests that could not be served."""

from django.http import HttpRequest, HttpResponse


def csrf(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Tell that the form came from an old or foreign page."""
    return HttpResponse("The form is no longer valid. Go back, reload the page and try again.", status=403)
