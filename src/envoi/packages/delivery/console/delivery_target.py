"""Whom a delivery is for, and what the analysis has found: the tab Target."""

from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envoi.console import live
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.engine.models import State
from envoi.kernel import folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import delivery_tabs, timeline
from envoi.packages.delivery.models import Delivery, DeliveryRun, DeliveryState, Typology
from envoi.packages.delivery.services import (
    channels,
    deliveries,
    file_target,
    lists,
    typologies,
    uploaded_target,
)
from envoi.packages.delivery.services.deliveries import states

_UNDER_WAY = (State.STARTING, State.STARTED)
LISTS = 100
"""Most lists to choose from."""


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show and change whom a delivery is for."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem = ""
    if request.method == "POST":
        try:
            if request.POST.get("do") == "upload":
                return _upload(request, delivery, actor)
            with transaction.atomic():
                values = {"targeting": _targeting(request, delivery), **_rules(request)}
                deliveries.change(delivery, values, actor=actor)
            said = _("The target is kept. Analyse the delivery to see whom it reaches.")
            messages.success(request, said)
            return redirect(request.path)
        except (Invalid, Conflict, NotAllowed, NotFound) as refusal:
            problem = str(refusal)
            delivery.refresh_from_db()
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    # A form must not be drawn anew while somebody fills it in: only a page without one asks by itself.
    busy = delivery.status in states.ANALYSED
    etag = live.tag(request, delivery.modified_at, run and (run.step, run.last_id)) if busy else ""
    return live.answer(
        request,
        etag or live.tag(request, delivery.modified_at),
        lambda: delivery_tabs.show(
            request,
            "delivery/delivery_target.html",
            delivery,
            actor,
            "target",
            _context(delivery, run, actor),
            etag=etag,
            problem=problem,
        ),
    )


def _upload(request: HttpRequest, delivery: Delivery, actor: Actor) -> HttpResponse:
    """Let an uploaded file become the target."""
    given = request.FILES.get("file")
    if not isinstance(given, UploadedFile) or not given.name:
        raise Invalid(_("Choose a file."))
    uploaded_target.upload(delivery, given.name, given.chunks(), actor=actor)
    messages.success(request, _("The file is here: it is the target as soon as it is read."))
    return redirect(request.path)


def _context(delivery: Delivery, run: DeliveryRun | None, actor: Actor) -> dict[str, Any]:
    writes = actor.has(Right.PREPARE_DELIVERIES) and folders.may(actor, delivery.folder, Access.WRITE)
    busy = delivery.status in states.ANALYSED
    ready = not busy and (delivery.status not in states.EDITABLE or delivery.status is DeliveryState.READY)
    said = delivery.targeting
    control = said.get("control") or {}
    return {
        "busy": busy,
        "step": timeline.spoken("nms:deliveryRun", "step", run.step) if run and busy else "",
        "analysed": run is not None and ready,
        "counts": run.counts if run else {},
        "changes": writes and delivery.status in states.EDITABLE,
        "condition": said.get("filter") or "",
        "built": isinstance(said.get("filter"), dict),
        "lists": [] if file_target.concerns(delivery.mapping) else _lists(delivery, actor),
        "file": _file(delivery, actor) if file_target.concerns(delivery.mapping) else None,
        "limit": (said.get("exclude") or {}).get("limit") or "",
        "percent": control.get("percent", ""),
        "typologies": [
            (each.pk, each.label, each.pk == delivery.typology_id)
            for each in Typology.objects.exclude(name=typologies.DEFAULT)
        ],
        "weight": "" if delivery.weight is None else delivery.weight,
        "further_control": bool(control) and ("percent" not in control or control.get("sort")),
    }


def _file(delivery: Delivery, actor: Actor) -> dict[str, Any]:
    """Return what is known of the file that a delivery is for: which of its columns holds the address."""
    kind = channels.of(delivery.message_type).address
    loading = uploaded_target.loading(delivery)
    found: dict[str, Any] = {"kind": kind, "columns": [], "problem": "", "address": "", "loading": loading}
    found["waits"] = loading is not None and not loading.failed and loading.state in _UNDER_WAY
    if found["waits"]:
        return found
    if not file_target.table_of(delivery):
        return found
    try:
        lines = file_target.source(delivery, actor=actor)
        found["columns"] = [(each.attribute, each.label or each.attribute) for each in lines.columns]
        found["address"] = file_target.column(delivery, lines, kind).attribute
    except (Invalid, Conflict) as refusal:
        found["problem"] = str(refusal)
    return found


def _lists(delivery: Delivery, actor: Actor) -> list[tuple[str, str, bool]]:
    chosen = set(delivery.targeting.get("lists") or ())
    found = lists.visible(actor).filter(schema=delivery.mapping.schema).order_by("label")[:LISTS]
    known = [(each.name, each.label, each.name in chosen) for each in found]
    shown = {name for name, _label, _chosen in known}
    return [*((name, name, True) for name in sorted(chosen - shown)), *known]


def _rules(request: HttpRequest) -> dict[str, Any]:
    """Return the typology and the weight that are given; empty: the product's typology, the rules' weight."""
    found: dict[str, Any] = {}
    for name, field in (("typology", "typology_id"), ("weight", "weight")):
        text = request.POST.get(name)
        if text is None:
            continue
        if text and not (text.isascii() and text.isdigit() and len(text) < (10 if name == "typology" else 5)):
            raise Invalid(_("The weight must be a whole number below 10,000."))
        found[field] = int(text) if text else None
    return found


def _targeting(request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
    given = request.POST
    said = dict(delivery.targeting)
    if "filter" in given:
        said["filter"] = given["filter"].strip()
    said["lists"] = given.getlist("list")
    if given.get("column") and file_target.concerns(delivery.mapping):
        kind = channels.of(delivery.message_type).address
        said["columns"] = {**(said.get("columns") or {}), kind: given["column"]}
    limit = given.get("limit", "").strip()
    if limit and not (limit.isascii() and limit.isdigit() and len(limit) < 10):
        raise Invalid(_("The greatest number of messages must be a whole number."))
    said["exclude"] = {**(said.get("exclude") or {}), "limit": int(limit or 0)}
    if "percent" in given:
        percent = given["percent"].strip().replace(",", ".")
        said["control"] = {"percent": percent} if percent and percent != "0" else None
    return {name: value for name, value in said.items() if value not in ("", None, [])}
