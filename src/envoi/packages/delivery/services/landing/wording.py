"""What our pages say: an instance's own words in a language, else the product's."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from envoi.kernel import audit, clock
from envoi.kernel.errors import Invalid
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import ReaderText

ENTITY = "nms:readerText"
UNSUBSCRIBE, PREFERENCES, SUBSCRIBE, FORWARD = PAGES = ("unsubscribe", "preferences", "subscribe", "forward")
LONGEST = {"title": 128, "intro": 2000, "legal": 2000}


@dataclass(frozen=True)
class Wording:
    """Texts of a page. `legal` of the subscription form is the sentence that is agreed to."""

    title: str
    intro: str = ""
    legal: str = ""


def of(page: str, language: str, *, service: str = "") -> Wording:
    """Return the words of a page; `service` stands in for `{service}`. The active language is `language`."""
    found = ReaderText.objects.filter(page=page, language=language).first()
    ours = usual(page)
    names = {"{service}": service, "{sender}": sender()}

    def said(own: str, ours: str) -> str:
        text = own or ours
        for mark, name in names.items():
            text = text.replace(mark, name)
        return text

    return Wording(
        said(found.title if found else "", ours.title),
        said(found.intro if found else "", ours.intro),
        said(found.legal if found else "", ours.legal),
    )


def sender() -> str:
    """Return what readers know us as."""
    instance = settings.ENVOI.config.instance
    return instance.label or instance.name


def own(page: str, language: str) -> Wording:
    """Return an instance's own words of a page; empty where it has none."""
    found = ReaderText.objects.filter(page=page, language=language).first()
    return Wording(found.title, found.intro, found.legal) if found else Wording("")


def change(page: str, language: str, words: Wording, *, actor: Actor) -> None:
    """Let a page say something else in a language; what is empty is the product's again.

    Raises NotAllowed without PREPARE DELIVERIES, Invalid.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("change the pages of readers"))
    if page not in PAGES:
        raise Invalid(_("There is no page %(name)r.") % {"name": page})
    if language not in {code for code, _name in settings.LANGUAGES}:
        raise Invalid(_("There is no language %(name)r.") % {"name": language})
    values = {name: getattr(words, name).strip() for name in LONGEST}
    for name, most in LONGEST.items():
        if len(values[name]) > most:
            raise Invalid(_("%(place)s has at most %(most)d characters.") % {"place": name, "most": most})
    if any(values.values()):
        ReaderText.objects.update_or_create(
            page=page, language=language, defaults={**values, "modified_at": clock.now()}
        )
    else:
        ReaderText.objects.filter(page=page, language=language).delete()
    audit.record(actor, ENTITY, f"{page}/{language}", audit.MODIFIED, None, values)


def usual(page: str) -> Wording:
    """Return the product's words of a page in the active language."""
    match page:
        case "unsubscribe":
            return Wording(pgettext("reader", "Unsubscribe"))
        case "preferences":
            return Wording(_("Your preferences"), _("What you get from {sender}, and how."))
        case "subscribe":
            return Wording(
                _("Subscribe to {service}"),
                _("We send a message to your address. Confirm there, and you are in."),
                _(
                    "I agree that {sender} sends me “{service}” by e-mail. I can take this back at any time, "
                    "by the link in each message."
                ),
            )
        case _:
            return Wording(
                _("Pass it on"),
                _("We send the message to your friend, once, and say that it comes from you."),
                _("Your friend's address is used for this alone, unless your friend subscribes."),
            )
