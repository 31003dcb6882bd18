"""`/r/c/`: a mailbox confirms what was asked for in its name. It takes a press of a button: programs that
look at mails follow their links.
"""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.kernel import clock
from envoi.packages.delivery.endpoints import pages
from envoi.packages.delivery.models import ReaderRequest, RequestKind
from envoi.packages.delivery.services.landing import people, requests, signed, wording


@pages.door
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Say what is confirmed, and do it with POST."""
    number = signed.read(pages.target(request), signed.CONFIRM)
    found = requests.find(number, now=clock.now()) if number is not None else None
    pages.speaking(request, found.language if found else "")
    if number is None:
        return pages.lost(request)
    if found is None:
        return pages.lost(
            request, _("This link is too old"), _("Ask again, and confirm within %(days)d days.")
            % {"days": requests.VALID.days},
        )  # fmt: skip
    if request.method == "POST" or found.done_at is not None:
        return _done(request, found)
    title, text = _spoken(found)
    return pages.show(request, "confirm", {"title": title, "text": text})


def _done(request: HttpRequest, found: ReaderRequest) -> HttpResponse:
    recipient = found.recipient_id
    if found.done_at is None:
        recipient = requests.confirm(found, now=clock.now(), source_address=pages.source(request))
    return pages.tell(
        request,
        _("Thank you"),
        _("It is confirmed for %(who)s.") % {"who": people.masked(found.email)},
        preferences=signed.make(signed.PREFERENCES, recipient) if recipient else "",
    )


def _spoken(found: ReaderRequest) -> tuple[str, str]:
    who = people.masked(found.email)
    if RequestKind(found.kind) is RequestKind.ADDRESS:
        return (
            _("Confirm your new address"),
            _("The messages of %(sender)s go to %(who)s from now on.")
            % {"sender": wording.sender(), "who": who},
        )
    if found.service is None:
        return (
            _("Confirm"),
            _("%(who)s gets messages of %(sender)s.") % {"sender": wording.sender(), "who": who},
        )
    return (
        _("Confirm your subscription to %(service)s") % {"service": found.service.label},
        _("%(who)s gets “%(service)s” from now on.") % {"service": found.service.label, "who": who},
    )
