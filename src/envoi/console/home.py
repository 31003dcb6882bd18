"""Home: what waits for the operator."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from envoi.console.navigation import Word, under


@under(Word.HOME)
def home(request: HttpRequest) -> HttpResponse:
    """Answer "What waits for me?"."""
    return render(request, "console/home.html", {})
