"""The file is made by a worker, in one transaction that writes down its name and its digest.

Whoever dies before that has made nothing: another makes the file anew, under the same name. After it the file
stays as it is.
"""

import csv
import gzip
import hashlib
import io
import json
import shutil
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DataError, ProgrammingError, connection, transaction
from django.utils.translation import gettext as _

from envoi.engine import background, files, local_files
from envoi.engine.scripting import EXPRESSION_LIMITS, Closed, Variables, run_script, template
from envoi.kernel import audit, clock, folders, registry
from envoi.kernel.errors import Conflict, Invalid, Refused
from envoi.kernel.folders import Access
from envoi.kernel.locks import SPACE
from envoi.kernel.rights import Actor, Right, actor_of, internal
from envoi.packages.delivery.models import (
    ApprovalStep,
    Channel,
    Delivery,
    DeliveryMode,
    DeliveryRun,
    DeliveryState,
    JobLevel,
    RunStep,
)
from envoi.packages.delivery.services.deliveries import approvals, job_log, records, starting, states
from envoi.packages.delivery.services.extractions import provider, rows
from envoi.packages.delivery.services.extractions.definition import Extraction, read

JOB = "envoi.extraction"
FOLDER = "extractions"
CLASS = SPACE ^ 0x657874
FILE = "file"
"""Where the counts of a run keep the file: a dict as `Made`."""
SHOWN = 20


@dataclass(frozen=True)
class Made:
    """A file that was made. `rows` without the line of names; `digest` is SHA-256."""

    name: str
    digest: str
    rows: int
    size: int
    host: str
    at: str
    handed_at: str = ""


def begin(run: DeliveryRun) -> None:
    """Have the file of an analysis made, in the transaction that has ended it."""
    background.enqueue(JOB, run.pk)


def made(run: DeliveryRun | None) -> Made | None:
    """Return the file of an analysis, if it was made."""
    found = run.counts.get(FILE) if run else None
    return Made(**found) if found else None


def path_of(run: DeliveryRun, file: Made) -> Path:
    """Return where a file lies on its host."""
    return _folder(run) / file.name


def make(run_id: int) -> bool:
    """Make the file of an analysis, unless it is there; then let the delivery go on if its file needs no
    approval (any more). Called outside of a transaction; returns False when another process is at it.

    What fails is told in the log of the delivery, which is failed then.
    """
    try:
        with transaction.atomic():
            return _make(run_id)
    except Refused as error:
        _fail(run_id, str(error))
    except (DataError, ProgrammingError, OSError) as error:
        _fail(run_id, str(error).partition("\n")[0])
    return True


def _make(run_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [CLASS, run_id])
        if cursor.fetchone() != (True,):
            return False
    run = _pending(run_id)
    if run is None:
        return True
    delivery, actor = run.delivery, _actor(run)
    if made(run) is None:
        file = _write(run, read(delivery.extraction, channel=Channel(delivery.message_type)), actor)
        run.counts = {**run.counts, FILE: vars(file)}
        DeliveryRun.objects.filter(pk=run.pk).update(counts=run.counts)
        job_log.write(delivery, "extracted", actor=actor, run=run, file=file.name, count=file.rows)
        approvals.submit_ready(delivery, (ApprovalStep.EXTRACTION,), actor=actor)
    if approvals.approved(delivery, ApprovalStep.EXTRACTION):
        states.move(delivery, DeliveryState.READY)
        starting.after_analysis(delivery, run, actor)
    return True


def reject(delivery: Delivery, *, actor: Actor) -> None:
    """Send a delivery whose file is not as it should be back to be edited. Raises NotAllowed, Conflict."""
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    folders.require(actor, delivery.folder, Access.WRITE)
    run = DeliveryRun.objects.filter(pk=delivery.run_id).first()
    file = made(run)
    name = file.name if file else ""
    with transaction.atomic():
        states.move(delivery, DeliveryState.EDITING)
        job_log.write(
            delivery,
            "file_rejected",
            actor=actor,
            run=run,
            level=JobLevel.WARNING,
            file=name,
        )
        audit.record(actor, records.ENTITY, delivery.internal_name, "Reject the file", delivery.pk)


