"""The file that a provider gets: whether it is made, what is in it, where it went. The tab File."""

import csv
import io
import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_http_methods, require_safe

from envoi.console import live
from envoi.console.access import actor_of_request
from envoi.console.navigation import Word, under
from envoi.kernel import accounts, audit, folders
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models.outbox import OutboxState
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.console import delivery_tabs
from envoi.packages.delivery.models import (
    ApprovalStep,
    Channel,
    Delivery,
    DeliveryRun,
    DeliveryState,
)
from envoi.packages.delivery.services import channels, deliveries, extractions
from envoi.packages.delivery.services.deliveries import approvals, states
from envoi.packages.delivery.services.extractions import handing
from envoi.packages.delivery.services.extractions.definition import plain

SEEDS = {
    "sorted": lazy("where they belong by the order"),
    "start": lazy("at the start"),
    "end": lazy("at the end"),
    "random": lazy("at random places"),
}
DELIMITERS = {",": lazy("comma"), ";": lazy("semicolon"), "\t": lazy("tab"), "|": lazy("bar")}
ENCODINGS = ("utf-8", "utf-8-sig", "iso-8859-1", "windows-1252", "utf-16")


@under(Word.DELIVERIES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Show the file and how it is made; `do` names what is done."""
    actor = actor_of_request(request)
    delivery = delivery_tabs.find(number, actor)
    problem, given = "", None
    if request.method == "POST":
        back, problem = delivery_tabs.carry_out(request, delivery, actor, _do)
        if back is not None:
            return back
        given = request.POST
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    # A form must not be drawn anew while somebody fills it in: only a page without one asks by itself.
    asks = delivery.status not in delivery_tabs.STILL or _making(delivery, run)
    tag = live.tag(request, delivery.modified_at, run and (run.step, run.counts))
    return live.answer(
        request,
        tag,
        lambda: delivery_tabs.show(
            request,
            "delivery/extraction.html",
            delivery,
            actor,
            "extraction",
            _context(delivery, run, actor, given),
            etag=tag if asks else "",
            problem=problem,
        ),
    )


@under(Word.DELIVERIES)
@require_safe
def download(request: HttpRequest, number: int) -> FileResponse:
    """Send the file. Takes the right EXPORT; the audit trail keeps that it went."""
    actor = actor_of_request(request)
    actor.require(Right.EXPORT, to=_("download the file"))
    delivery = delivery_tabs.find(number, actor)
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    file = extractions.made(run)
    if run is None or file is None:
        raise NotFound(_("There is no file yet."))
    path = extractions.path_of(run, file)
    if file.host != socket.gethostname() or not path.is_file():
        raise NotFound(_("The file is not on this host."))
    detail = {"file": file.name, "rows": file.rows}
    audit.record(actor, "nms:delivery", delivery.internal_name, "Export", delivery.pk, detail)
    return FileResponse(path.open("rb"), as_attachment=True, filename=file.name)


def _do(request: HttpRequest, delivery: Delivery, actor: Actor) -> str:
    match request.POST.get("do", ""):
        case "reject":
            extractions.reject(delivery, actor=actor)
            return _("The file is rejected. Correct the delivery and analyse it again.")
        case "again":
            extractions.again(delivery, actor=actor)
            return _("It is tried again.")
        case "settings":
            deliveries.change(delivery, {"extraction": _said(request)}, actor=actor)
            return _("The settings of the file are kept.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _said(request: HttpRequest) -> dict[str, Any]:
    given = request.POST
    found: dict[str, Any] = {
        "columns": [
            {"expr": expr, **({"label": label} if label else {})}
            for expr, label in _lines(given.get("columns", ""))
        ],
        "order": [
            {"expr": expr.removesuffix(" desc").strip(), "descending": expr.endswith(" desc")}
            for expr, _label in _lines(given.get("order", ""))
        ],
        "file": given.get("file", "").strip(),
        "delimiter": given.get("delimiter", ","),
        "encoding": given.get("encoding", "utf-8"),
        "header": "header" in given,
        "gzip": "gzip" in given,
        "seeds": given.get("seeds", "sorted"),
        "provider": given.get("provider", ""),
    }
    return {name: value for name, value in found.items() if value not in ("", [])}


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (expression, label) of each line; a bar stands between them."""
    for line in text.splitlines():
        expr, _sign, label = line.partition("|")
        if expr.strip():
            yield expr.strip(), label.strip()


def _context(delivery: Delivery, run: DeliveryRun | None, actor: Actor, given: Any) -> dict[str, Any]:
    writes = actor.has(Right.PREPARE_DELIVERIES) and folders.may(actor, delivery.folder, Access.WRITE)
    file = extractions.made(run) if delivery.status is not DeliveryState.EDITING else None
    item = handing.item_of(delivery.run_id) if file else None
    waits = delivery.status is DeliveryState.EXTRACTION and file is not None
    return {
        "icons": f"{delivery_tabs.ICONS} dl",
        "file": file,
        "making": _making(delivery, run),
        "sentence": _sentence(delivery, run),
        "to_approve": waits and not approvals.approved(delivery, ApprovalStep.EXTRACTION),
        "rejects": writes and file is not None and delivery.status is DeliveryState.EXTRACTION,
        "trouble": item.error if item and OutboxState(item.state) is not OutboxState.DONE else "",
        "tries": writes and item is not None and bool(item.error) and actor.has(Right.START_DELIVERIES),
        "downloads": file is not None and actor.has(Right.EXPORT),
        "shown": _shown(delivery, run) if file else None,
        "changes": writes and delivery.status in states.EDITABLE and not _making(delivery, run),
        "made_at": datetime.fromisoformat(file.at) if file else None,
        "handed_at": datetime.fromisoformat(file.handed_at) if file and file.handed_at else None,
        **_settings(delivery, actor, given),
    }


def _making(delivery: Delivery, run: DeliveryRun | None) -> bool:
    return delivery.status is DeliveryState.EXTRACTION and extractions.made(run) is None


def _sentence(delivery: Delivery, run: DeliveryRun | None) -> str:
    file = extractions.made(run)
    if delivery.is_model:
        return ""
    if file is None or delivery.status is DeliveryState.EDITING:
        if _making(delivery, run):
            return _("The file is being made.")
        return _("There is no file yet: it is made when the delivery is analysed.")
    match delivery.status:
        case DeliveryState.EXTRACTION:
            return _("The file is made and waits for its approval.")
        case DeliveryState.FINISHED:
            return _("The file was handed over.")
        case DeliveryState.IN_PROGRESS:
            return _("The file is being handed over.")
        case DeliveryState.STOPPED:
            return _("The delivery was stopped, and the file was not handed over.")
        case _:
            return _("The file is made. It is handed over when the delivery has started.")


def _shown(delivery: Delivery, run: DeliveryRun | None) -> dict[str, Any] | None:
    """Return the first lines of the file: names of columns, rows."""
    if run is None:
        return None
    try:
        found = extractions.preview(run, delivery)
    except (Conflict, Invalid, OSError, ValueError, csv.Error, io.UnsupportedOperation):
        return None
    said = extractions.read(delivery.extraction, channel=Channel(delivery.message_type))
    return {"names": found[0], "rows": found[1:]} if said.header and found else {"names": [], "rows": found}


def _settings(delivery: Delivery, actor: Actor, given: Any) -> dict[str, Any]:
    channel = Channel(delivery.message_type)
    said = extractions.read(delivery.extraction, channel=channel)
    columns = "\n".join(
        f"{each.expr} | {each.label}" if each.label != plain(each.expr) else each.expr
        for each in said.columns
        if not each.own
    )
    order = "\n".join(f"{each.expr}{' desc' if each.descending else ''}" for each in said.order)
    return {
        "columns": given.get("columns", "") if given else columns,
        "usual": ", ".join(str(each.label) for each in said.columns if each.own),
        "order": given.get("order", "") if given else order,
        "name": given.get("file", "") if given else said.file,
        "header": "header" in given if given else said.header,
        "gzip": "gzip" in given if given else said.gzip,
        "delimiters": _choices(DELIMITERS, given.get("delimiter") if given else said.delimiter),
        "encodings": [
            (each, each == (given.get("encoding") if given else said.encoding))
            for each in _known(said.encoding)
        ],
        "seeds": _choices(SEEDS, given.get("seeds") if given else said.seeds),
        "providers": _providers(channel, actor, given.get("provider", "") if given else said.provider),
        "provider": said.provider,
    }


def _choices(known: dict[str, Any], chosen: str | None) -> list[tuple[str, Any, bool]]:
    return [(name, label, name == chosen) for name, label in known.items()]


def _known(encoding: str) -> list[str]:
    return [*ENCODINGS, *([encoding] if encoding not in ENCODINGS else [])]


def _providers(channel: Channel, actor: Actor, chosen: str) -> list[tuple[str, str, bool]]:
    """Return the routing accounts by which files of this channel go."""
    found: list[tuple[str, str, bool]] = []
    for account in accounts.list_all(actor=actor, type="routing"):
        values = accounts.values_of(account)
        if values.get("mode") == "external" and values.get("channel") == channels.of(channel).name:
            found.append((account.name, account.label or account.name, account.name == chosen))
    if chosen and chosen not in {name for name, _label, _chosen in found}:
        found.append((chosen, chosen, True))
    return found
