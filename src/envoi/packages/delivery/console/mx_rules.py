"""The pages of MX rules and domain rules."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_http_methods

from envoi.console import explorer
from envoi.console.access import administrators_only
from envoi.console.administration import trail_of
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Invalid, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console.sending_pages import below, number, tabs
from envoi.packages.delivery.models import DomainRule, Encryption, MxRule
from envoi.packages.delivery.services.routing import domain_rules, mx_rules
from envoi.packages.delivery.services.routing.mx_rules import Level

LEVELS = {
    Level.SLOW: lazy("Slow: half"),
    Level.NORMAL: lazy("Normal"),
    Level.FAST: lazy("Fast: twice"),
    Level.VERY_FAST: lazy("Very fast: four times"),
    Level.BOOST: lazy("Boost: ten times"),
    Level.CUSTOM: lazy("Custom: as they stand, new versions leave them alone"),
}
TLS = {
    Encryption.OPPORTUNISTIC: lazy("Where offered"),
    Encryption.NONE: lazy("Never"),
    Encryption.REQUIRED: lazy("Always"),
}
FIELDS = (
    "mask", "public_ids", "connections", "per_connection", "per_hour", "connect_timeout", "command_timeout",
    "data_timeout", "tls",
)  # fmt: skip


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder."""
    return explorer.first_of(request, mx_rules.ENTITY)


@under(Word.EXPLORER)
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """List the rules in their order; `host` asks which one fits."""
    actor = administrators_only(request, to=_("see how mail is sent"))
    problem = ""
    if request.method == "POST":
        try:
            _do(request, actor)
            return redirect(request.get_full_path())
        except (Invalid, NotFound) as refusal:
            problem = str(refusal)
    host = request.GET.get("host", "").strip()
    fits: Any = None
    if host:
        try:
            fits = mx_rules.fitting(host, actor=actor)
        except Invalid as refusal:
            problem = problem or str(refusal)
    context = {
        "rows": list(MxRule.objects.all()),
        "host": host,
        "fits": fits,
        "level": mx_rules.level(actor=actor),
        "levels": [(each.value, label) for each, label in LEVELS.items()],
        "domain_rules": list(DomainRule.objects.all()),
        "problem": problem,
        "given": request.POST,
        "tabs": tabs(mx_rules.ENTITY),
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/routing/mx_rules.html", context, status=400 if problem else 200)


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int | None = None) -> HttpResponse:
    """Show one rule, change it, or make one."""
    actor = administrators_only(request, to=_("change MX rules"))
    row = MxRule()
    if number is not None:
        found = MxRule.objects.filter(pk=number).first()
        if found is None:
            raise NotFound(_("This MX rule is not there any more."))
        row = found
    problem = ""
    if request.method == "POST":
        try:
            if request.POST.get("do") == "delete" and number is not None:
                mx_rules.delete(number, actor=actor)
                messages.success(request, _("The rule holds no more."))
            else:
                given: dict[str, Any] = {name: request.POST.get(name, "") for name in FIELDS}
                given |= {name: name in request.POST for name in ("shared", "active")}
                mx_rules.save(number, given, actor=actor)
                messages.success(request, _("The rule is kept. Senders follow it within a minute."))
            return redirect("delivery:mx-rules")
        except Invalid as refusal:
            problem = str(refusal)
    values = {name: getattr(row, name) for name in (*FIELDS, "shared", "active")}
    if problem:
        values |= {name: request.POST.get(name, "") for name in FIELDS}
        values |= {name: name in request.POST for name in ("shared", "active")}
    context = {
        "row": row if number is not None else None,
        "values": {name: "" if value is None else value for name, value in values.items()},
        "encryptions": [(str(int(each)), label) for each, label in TLS.items()],
        "tls": str(values["tls"]),
        "problem": problem,
        "trail": trail_of(actor, mx_rules.ENTITY, row.mask) if number else [],
        **below(request, actor, mx_rules.ENTITY),
    }
    return render(request, "delivery/routing/mx_rule.html", context, status=400 if problem else 200)


def _do(request: HttpRequest, actor: Actor) -> None:
    given = request.POST
    what = given.get("do", "")
    if what == "level":
        mx_rules.set_level(given.get("level", ""), actor=actor)
        messages.success(request, _("The level holds. Senders follow it within a minute."))
    elif what in ("up", "down"):
        mx_rules.move(number(given.get("rule", "")), up=what == "up", actor=actor)
    elif what == "add-domain-rule":
        domain_rules.add(given.get("mask", ""), given.get("relay", ""), given.get("port", "25"), actor=actor)
        messages.success(request, _("The rule is kept. Senders follow it within a minute."))
    elif what == "delete-domain-rule":
        domain_rules.delete(number(given.get("rule", "")), actor=actor)
        messages.success(request, _("The rule holds no more."))
    else:
        raise Invalid(_("Nothing was chosen that could be done."))
