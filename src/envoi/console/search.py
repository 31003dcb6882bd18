"""The search field as an ordinary page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def search(request: HttpRequest) -> HttpResponse:
    """Find pages and objects by their words."""
    return render(request, "console/search.html", {"query": request.GET.get("q", "").strip()})
