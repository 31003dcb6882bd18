"""The page of the suppression list: look an address up, add some, take one off."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.console import explorer
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel.errors import Invalid, NotAllowed, NotFound
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import Channel, Suppression
from envoi.packages.delivery.services import suppression

SHOWN = 100
CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PHONE, Channel.FAX)


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of the list."""
    return explorer.first_of(request, suppression.ENTITY)


@under(Word.PROFILES)
def folder_page(request: HttpRequest, folder: Folder) -> HttpResponse:
    """Show the list; `do` names what is done, `q` looks an address up."""
    actor = actor_of_request(request)
    query, problem = request.GET.get("q", "").strip(), ""
    refused: tuple[tuple[str, str], ...] = ()
    if request.method == "POST":
        try:
            with transaction.atomic():
                refused = _do(request, actor)
            if not refused:
                return redirect(request.path)
        except (Invalid, NotFound, NotAllowed) as refusal:
            problem = str(refusal)
    found: Any = Suppression.objects.order_by("-suppression_id").select_related("created_by")
    if query:
        try:
            found = suppression.find(query, actor=actor)
        except Invalid as refusal:
            found, problem = [], str(refusal)
    context = {
        "found": [
            (each, timeline.spoken("nms:suppression", "channel", each.channel)) for each in found[:SHOWN]
        ],
        "count": len(found) if query else Suppression.objects.count(),
        "query": query,
        "limit": SHOWN,
        "problem": problem,
        "refused": refused,
        "given": request.POST if problem or refused else {},
        "channels": [
            (each.value, timeline.spoken("nms:suppression", "channel", each.value)) for each in CHANNELS
        ],
        "adds": actor.has(Right.PREPARE_DELIVERIES),
        "removes": actor.is_administrator,
        **explorer.frame(request, folder),
    }
    return render(request, "delivery/suppression.html", context, status=400 if problem else 200)


def _do(request: HttpRequest, actor: Actor) -> tuple[tuple[str, str], ...]:
    given = request.POST
    if given.get("do") == "add":
        try:
            channel = Channel(int(given.get("channel", "0")))
        except ValueError as error:
            raise Invalid(_("This is no channel.")) from error
        texts = given.get("addresses", "").splitlines()
        done = suppression.add(texts, actor=actor, channel=channel, reason=given.get("reason", "").strip())
        said = ngettext("%(n)d address joined the list.", "%(n)d addresses joined the list.", done.added)
        text = said % {"n": done.added}
        if done.present:
            there = ngettext("%(n)d was on it already.", "%(n)d were on it already.", done.present)
            text = f"{text} {there % {'n': done.present}}"
        messages.success(request, text)
        return done.refused
    if given.get("do") == "remove":
        text = given.get("entry", "")
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise Invalid(_("Nothing was chosen that could be done."))
        suppression.remove(int(text), actor=actor)
        messages.success(request, _("The entry is off the list."))
        return ()
    raise Invalid(_("Nothing was chosen that could be done."))