def preview(run: DeliveryRun, delivery: Delivery, most: int = SHOWN) -> list[list[str]]:
    """Return the first lines of the file, that of names among them. Raises Conflict on another host."""
    file = made(run)
    path = path_of(run, file) if file else None
    if file is None or path is None or not path.is_file():
        raise Conflict(_("The file is not on this host."))
    said = read(delivery.extraction, channel=Channel(delivery.message_type))
    with ExitStack() as stack:
        raw: Any = stack.enter_context(path.open("rb"))
        if said.gzip:
            raw = stack.enter_context(gzip.GzipFile(fileobj=raw))
        text = stack.enter_context(
            io.TextIOWrapper(raw, encoding=said.encoding, errors="replace", newline="")
        )
        return list(islice(csv.reader(text, delimiter=said.delimiter), most + said.header))


def _write(run: DeliveryRun, said: Extraction, actor: Actor) -> Made:
    provider.of(said, Channel(run.delivery.message_type), actor=actor)
    said = rows.settled(run, said, actor=actor)
    table = rows.make(run, said, actor=actor)
    _forget(run)
    folder = _folder(run)
    folder.mkdir(mode=0o700, parents=True)
    path = folder / _name(run.delivery, said)
    with files.CsvWriter(
        path, delimiter=said.delimiter, encoding=said.encoding, packed=said.gzip, escape=False
    ) as writer:
        if said.header:
            writer.row([registry.translate(each.label) if each.own else each.label for each in said.columns])
        writer.all([_cell(cell) for cell in row] for row in rows.stream(table))
    rows.drop(table)
    return Made(
        name=path.name,
        digest=digest(path),
        rows=table.rows,
        size=path.stat().st_size,
        host=socket.gethostname(),
        at=clock.now().isoformat(),
    )


def _forget(run: DeliveryRun) -> None:
    """Delete what an earlier attempt has left, and the files of analyses that this one replaces."""
    gone = DeliveryRun.objects.filter(delivery_id=run.delivery_id, pk__lt=run.pk, step=RunStep.GONE)
    for each in (run, *gone):
        shutil.rmtree(_folder(each), ignore_errors=True)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(delivery: Delivery, said: Extraction) -> str:
    """Return the name of the file with its `<%= … %>` carried out, in which `delivery` is known."""
    text = said.file
    if template.has_code(text):
        known = {
            "id": delivery.pk,
            "internalName": delivery.internal_name,
            "label": delivery.label,
            "deliveryCode": delivery.code,
        }
        script = f"var delivery = {json.dumps(known)}; {template.script_of(text)}"
        text = str(
            run_script(
                script, host=Closed("in the name of a file"), variables=Variables(), limits=EXPRESSION_LIMITS
            ).returned
        )
    name = local_files.safe_name(text)
    if not name.strip("_. "):
        raise Invalid(_("The file needs a name."))
    return f"{name}.gz" if said.gzip and not name.endswith(".gz") else name


def _pending(run_id: int) -> DeliveryRun | None:
    return (
        DeliveryRun.objects.select_related("delivery__mapping", "delivery__folder", "operator")
        .filter(pk=run_id, delivery__run_id=run_id, delivery__state=DeliveryState.EXTRACTION)
        .first()
    )


def _fail(run_id: int, text: str) -> None:
    with transaction.atomic():
        run = _pending(run_id)
        if run is None:
            return
        job_log.write(
            run.delivery, "unextracted", actor=internal(), run=run, level=JobLevel.ERROR, error=text
        )
        states.move(run.delivery, DeliveryState.FAILED)


def _folder(run: DeliveryRun) -> Path:
    return Path(settings.ENVOI.home) / FOLDER / str(run.pk)


def _actor(run: DeliveryRun) -> Actor:
    return actor_of(run.operator) if run.operator else internal()


def _cell(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "1" if cell else "0"
        case _:
            return str(cell)


@background.work(JOB)
def _in_worker(run_id: int) -> None:
    make(run_id)


@background.lost.answer
def pending() -> list[tuple[str, int]]:
    """Return the analyses whose file is to be made, or was approved."""
    waiting = DeliveryRun.objects.select_related("delivery").filter(
        delivery__state=DeliveryState.EXTRACTION, delivery__delivery_mode=DeliveryMode.EXTERNAL
    )
    return [
        (JOB, run.pk)
        for run in waiting
        if run.pk == run.delivery.run_id
        and (made(run) is None or approvals.approved(run.delivery, ApprovalStep.EXTRACTION))
    ]
