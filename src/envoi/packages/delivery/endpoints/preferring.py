"""`/r/p/`: what a reader gets and how, reached by a link of a message or after confirming."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.kernel import clock
from envoi.kernel.errors import Refused
from envoi.packages.delivery.endpoints import pages
from envoi.packages.delivery.models import EmailFormat, Recipient
from envoi.packages.delivery.services.landing import (
    messages,
    people,
    preferences,
    requests,
    signed,
    wording,
)
from envoi.packages.delivery.services.redirection import tags


@pages.door
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show and change the preferences of who has the link."""
    recipient, test = _reader(request)
    language = pages.speaking(request, recipient.language if recipient else "")
    if test:
        return pages.tell(
            request, _("This was a test message"), _("It was sent to check how it looks: it has no reader.")
        )
    if recipient is None:
        return pages.lost(request)
    problem = told = ""
    if request.method == "POST":
        try:
            told = _change(request, recipient)
        except Refused as refusal:
            problem = str(refusal)
        recipient.refresh_from_db()
        language = pages.speaking(request, recipient.language)
    found = preferences.of(recipient)
    context = {
        "words": wording.of(wording.PREFERENCES, language),
        "who": people.masked(recipient.email),
        "found": found,
        "languages": [(code, name, code == found.language) for code, name in settings.LANGUAGES],
        "formats": [(each.value, label, each is found.email_format) for each, label in _formats().items()],
        "problem": problem,
        "told": told,
        "new_address": request.POST.get("email", "") if problem else "",
    }
    return pages.show(request, "preferences", context, status=400 if problem else 200)


def _change(request: HttpRequest, recipient: Recipient) -> str:
    """Do what the form wants; returns what is said then."""
    given, now = request.POST, clock.now()
    source = pages.source(request)
    if given.get("do") == "address":
        language = people.language(recipient.language)
        asked = requests.Asked(given.get("email", ""), language, source_address=source)
        requests.change_address(recipient, asked, now=now)
        return _("We have sent a message to the new address. It is used once you confirm it there.")
    chosen = given.get("format", "")
    wanted = preferences.Wanted(
        services=given.getlist("service"),
        purposes=given.getlist("purpose"),
        language=given.get("language", ""),
        email_format=int(chosen) if chosen.isdecimal() else -1,
        refuses="none" in given,
        source_address=source,
    )
    preferences.change(recipient, wanted, now=now)
    pages.speaking(request, wanted.language)
    return _("Your preferences are kept.")


def _reader(request: HttpRequest) -> tuple[Recipient | None, bool]:
    """Return whose link it is, and whether the link is that of a test message."""
    said = pages.target(request)
    number = signed.read(said, signed.PREFERENCES)
    if number is None:
        tag = messages.read(said, tags.PREFERENCES)
        message = messages.find(tag.broad_log_id, tag.delivery_id) if tag else None
        if message is None or message.is_test:
            return None, message is not None
        number = message.recipient_id
    return Recipient.objects.filter(pk=number).first(), False


def _formats() -> dict[EmailFormat, str]:
    return {
        EmailFormat.UNDEFINED: _("as your mail program prefers"),
        EmailFormat.HTML: _("with pictures and layout (HTML)"),
        EmailFormat.TEXT: _("text only"),
    }
