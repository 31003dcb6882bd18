"""Pages for requests that could not be served, and for those that a service refused."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from envoi.web.api import STATUS


def csrf(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Tell that the form came from an old or foreign page."""
    context = {
        "title": _("This form is no longer valid"),
        "text": _("It was opened before you last signed in, or by another site. Nothing was changed."),
        "remedy": _("Open the page again and repeat what you did."),
    }
    return render(request, "console/refusal.html", context, status=403)


def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    """Show the refusal of a service; the status follows its kind."""
    titles = {
        NotAllowed: _("You may not do this"),
        NotFound: _("There is nothing here"),
        Invalid: _("This cannot be done as it was asked"),
        Conflict: _("This cannot be done now"),
    }
    kind = next((kind for kind in STATUS if isinstance(error, kind)), Invalid)
    context = {"title": titles[kind], "text": str(error), "remedy": _("Nothing was changed.")}
    return render(request, "console/refusal.html", context, status=STATUS[kind])
