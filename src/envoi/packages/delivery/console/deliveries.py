"""A delivery's dashboard, what is done to it from the head of its pages, and the questions before it."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from envoi.console import explorer, live, tree, words
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import clock, folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import delivery_dashboard, delivery_tabs, timeline
from envoi.packages.delivery.console.reports import reactions
from envoi.packages.delivery.models import Delivery
from envoi.packages.delivery.services import analysis, deliveries, file_target
from envoi.packages.delivery.services.deliveries import doubts
from envoi.packages.delivery.services.tracking import indicators

TEMPLATES = 200
"""Most templates to choose from."""
_REFUSALS = (Invalid, Conflict, NotAllowed, NotFound)


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of deliveries."""
    return explorer.first_of(request, "nms:delivery")


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Make a delivery: say its name and the template that it is made of."""
    actor = actor_of_request(request)
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    templates = list(
        deliveries.visible(actor).filter(is_model=True).order_by("message_type", "label")[:TEMPLATES]
    )
    problem = ""
    if request.method == "POST":
        given = request.POST.get("template", "")
        chosen = next((each for each in templates if str(each.pk) == given), None)
        label = request.POST.get("label", "").strip()
        try:
            if chosen is None:
                raise Invalid(_("Choose the template that the delivery is made of."))
            more: dict[str, Any] = {"mapping": file_target.MAPPING} if request.POST.get("file") == "1" else {}
            made = deliveries.create(chosen, actor=actor, label=label, **more)
            messages.success(request, _("%(label)s is made. Say whom it is for.") % {"label": made.label})
            return redirect("delivery:delivery-target", number=made.pk)
        except _REFUSALS as refusal:
            problem = str(refusal)
    context = {
        "templates": [
            (
                each,
                delivery_tabs.CHANNEL_ICONS.get(each.message_type, "mail"),
                timeline.spoken("nms:delivery", "messageType", each.message_type),
            )
            for each in templates
        ],
        "problem": problem,
        "label": request.POST.get("label", ""),
        "file": request.POST.get("file") == "1",
        "chosen": request.POST.get("template", str(templates[0].pk) if templates else ""),
    }
    return render(request, "delivery/new.html", context, status=400 if problem else 200)


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show how far a delivery is; `do` names what is done."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                text, address = _do(request, delivery, actor)
            messages.success(request, text)
            return redirect(address)
        except _REFUSALS as refusal:
            problem = str(refusal)
            delivery.refresh_from_db()
    if delivery.is_model:
        context = {"creates": actor.has(Right.PREPARE_DELIVERIES)}
        return delivery_tabs.show(
            request, "delivery/template.html", delivery, actor, "dashboard", context, problem=problem
        )
    etag = live.tag(request, *delivery_dashboard.version(delivery))
    moves = delivery.status not in delivery_tabs.STILL

    def draw() -> HttpResponse:
        return delivery_tabs.show(
            request,
            "delivery/dashboard.html",
            delivery,
            actor,
            "dashboard",
            {
                **delivery_dashboard.context(delivery, request.GET.get("span", "all")),
                **(reactions.context(request, delivery, actor) if reactions.shown(delivery) else {}),
                "decides": actor.has(Right.START_DELIVERIES)
                and folders.may(actor, delivery.folder, Access.WRITE),
            },
            etag=etag if moves else "",
            problem=problem,
        )

    return live.answer(request, etag, draw)


@under(Word.DELIVERIES)
@require_GET
def failures(request: HttpRequest, number: int) -> HttpResponse:
    """Show what failed and why: a region of the dashboard that asks by itself, and a page without script."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    etag = live.tag(request, delivery.error, delivery.state)
    asks = delivery.status not in delivery_tabs.STILL
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    context = delivery_dashboard.failed(delivery) | {"delivery": delivery, "etag": etag, "here": request.path}
    if request.headers.get("HX-Request"):
        answer = render(request, "delivery/failures.html", context | {"asks": asks})
        answer["ETag"] = etag
        answer["Envoi-Time"] = words.time_of_day(clock.now(), seconds=True)
        return answer
    return delivery_tabs.show(request, "delivery/failures_page.html", delivery, actor, "dashboard", context)


@under(Word.DELIVERIES)
@require_GET
def ask(request: HttpRequest, number: int, command: str) -> HttpResponse:
    """Ask before something that touches people or cannot be taken back."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    may = deliveries.possible(delivery, actor)
    if command not in may:
        raise Conflict(_("This cannot be done with %(name)s now.") % {"name": delivery.label})
    dialog = request.headers.get("HX-Target") == "dialog"
    context = {
        **delivery_tabs.asked(delivery, command, may),
        "delivery": delivery,
        "dialog": dialog,
        "crumbs": explorer.crumbs(request, delivery.folder, whole=True),
    }
    name = "delivery/ask.html" if dialog else "delivery/ask_page.html"
    return render(request, name, context)


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> tuple[str, str]:
    here = reverse("delivery:delivery", args=[delivery.pk])
    match request.POST.get("do", ""):
        case "analyse":
            analysis.start(delivery, actor=actor)
            return _("The analysis is on its way."), here
        case "confirm":
            deliveries.confirm(delivery, actor=actor)
            count = delivery.to_deliver
            said = ngettext(
                "Confirmed: %(n)s message may go out.", "Confirmed: %(n)s messages may go out.", count
            )
            return said % {"n": words.number(count)}, here
        case "create":
            made = deliveries.create(delivery, actor=actor, label=request.POST.get("label", "").strip())
            return (
                _("%(label)s is made. Say whom it is for.") % {"label": made.label},
                reverse("delivery:delivery-target", args=[made.pk]),
            )
        case "delete":
            deliveries.delete(delivery, actor=actor)
            return _("%(name)s is deleted.") % {"name": delivery.label}, tree.address_of(delivery.folder)
        case "pause" | "resume" | "stop" | "reset" as command:
            verb: Any = getattr(deliveries, command)
            verb(delivery, actor=actor)
            return delivery_tabs.done(command), here
        case "doubt-sent" | "doubt-repeat" as command:
            count = doubts.decide(delivery, "sent" if command == "doubt-sent" else "repeat", actor=actor)
            said = (
                ngettext("%(n)s message counts as sent.", "%(n)s messages count as sent.", count)
                if command == "doubt-sent"
                else ngettext("%(n)s message is sent again.", "%(n)s messages are sent again.", count)
            )
            return said % {"n": words.number(count)}, here
        case "recompute":
            indicators.recompute(delivery, actor=actor, now=clock.now())
            return _("The indicators are counted anew from the logs."), here
        case "duplicate" | "resend" as command:
            make: Any = getattr(deliveries, command)
            made = make(delivery, actor=actor)
            return _("%(label)s is made.") % {"label": made.label}, reverse(
                "delivery:delivery", args=[made.pk]
            )
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))
