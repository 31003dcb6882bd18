"""The pages of sending domains and their DKIM keys."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import administrators_only
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console.sending_pages import FACES, below, number, tabs
from envoi.packages.delivery.models import DkimKey, SendingDomain, SigningAlgorithm
from envoi.packages.delivery.services import routing
from envoi.packages.delivery.services.routing import domains, findings, keys, routes

WHAT = (("spf", "SPF"), ("dkim", "DKIM"), ("dmarc", "DMARC"), ("mx", "MX"))


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder."""
    return explorer.first_of(request, domains.ENTITY)


@under(Word.EXPLORER)
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the domains with what DNS says; add one."""
    actor = administrators_only(request, to=_("see how mail is sent"))
    problem = ""
    if request.method == "POST":
        try:
            row = domains.check(request.POST.get("domain", ""), settings.CONFIG, actor=actor)
            return redirect("delivery:sending-domain", number=row.pk)
        except Invalid as refusal:
            problem = str(refusal)
    config = settings.CONFIG
    signing: dict[str, int] = {}
    for name in DkimKey.objects.filter(active=True).values_list("domain", flat=True):
        signing[name] = signing.get(name, 0) + 1
    context = {
        "rows": [(row, _states(row), signing.get(row.domain, 0)) for row in SendingDomain.objects.all()],
        "bounce": routing.bounce_domain(config),
        "helo": routing.helo(config),
        "relay": _relay(),
        "sink": config.sending.sink,
        "problem": problem,
        "given": request.POST,
        "tabs": tabs(domains.ENTITY),
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/routing/domains.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show a domain: what was found, its keys, the records to publish."""
    actor = administrators_only(request, to=_("see how mail is sent"))
    row = SendingDomain.objects.filter(pk=number).first()
    if row is None:
        raise NotFound(_("This sending domain is not there any more."))
    problem = ""
    if request.method == "POST":
        try:
            gone = _do(request, row, actor)
            return redirect("delivery:sending-domains") if gone else redirect(request.path)
        except (Invalid, Conflict) as refusal:
            problem = str(refusal)
    context = {
        "row": row,
        "problem": problem,
        "found": [
            (name, FACES[each.state], findings.told(each.code, each.detail))
            for what, name in WHAT
            for each in domains.findings(row)
            if each.what == what
        ],
        "dkim_keys": [
            (key, keys.record(key), _key_face(key)) for key in DkimKey.objects.filter(domain=row.domain)
        ],
        "wanted": domains.wanted(row.domain, settings.CONFIG),
        "algorithms": SigningAlgorithm.choices,
        **below(request, actor, domains.ENTITY),
    }
    return render(request, "delivery/routing/domain.html", context, status=400 if problem else 200)


def _do(request: HttpRequest, row: SendingDomain, actor: Actor) -> bool:
    """Do what a button says; returns whether the domain is gone."""
    given = request.POST
    what, chosen = given.get("do", ""), given.get("key", "")
    if what == "remove":
        domains.remove(row.pk, actor=actor)
        messages.success(request, _("%(domain)s is off the list.") % {"domain": row.domain})
        return True
    if what == "make":
        made = keys.make(
            row.domain, given.get("algorithm", ""), actor=actor, selector=given.get("selector", "")
        )
        messages.success(
            request, _("The key is made. Publish %(name)s in DNS.") % {"name": keys.record(made).name}
        )
        return False
    if what == "activate":
        keys.activate(number(chosen), actor=actor, unseen=given.get("unseen") == "1")
        messages.success(request, _("The key signs now."))
    elif what == "retire":
        keys.retire(number(chosen), actor=actor)
        messages.success(request, _("The key does not sign any more. Leave its record in DNS for a week."))
    elif what == "delete":
        keys.delete(number(chosen), actor=actor)
        messages.success(request, _("The key is deleted."))
    elif what != "check":
        raise Invalid(_("Nothing was chosen that could be done."))
    if what in ("check", "activate"):
        domains.check(row.domain, settings.CONFIG, actor=actor)
    return False


def _states(row: SendingDomain) -> list[tuple[str, Any]]:
    return [(name, FACES[getattr(row, what)]) for what, name in WHAT]


def _key_face(key: DkimKey) -> tuple[str, str, str]:
    if key.active:
        return ("ok", "ok", _("Signs")) if key.verified_at else ("warn", "warn", _("Signs, not seen in DNS"))
    if key.retired_at:
        return "draft", "stopped", _("Retired")
    if key.verified_at:
        return "ask", "ask", _("Seen in DNS, does not sign yet")
    return "wait", "wait", _("To publish")


def _relay() -> str:
    url = routes.relay_url(settings.CONFIG)
    if not url:
        return ""
    found = routes.relay(url)
    return f"{found.host}:{found.port}"
