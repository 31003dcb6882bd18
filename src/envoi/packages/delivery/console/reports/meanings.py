"""What the numbers of reports mean: all of them on a page, one of them in a dialog."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from envoi.console.navigation import Word, under
from envoi.kernel.errors import NotFound
from envoi.packages.delivery.services.reports.definitions import DEFINITIONS, GROUPS


@under(Word.REPORTS)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show every definition, under its heading."""
    groups = [
        (label, [(name, each) for name, each in DEFINITIONS.items() if each.group == group])
        for group, label in GROUPS.items()
    ]
    return render(request, "delivery/reports/meanings.html", {"groups": [each for each in groups if each[1]]})


@under(Word.REPORTS)
@require_GET
def one(request: HttpRequest, name: str) -> HttpResponse:
    """Show one definition: in the dialog, or on a page of its own without script."""
    found = DEFINITIONS.get(name)
    if found is None:
        raise NotFound(_("There is no number of this name."))
    dialog = request.headers.get("HX-Target") == "dialog"
    template = "delivery/reports/meaning_dialog.html" if dialog else "delivery/reports/meaning_page.html"
    return render(request, template, {"name": name, "meaning": found, "dialog": dialog})
