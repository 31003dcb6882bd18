"""What every page of the console knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from envoi import __version__
from envoi.console import navigation

COMPLETE = ("en", "fr")
"""Languages whose catalogues are whole; in the others only the labels of workflows and folders are there."""


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of a page shows: instance, words of the navigation, who is signed in."""
    instance = settings.CONFIG.instance
    actor = getattr(request, "actor", None)
    word = _current_word(request)
    return {
        "instance_name": instance.name,
        "instance_label": instance.label,
        "instance_zone": instance.timezone,
        "is_test_instance": instance.test,
        "version": __version__,
        "actor": actor,
        "page_language": page_language(),
        "initials": initials(actor.label or actor.name) if actor else "",
        "density": "compact" if request.COOKIES.get("envoi_density") == "compact" else "",
        "keys": "off" if request.COOKIES.get("envoi_keys") == "off" else "on",
        "words": navigation.words(actor, word) if actor else (),
        "pages_of_word": navigation.pages_of(actor, word, request.path) if actor and word else (),
    }


def page_language() -> str:
    """Return the language that a page is written in: English where only labels are translated so far."""
    language = translation.get_language() or "en"
    return language if language.partition("-")[0] in COMPLETE else "en"


def initials(name: str) -> str:
    """Return one or two letters that stand for a name."""
    parts = name.split()
    return (parts[0][:1] + (parts[-1][:1] if len(parts) > 1 else "")).upper() if parts else "?"


def _current_word(request: HttpRequest) -> str:
    match = request.resolver_match
    return str(match.kwargs.get("word") or getattr(match.func, "word", "")) if match else ""
