"""The languages of a content: tabs above it, and what decides between them."""

from dataclasses import dataclass

from babel import Locale
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from envoi.console.access import actor_of_request
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console import delivery_tabs
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import variants
from envoi.packages.delivery.services.variants import editing

_OFFERED = ("en", "fr", "de", "es", "it", "nl", "pt", "sv", "da", "pl", "ja", "ko", "zh-hant", "zh-hans")


@dataclass(frozen=True)
class Tongue:
    """A content in one language. `code` is empty for the default."""

    code: str
    label: str
    current: bool
    lacks: str
    """What it takes from the default, in words."""


@dataclass(frozen=True)
class Tongues:
    """All of them, and what decides."""

    every: list[Tongue]
    by: str
    language: str
    offered: list[tuple[str, str]]
    several: bool


def tongues(delivery: Delivery) -> Tongues:
    """Return the languages of a delivery's content as its page shows them."""
    said = variants.read(delivery.variants)
    default = (
        _("Default: %(language)s") % {"language": name(said.language)} if said.language else _("Default")
    )
    found = [Tongue("", default, not delivery.variant, "")]
    for code in sorted(said.of):
        texts = said.of[code]
        lacks = [] if texts.get("subject", "").strip() else [_("subject")]
        if not (texts.get("html_source", "").strip() or texts.get("text_source", "").strip()):
            lacks.append(_("body"))
        found.append(Tongue(code, name(code), code == delivery.variant, ", ".join(lacks)))
    there = {said.language, *said.of}
    offered = [(code, name(code)) for code in _OFFERED if code not in there]
    return Tongues(found, said.by, said.language, offered, bool(said.of))


def name(code: str) -> str:
    """Return what a language is called in that of the page."""
    locale = Locale.parse(code.replace("-", "_"))
    return (locale.get_display_name(to_locale(get_language() or "en")) or code).capitalize()


@require_POST
def change(request: HttpRequest, number: int) -> HttpResponse:
    """Add or remove a language, or set what decides; then show the content of the language concerned."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    address = reverse("delivery:delivery-content", args=[delivery.pk])
    try:
        with transaction.atomic():
            code, text = _do(request, delivery, actor)
        messages.success(request, text)
        return redirect(f"{address}?variant={code}" if code else address)
    except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
        messages.error(request, str(refusal))
        return redirect(address)


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> tuple[str, str]:
    given = request.POST
    match given.get("do", ""):
        case "add":
            wanted = given.get("other", "").strip() or given.get("language", "")
            code = editing.add(delivery, wanted, actor=actor, copied="copied" in given)
            return code, _("There is a content in %(name)s now: write it.") % {"name": name(code)}
        case "remove":
            code = given.get("language", "")
            editing.remove(delivery, code, actor=actor)
            return "", _("The content in %(name)s is gone.") % {"name": name(code)}
        case "by":
            editing.choose_by(delivery, given.get("by", ""), given.get("default", ""), actor=actor)
            return "", _("Readers get the content of their language by this.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))
