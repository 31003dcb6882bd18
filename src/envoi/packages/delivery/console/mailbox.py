"""The mailbox of a demonstration: mails that its sink has taken, opened without running what is in them."""

import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin

from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel.errors import NotFound
from envoi.kernel.rights import Right
from envoi.packages.delivery.services.sink import Mails, mails
from envoi.web.security import POLICY

SHOWN = 50
FRAMED = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""What the HTML of a mail may do: show itself, and open a link in a tab of its own. Pictures of others are
not fetched: nobody learns of it.
"""
_BASE = '<base target="_blank">'
"""The first base that says where links open counts. A new tab of a link without a target of its own does not
know who has opened it.
"""
_TARGET = re.compile(r"""(<a(?:rea)?\b[^<>]*?)\s(?:target|rel)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+)""", re.I)
_DOCTYPE = re.compile(r"\s*<!doctype[^>]*>", re.I)


def shown() -> bool:
    """Return whether this instance has such a mailbox."""
    return bool(settings.CONFIG.instance.demo and settings.CONFIG.sending.sink)


@under(Word.DELIVERIES)
def page(request: HttpRequest) -> HttpResponse:
    """List what came; `q` looks for a text in addresses and subjects, `before` pages on."""
    box = _box(request)
    query = request.GET.get("q", "").strip()
    found, count = box.latest(query, SHOWN + 1, before=request.GET.get("before", ""))
    context = {
        "found": found[:SHOWN],
        "count": count,
        "query": query,
        "older": found[SHOWN - 1].number if len(found) > SHOWN else "",
        "pages": request.GET.get("before", ""),
    }
    return render(request, "delivery/mailbox/page.html", context)


@under(Word.DELIVERIES)
def mail(request: HttpRequest, number: str) -> HttpResponse:
    """Show one mail; `view` is html, text, headers or source."""
    box = _box(request)
    found = box.find(number)
    content = box.content(number)
    opened = mails.read(content)
    views = [("html", _("HTML")), ("text", _("Text")), ("headers", _("Headers"))]
    views = [each for each in views if each[0] != "html" or opened.html]
    chosen = request.GET.get("view", "")
    chosen = chosen if chosen in dict(views) else views[0][0]
    context = {
        "mail": found,
        "opened": opened,
        "views": [(name, label, name == chosen) for name, label in views],
        "view": chosen,
    }
    response = render(request, "delivery/mailbox/mail.html", context)
    response["Content-Security-Policy"] = f"{POLICY}; frame-src 'self'"
    return response


@xframe_options_sameorigin
def body(request: HttpRequest, number: str) -> HttpResponse:
    """Give the HTML of a mail for the frame that shows it."""
    html = mails.read(_box(request).content(number)).html
    while (freed := _TARGET.sub(r"\1", html)) != html:
        html = freed
    # Behind the doctype, without which it would be drawn as pages of the nineties were.
    doctype = _DOCTYPE.match(html)
    place = doctype.end() if doctype else 0
    response = HttpResponse(f"{html[:place]}{_BASE}{html[place:]}")
    response["Content-Security-Policy"] = FRAMED
    response["Referrer-Policy"] = "no-referrer"
    return response


def source(request: HttpRequest, number: str) -> HttpResponse:
    """Give a mail as it came."""
    response = HttpResponse(_box(request).content(number), content_type="message/rfc822")
    response["Content-Disposition"] = f'attachment; filename="{number}.eml"'
    return response


def _box(request: HttpRequest) -> Mails:
    actor = actor_of_request(request)
    if not shown():
        raise NotFound(_("There is nothing here."))
    actor.require(Right.PREPARE_DELIVERIES, to=_("read the mailbox of the demonstration"))
    return Mails(settings.CONFIG.home)
