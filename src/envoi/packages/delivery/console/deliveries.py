"""The page of a delivery or a template: for whom, its analysis, what may be done with it next."""

from dataclasses import dataclass
from typing import Any

from babel.numbers import format_percent
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from envoi.console import explorer, live, tree, words
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.kernel import folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import timeline
from envoi.packages.delivery.models import (
    Delivery,
    DeliveryRun,
    DeliveryState,
    DlvExclusion,
    JobLevel,
    JobLog,
)
from envoi.packages.delivery.services import analysis, deliveries, lists
from envoi.packages.delivery.services.deliveries import states

ICONS = "ask bad draft ok pause run stopped wait warn"
LISTS = 100
"""Most lists to choose from."""
LINES = 50
_REFUSALS = (Invalid, Conflict, NotAllowed, NotFound)
_LOOKS: dict[DeliveryState, tuple[str, str]] = {
    DeliveryState.EDITING: ("draft", "draft"),
    DeliveryState.READY: ("ask", "ask"),
    DeliveryState.START_PENDING: ("wait", "wait"),
    DeliveryState.FINISHED: ("ok", "ok"),
    DeliveryState.FAILED: ("bad", "bad"),
    DeliveryState.STOPPED: ("draft", "stopped"),
    DeliveryState.PAUSED: ("draft", "pause"),
}
_LEVELS = {JobLevel.INFO: "", JobLevel.WARNING: "warn", JobLevel.ERROR: "bad"}


@dataclass(frozen=True)
class Cause:
    """One cause of exclusion: its label, how many, per cent of the target."""

    label: str
    count: int
    share: str


