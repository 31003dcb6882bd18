"""The page of updates of rules: where they come from, what they changed, and the next one at once."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console.access import administrators_only
from envoi.console.navigation import Word, under
from envoi.engine import commands
from envoi.engine.commands import Command
from envoi.engine.models import State, Workflow
from envoi.kernel import options
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.rights import Actor
from envoi.packages.delivery.console.sending_pages import below, tabs
from envoi.packages.delivery.models import DeliverabilityUpdate, MailRuleSet
from envoi.packages.delivery.services.deliverability import settings, updating
from envoi.packages.delivery.services.qualification import rule_sets
from envoi.packages.delivery.services.routing import mx_rules

WORKFLOW = "deliverabilityUpdate"
SCHEMA = "nms:deliverabilityUpdate"


@under(Word.EXPLORER)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show the updates, and change where they come from."""
    actor = administrators_only(request, to=_("see where rules come from"))
    problem = ""
    if request.method == "POST":
        try:
            messages.success(request, _do(request, actor))
            return redirect(request.path)
        except (Invalid, Conflict, NotFound) as refusal:
            problem = str(refusal)
    kept = {
        name: options.get(name, actor=actor, default="")
        for name in (updating.URL, updating.KEY, updating.SHARE)
    }
    given = request.POST if problem else None
    context = {
        "problem": problem,
        "url": given.get("url") if given else kept[updating.URL],
        "key": given.get("key") if given else kept[updating.KEY],
        "share": given.get("share") if given else kept[updating.SHARE],
        "updates": list(DeliverabilityUpdate.objects.exclude(applied_at=None)[:20]),
        "rules": MailRuleSet.objects.filter(name=rule_sets.NAME).first(),
        "custom": mx_rules.level(actor=actor) is mx_rules.Level.CUSTOM,
        "workflow": Workflow.objects.filter(internal_name=WORKFLOW).first(),
        **below(request, actor, mx_rules.ENTITY),
        "tabs": tabs(SCHEMA),
    }
    return render(request, "delivery/routing/deliverability.html", context, status=400 if problem else 200)


def _do(request: HttpRequest, actor: Actor) -> str:
    given = request.POST
    if given.get("do") == "now":
        if not Workflow.objects.filter(internal_name=WORKFLOW, state=State.STARTED).exists():
            # One that has failed is paused, and goes on with what it failed in.
            commands.post(actor, WORKFLOW, Command.START)
        commands.post_later(actor, WORKFLOW, Command.WAKEUP)
        return _("The rules are looked at now; what it changed stands here in a moment.")
    settings.save(given.get("url", ""), given.get("key", ""), given.get("share") == "on", actor=actor)
    return _("The feed is kept.")
