"""Pages of imports: the list with its progress, the preparation of one, what became of it (ADR 0017)."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_GET, require_http_methods

from envoi.console import faces, live
from envoi.console.access import actor_of_request
from envoi.console.faces import Face
from envoi.console.navigation import Word, under
from envoi.engine import files
from envoi.engine.conversion import Error
from envoi.engine.files import Encoding, Format, Kind, Source
from envoi.kernel import folders
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import AT_WORK, Country, Import, ImportReject, ImportState, Service
from envoi.packages.delivery.services import imports, lists
from envoi.packages.delivery.services.imports import Doubles, Operation, Plan, Target, rejects, undoing

SHOWN = 50
"""Imports of the list, and rejects on the page of one."""
FACES = {
    ImportState.DRAFT: Face("draft", "draft", lazy("Being prepared")),
    ImportState.QUEUED: Face("wait", "wait", lazy("Waiting")),
    ImportState.READING: Face("run", "run", lazy("Reading the file")),
    ImportState.CLEANING: Face("run", "run", lazy("Normalising")),
    ImportState.MERGING: Face("run", "run", lazy("Merging")),
    ImportState.FINISHED: Face("ok", "ok", lazy("Finished")),
    ImportState.FAILED: Face("bad", "bad", lazy("Failed")),
    ImportState.CANCELLED: Face("draft", "stopped", lazy("Stopped")),
    ImportState.UNDOING: Face("run", "run", lazy("Being undone")),
    ImportState.UNDONE: Face("draft", "stopped", lazy("Undone")),
}
ICONS = " ".join(sorted({face.icon for face in FACES.values()}))
_REFUSALS = (Invalid, Conflict, NotAllowed, NotFound)


@dataclass(frozen=True)
class Row:
    """An import as lists show it."""

    job: Import
    face: Face
    share: int | None
    """Percent of the work that is done; None where there is none to do."""


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def first(request: HttpRequest) -> HttpResponse:
    """List the imports; a file that is handed over becomes a new one."""
    actor = actor_of_request(request)
    imports.require(actor)
    problem = ""
    if request.method == "POST":
        try:
            job = _received(request, actor)
            return redirect("delivery:import", number=job.pk)
        except _REFUSALS as refusal:
            problem = str(refusal)
    found = [_row(job) for job in imports.visible(actor)[:SHOWN]]
    etag = live.tag(request, *((row.job.pk, row.job.version) for row in found))

    def draw() -> HttpResponse:
        context = {
            "rows": found,
            "etag": etag,
            "here": request.get_full_path(),
            "icons": ICONS,
            "busy": any(row.job.status in AT_WORK for row in found),
            "problem": problem,
        }
        name = "region" if live.wants_region(request) else "list"
        return render(request, f"delivery/imports/{name}.html", context, status=400 if problem else 200)

    return live.answer(request, etag, draw)


@under(Word.PROFILES)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, number: int) -> HttpResponse:
    """Prepare an import that is a draft; show what becomes of another."""
    actor = actor_of_request(request)
    job = imports.find(number, actor=actor)
    if job.status is ImportState.DRAFT:
        return _prepare(request, job, actor)
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                text = _command(request.POST.get("do", ""), job, actor)
            messages.success(request, text)
            return redirect("delivery:import", number=job.pk)
        except _REFUSALS as refusal:
            problem = str(refusal)
            job.refresh_from_db()
    etag = live.tag(request, job.version)

    def draw() -> HttpResponse:
        context = {
            "row": _row(job),
            "job": job,
            "etag": etag,
            "here": request.path,
            "icons": ICONS,
            "busy": job.status in AT_WORK,
            "rejects": list(ImportReject.objects.filter(job=job).order_by("line", "pk")[:SHOWN]),
            "shown": SHOWN,
            "undoable": undoing.possible(job),
            "resumable": job.status in (ImportState.FAILED, ImportState.CANCELLED),
            "stoppable": job.status in AT_WORK and job.status is not ImportState.UNDOING,
            "problem": problem,
        }
        name = "result_region" if live.wants_region(request) else "result"
        return render(request, f"delivery/imports/{name}.html", context, status=409 if problem else 200)

    return live.answer(request, etag, draw)


@require_GET
def side_file(request: HttpRequest, number: int) -> StreamingHttpResponse:
    """Give the rejects of an import as a file."""
    job = imports.find(number, actor=actor_of_request(request))

    def lines() -> Iterator[bytes]:
        yield "\ufeff".encode()
        for cells in (rejects.header(), *rejects.lines(job)):
            quoted = ('"' + files.harmless(cell).replace('"', '""') + '"' for cell in cells)
            yield (",".join(quoted) + "\r\n").encode()

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="import-{job.pk}-rejects.csv"'
    return answer


def _row(job: Import) -> Row:
    share = None
    if job.status is ImportState.READING:
        share = min(30, 30 * job.read_offset // max(1, job.file_size))
    elif job.status is ImportState.CLEANING:
        share = 30 + 20 * job.cleaned_line // max(1, job.last_line)
    elif job.status is ImportState.MERGING:
        share = 50 + 50 * job.merged_line // max(1, job.last_line)
    elif job.status is ImportState.UNDOING:
        share = min(99, 100 * job.undone // max(1, job.inserted + job.updated + job.deleted))
    return Row(job, FACES.get(job.status, faces.UNKNOWN), share)


def _received(request: HttpRequest, actor: Actor) -> Import:
    """Keep an uploaded file and make a draft of it; a file that cannot be read leaves nothing."""
    given = request.FILES.get("file")
    if not isinstance(given, UploadedFile) or not given.name:
        raise Invalid(_("Choose a file."))
    folder = Path(settings.ENVOI.home) / "imports"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}{Path(given.name).suffix[:8] if given.name.isascii() else ''}"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in given.chunks():
                file.write(piece)
        form = files.detect(Source.of(path))
        with transaction.atomic():
            return imports.create(path, form, actor=actor, name=Path(given.name).name)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _command(do: str, job: Import, actor: Actor) -> str:
    match do:
        case "stop":
            imports.stop(job, actor=actor)
            return _("The import stops after the lines that it is at.")
        case "undo":
            imports.undo(job, actor=actor)
            return _("The import is being undone.")
        case "resume":
            imports.start(job, actor=actor)
            return _("The import goes on.")
        case _:
            raise Invalid(_("Nothing was chosen that could be done."))


def _prepare(request: HttpRequest, job: Import, actor: Actor) -> HttpResponse:
    """Show how the file is read and where its columns go; start it."""
    problem = ""
    form, plan = Format.from_json(job.format), Plan.from_json(job.plan)
    folder = job.folder
    if request.method == "POST":
        do = request.POST.get("do", "")
        if do == "drop":
            with transaction.atomic():
                imports.drop(job, actor=actor)
            messages.success(request, _("%(label)s is not imported.") % {"label": job.label})
            return redirect("delivery:imports")
        try:
            form = _format(request.POST, job, form)
            plan = _plan(request.POST, form, plan)
            folder = _folder(request.POST, actor) or folder
            with transaction.atomic():
                imports.configure(job, actor=actor, form=form, plan=plan, folder=folder)
                if do == "start":
                    imports.start(job, actor=actor)
            if do == "start":
                return redirect("delivery:import", number=job.pk)
        except _REFUSALS as refusal:
            problem = str(refusal)
    shown = None
    try:
        shown = imports.preview(Path(job.path), form, plan, actor=actor, count=10)
    except _REFUSALS as refusal:
        problem = problem or str(refusal)
    chosen = {each.source: each for each in plan.targets}
    columns = [
        {
            "number": number,
            "name": name,
            "examples": [r.cells[number].given for r in shown.rows if number < len(r.cells)][:3]
            if shown
            else [],
            "target": chosen.get(number),
        }
        for number, name in enumerate(form.columns)
    ]
    dates = next((each.date for each in plan.targets), "ymd")
    context = {
        "job": job,
        "form": form,
        "plan": plan,
        "columns": columns,
        "fields": imports.targets_of(job.schema),
        "shown": shown,
        "bad": sum(1 for each in shown.rows if each.problems) if shown else 0,
        "key": plan.keys[0] if plan.keys else "",
        "key_fields": [
            (n, t) for n, t in imports.targets_of(job.schema) if n in {e.attribute for e in plan.targets}
        ],
        "dates": dates,
        "date_forms": (("ymd", "2026-12-31"), ("dmy", "31/12/2026"), ("mdy", "12/31/2026")),
        "encodings": [each.value for each in Encoding],
        "delimiters": (
            (",", _("comma")),
            (";", _("semicolon")),
            ("\t", _("tab")),
            ("|", "|"),
            (":", _("colon")),
        ),
        "quotes": (('"', '"'), ("'", "'"), ("", _("none"))),
        "operations": (
            (Operation.BOTH, _("Add new profiles and change known ones")),
            (Operation.INSERT, _("Add new profiles only")),
            (Operation.UPDATE, _("Change known profiles only")),
            (Operation.DELETE, _("Delete the profiles of the file")),
        ),
        "folders": _writable(actor),
        "folder": folder,
        "groups": lists.visible(actor).filter(type=0),
        "services": Service.objects.filter(folder_id__in=folders.readable(actor).queryset()),
        "countries": Country.objects.exclude(pk="XX"),
        "tolerant": any(each.error is Error.IGNORE for each in plan.targets),
        "problem": problem,
        "csv": form.kind is Kind.CSV,
        "widths": ", ".join(map(str, form.widths)),
        "text": form.kind is not Kind.XLSX,
        "example": Path(job.file_name).suffix,
    }
    return render(request, "delivery/imports/prepare.html", context, status=400 if problem else 200)


def _format(given: QueryDict, job: Import, before: Format) -> Format:
    """Return the format as the form says, with the names of the columns that it gives."""
    if "header" not in given and "reading" not in given:
        return before
    fixed: dict[str, Any] = {"header": given.get("header") == "1", "replace": given.get("replace") == "1"}
    if before.kind is Kind.XLSX:
        return files.detect(Source.of(Path(job.path)), header=fixed["header"])
    if "widths" in given:
        widths = _widths(given["widths"])
        fixed |= {"kind": Kind.FIXED if widths else Kind.CSV, "widths": widths}
    if not fixed.get("widths"):
        fixed |= {name: given[name] for name in ("delimiter", "quote") if name in given}
    try:
        fixed["encoding"] = Encoding(given.get("encoding") or before.encoding)
    except ValueError as error:
        raise Invalid(_("This encoding cannot be read.")) from error
    if fixed["encoding"] is before.encoding:
        fixed["bom"] = before.bom
    return files.detect(Source.of(Path(job.path)), before, **fixed)


def _widths(said: str) -> tuple[int, ...]:
    numbers = said.replace(",", " ").replace(";", " ").split()
    if not all(each.isascii() and each.isdigit() and len(each) < 6 for each in numbers):
        raise Invalid(_("Widths are whole numbers with commas between them, not %(text)r.") % {"text": said})
    return tuple(map(int, numbers))


def _plan(given: QueryDict, form: Format, before: Plan) -> Plan:
    if "operation" not in given:
        return before
    rule = Error.IGNORE if given.get("tolerant") == "1" else Error.REJECT
    targets: list[Target] = []
    for number in range(len(form.columns)):
        if attribute := given.get(f"to-{number}", ""):
            old = next((t for t in before.targets if (t.source, t.attribute) == (number, attribute)), None)
            made = old or Target(number, attribute)
            targets.append(
                replace(made, error=rule, date=given.get("date", "ymd"), clean=given.get("as-is") != "1")
            )
    try:
        operation, doubles = Operation(given["operation"]), Doubles(given.get("doubles", "last"))
    except ValueError as error:
        raise Invalid(_("Nothing was chosen that could be done.")) from error
    key = given.get("key", "")
    known = {each.attribute for each in targets}
    return replace(
        before,
        targets=tuple(targets),
        operation=operation,
        doubles=doubles,
        keys=(key,) if key in known else tuple(k for k in before.keys if k in known),
        empties=given.get("keep") != "1",
        region=given.get("region", ""),
        group=given.get("list", ""),
        service=given.get("service", ""),
    )


def _folder(given: QueryDict, actor: Actor) -> Folder | None:
    name = given.get("folder", "")
    return folders.find(name, actor=actor) if name else None


def _writable(actor: Actor) -> list[Folder]:
    allowed = folders.allowed(actor, Access.WRITE).queryset()
    return list(Folder.objects.filter(model="nms:recipient", folder_id__in=allowed).order_by("path"))
