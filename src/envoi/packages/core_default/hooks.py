"""What core_default answers to the questions of others."""

from django.urls import include, path
from django.utils.translation import gettext_lazy as _

from envoi.console.hooks import Pages, pages
from envoi.console.navigation import ADMINISTRATION, Entry, Word


@pages.answer
def own_pages() -> Pages:
    """Return the heat map."""
    return Pages(
        urls=(path("", include("envoi.packages.core_default.console.urls")),),
        entries=(
            Entry(Word.MONITORING, _("Heat map"), "core_default:heat-map", ADMINISTRATION, position=40),
        ),
    )
