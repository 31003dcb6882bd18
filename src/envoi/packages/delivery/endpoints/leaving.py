"""`/r/u/`: unsubscribing by a page, or by one click of a mail program (RFC 8058); `/r/b/`: taking it back.

Nothing happens by a GET: programs that look at mails follow their links.
"""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from envoi.kernel import clock
from envoi.packages.delivery.endpoints import pages
from envoi.packages.delivery.models import OptOutReason, OptOutWay
from envoi.packages.delivery.services.landing import messages, optouts, people, signed, wording
from envoi.packages.delivery.services.landing.messages import Message
from envoi.packages.delivery.services.landing.optouts import Said
from envoi.packages.delivery.services.redirection import tags

ALL = "all"


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Answer a mail program at once, a person by a page."""
    if request.method == "POST" and request.POST.get("List-Unsubscribe") == "One-Click":
        return _one_click(request)
    return _page(request)


def _one_click(request: HttpRequest) -> HttpResponse:
    tag = messages.read(pages.target(request), tags.UNSUBSCRIBE)
    if tag is None:
        return _plain("There is nothing here.\n", 404)
    message = messages.find(tag.broad_log_id, tag.delivery_id)
    if message is not None:
        said = Said(OptOutWay.ONE_CLICK, source_address=pages.source(request))
        optouts.leave(message, said, now=clock.now())
    return _plain("You are unsubscribed.\n", 200)


def _plain(text: str, status: int) -> HttpResponse:
    return pages.confined(HttpResponse(text, status=status, content_type="text/plain"), pages.POLICY)


@pages.door
def _page(request: HttpRequest) -> HttpResponse:
    tag = messages.read(pages.target(request), tags.UNSUBSCRIBE)
    message = messages.find(tag.broad_log_id, tag.delivery_id) if tag else None
    language = pages.speaking(request, message.language if message else "")
    if tag is None:
        return pages.lost(request)
    if message is None:
        return pages.lost(
            request,
            _("This message is not known any more"),
            _("It is too old. Use the link of a newer message, or answer to it: we read that too."),
        )
    if request.method == "POST":
        return _leave(request, message)
    words = wording.of(wording.UNSUBSCRIBE, language)
    left_all = optouts.has_left(message.recipient_id, message.address, None)
    context = {
        "words": words,
        "message": message,
        "who": people.masked(message.address),
        "reasons": [(each.value, label) for each, label in _reasons().items()],
        "left": left_all or (message.service and optouts.has_left(message.recipient_id, "", message.service)),
        "left_all": left_all,
        "preferences": _preferences(message),
    }
    return pages.show(request, "unsubscribe", context)


def _leave(request: HttpRequest, message: Message) -> HttpResponse:
    given = request.POST
    everything = given.get("scope") == ALL or message.service is None
    reason = given.get("reason", "")
    said = Said(
        OptOutWay.PAGE,
        everything=everything,
        reason=OptOutReason(reason) if reason in OptOutReason.values else OptOutReason.NONE,
        remark=given.get("remark", ""),
        source_address=pages.source(request),
    )
    if message.is_test:
        return pages.tell(
            request,
            _("This was a test message"),
            _("It was sent to check how it looks. Nobody is unsubscribed by it."),
        )
    done = optouts.leave(message, said, now=clock.now())
    who = people.masked(message.address)
    if everything or message.service is None:
        text = _("%(who)s gets no more e-mail from %(sender)s.")
        values = {"who": who, "sender": wording.sender()}
    else:
        text = _("%(who)s does not get “%(service)s” any more.")
        values = {"who": who, "service": message.service.label}
    return pages.tell(
        request,
        _("You are unsubscribed"),
        text % values,
        undo=signed.make(signed.UNDO, done.batch_id) if done else "",
        preferences=_preferences(message),
    )


@pages.door
@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest) -> HttpResponse:
    """Take back what the page has just done."""
    number = signed.read(pages.target(request), signed.UNDO)
    pages.speaking(request)
    if number is None:
        return pages.lost(request)
    if request.method != "POST":
        return pages.tell(
            request, _("Take it back"), _("You get your messages again."), undo=pages.target(request)
        )
    proof = optouts.undo(number, now=clock.now())
    if proof is None:
        return pages.tell(
            request,
            _("There is nothing to take back"),
            _("That was done already, or it was too long ago. Subscribe again where you want to."),
        )
    return pages.tell(
        request,
        _("You are subscribed as before"),
        _("Nothing has changed for %(who)s.") % {"who": people.masked(proof.address)},
        preferences=signed.make(signed.PREFERENCES, proof.recipient_id) if proof.recipient_id else "",
    )


def _preferences(message: Message) -> str:
    return message.tag(tags.PREFERENCES) if message.recipient_id and not message.is_test else ""


def _reasons() -> dict[OptOutReason, str]:
    return {
        OptOutReason.NONE: _("I prefer not to say"),
        OptOutReason.TOO_MANY: _("Too many messages"),
        OptOutReason.NOT_RELEVANT: _("They are of no interest to me"),
        OptOutReason.NEVER_ASKED: _("I never asked for them"),
        OptOutReason.OTHER: _("Another reason"),
    }