def first(request: HttpRequest) -> HttpResponse:
    """Send to the folder of deliveries."""
    return explorer.first_of(request, "nms:delivery")


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show one delivery; `do` names what is done."""
    actor = actor_of_request(request)
    delivery = _find(number, actor)
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
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    etag = live.tag(request, delivery.modified_at, run and (run.step, run.last_id))

    def draw() -> HttpResponse:
        context = _context(delivery, run, actor) | {"etag": etag, "here": request.path, "problem": problem}
        if live.wants_region(request):
            return render(request, "delivery/delivery_region.html", context)
        context |= {
            **explorer.frame(request, delivery.folder),
            "crumbs": explorer.crumbs(request, delivery.folder, whole=True),
        }
        return render(request, "delivery/delivery.html", context, status=400 if problem else 200)

    return live.answer(request, etag, draw)


def _context(delivery: Delivery, run: DeliveryRun | None, actor: Actor) -> dict[str, Any]:
    writes = actor.has(Right.PREPARE_DELIVERIES) and folders.may(actor, delivery.folder, Access.WRITE)
    look = _LOOKS.get(delivery.status, ("run", "run"))
    busy = delivery.status in states.ANALYSED
    ready = delivery.status not in states.EDITABLE or delivery.status is DeliveryState.READY
    said = delivery.targeting
    control = said.get("control") or {}
    return {
        "delivery": delivery,
        "face": Face(*look, timeline.spoken("nms:delivery", "state", delivery.state)),
        "icons": ICONS,
        "channel": timeline.spoken("nms:delivery", "messageType", delivery.message_type),
        "busy": busy,
        "step": timeline.spoken("nms:deliveryRun", "step", run.step) if run and busy else "",
        "analysed": run is not None and ready and not busy,
        "counts": run.counts if run else {},
        "parts": delivery.parts.filter(run=run).count() if run and ready else 0,  # type: ignore[attr-defined]
        "causes": _causes(delivery, run) if run and ready else [],
        "lines": _lines(delivery, run),
        "changes": writes and delivery.status in states.EDITABLE,
        "creates": actor.has(Right.PREPARE_DELIVERIES),
        "analyses": writes and not delivery.is_model and delivery.status in states.EDITABLE,
        "confirms": delivery.status is DeliveryState.READY
        and actor.has(Right.START_DELIVERIES)
        and folders.may(actor, delivery.folder, Access.WRITE)
        and run is not None
        and deliveries.worst(run) is not JobLevel.ERROR,
        "details": reverse("console:record-page", args=["nms", "delivery", delivery.pk]),
        "condition": said.get("filter") or "",
        "built": isinstance(said.get("filter"), dict),
        "lists": _lists(delivery, actor),
        "limit": (said.get("exclude") or {}).get("limit") or "",
        "percent": control.get("percent", ""),
        "further_control": bool(control) and ("percent" not in control or control.get("sort")),
    }


def _causes(delivery: Delivery, run: DeliveryRun) -> list[Cause]:
    total = run.counts.get("total") or 1
    return [
        Cause(
            timeline.spoken("nms:dlvExclusion", "failureReason", each.failure_reason),
            each.count,
            format_percent(round(each.count / total, 3), locale=words.locale(), decimal_quantization=False),
        )
        for each in DlvExclusion.objects.filter(delivery=delivery, run=run).order_by("-count")
    ]


def _lines(delivery: Delivery, run: DeliveryRun | None) -> list[tuple[JobLog, str, str]]:
    found = JobLog.objects.filter(delivery=delivery).order_by("-job_log_id")
    return [(each, deliveries.text(each), _LEVELS[JobLevel(each.level)]) for each in found[:LINES]]


def _lists(delivery: Delivery, actor: Actor) -> list[tuple[str, str, bool]]:
    chosen = set(delivery.targeting.get("lists") or ())
    found = lists.visible(actor).filter(schema=delivery.mapping.schema).order_by("label")[:LISTS]
    known = [(each.name, each.label, each.name in chosen) for each in found]
    shown = {name for name, _label, _chosen in known}
    return [*((name, name, True) for name in sorted(chosen - shown)), *known]


def _find(number: int, actor: Actor) -> Delivery:
    found = deliveries.visible(actor).filter(pk=number).first()
    if found is None:
        raise NotFound(_("This delivery is not there any more."))
    return found


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> tuple[str, str]:
    match request.POST.get("do", ""):
        case "target":
            deliveries.change(delivery, {"targeting": _targeting(request, delivery)}, actor=actor)
            return _("The target is kept. Analyse the delivery to see whom it reaches."), request.path
        case "analyse":
            analysis.start(delivery, actor=actor)
            return _("The analysis is on its way."), request.path
        case "confirm":
            deliveries.confirm(delivery, actor=actor)
            count = delivery.to_deliver
            said = ngettext(
                "Confirmed: %(n)s message may go out.", "Confirmed: %(n)s messages may go out.", count
            )
            return said % {"n": words.number(count)}, request.path
        case "create":
            made = deliveries.create(delivery, actor=actor, label=request.POST.get("label", "").strip())
            return (
                _("%(label)s is made. Say whom it is for.") % {"label": made.label},
                reverse("delivery:delivery", args=[made.pk]),
            )
        case "delete":
            deliveries.delete(delivery, actor=actor)
            return _("%(name)s is deleted.") % {"name": delivery.label}, tree.address_of(delivery.folder)
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _targeting(request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
    given = request.POST
    said = dict(delivery.targeting)
    if "filter" in given:
        said["filter"] = given["filter"].strip()
    said["lists"] = given.getlist("list")
    limit = given.get("limit", "").strip()
    if limit and not (limit.isascii() and limit.isdigit() and len(limit) < 10):
        raise Invalid(_("The greatest number of messages must be a whole number."))
    said["exclude"] = {**(said.get("exclude") or {}), "limit": int(limit or 0)}
    if "percent" in given:
        percent = given["percent"].strip().replace(",", ".")
        said["control"] = {"percent": percent} if percent and percent != "0" else None
    return {name: value for name, value in said.items() if value not in ("", None, [])}
