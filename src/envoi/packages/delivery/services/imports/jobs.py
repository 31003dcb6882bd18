"""Imports as jobs: made, started, worked on by whoever has the lock, stopped, undone, purged.

The steps are those of `ImportState`. Each commits its effect with its checkpoint, so that any process may go
on where another died: the next command does, and the workers look every few seconds.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import cast

import psycopg
from django.db import DataError, IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from envoi.engine import background
from envoi.engine.files import Format, Source
from envoi.engine.jobs import draining
from envoi.kernel import audit, clock, folders, options
from envoi.kernel.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.registry import translate
from envoi.kernel.rights import Actor, Right, actor_of, internal
from envoi.packages.delivery.models import AT_WORK, Import, ImportBatch, ImportReject, ImportState
from envoi.packages.delivery.services.imports import (
    checkpoint,
    cleaning,
    memberships,
    merging,
    staging,
    tables,
    undoing,
)
from envoi.packages.delivery.services.imports.plan import Plan, sinks
from envoi.packages.delivery.services.imports.proposal import propose_for

ENTITY = "xtk:import"
JOB = "envoi.import"
REJECTS = "NmsCleanup_RejectsPurgeDelay"
"""Option: how long rejects are kept."""
UNDO = "NmsCleanup_ImportUndoPurgeDelay"
"""Option: how long an import can be undone."""
DRAFTS = timedelta(days=7)
"""How long a file is kept whose import was never started."""


class _Stop(Exception):  # noqa: N818 what became of the work
    """The operator has asked the import to stop."""


class _Leave(Exception):  # noqa: N818
    """The worker ends; another goes on."""


def require(actor: Actor, schema: str = "nms:recipient") -> None:
    """Raise NotAllowed unless the actor may import profiles (RECIPIENT IMPORT or IMPORT) or others
    (IMPORT).
    """
    if schema == "nms:recipient" and actor.has(Right.RECIPIENT_IMPORT):
        return
    actor.require(Right.IMPORT, to=_("import files"))


def create(
    path: Path,
    form: Format,
    *,
    actor: Actor,
    name: str = "",
    schema: str = "nms:recipient",
    plan: Plan | None = None,
    folder: Folder | None = None,
) -> Import:
    """Make an import of a file, as a draft with a proposed plan unless one is given.

    `folder` is where new profiles go; without one, the first folder of profiles that the actor may write in.
    Raises NotAllowed, Invalid.
    """
    require(actor, schema)
    source = Source.of(path)
    chosen = folder or _default_folder(schema, actor)
    if chosen is None:
        raise NotAllowed(_("There is no folder of profiles that you may write to."))
    folders.require(actor, chosen, Access.WRITE)
    job = Import.objects.create(
        label=(name or path.name)[:255],
        schema=schema,
        host=socket.gethostname(),
        path=str(path),
        file_name=(name or path.name)[:255],
        file_size=source.size,
        file_changed_ns=source.changed_ns,
        format=form.to_json(),
        plan=(plan or propose_for(source, form, schema)).to_json(),
        folder=chosen,
        created_at=clock.now(),
        operator_id=actor.operator_id or None,
    )
    audit.record(actor, ENTITY, job.label, audit.CREATED, job.pk)
    return job


def configure(
    job: Import,
    *,
    actor: Actor,
    form: Format | None = None,
    plan: Plan | None = None,
    folder: Folder | None = None,
) -> None:
    """Change how a draft is read and what is done with it. Raises Conflict once it has been started."""
    require(actor, job.schema)
    if form is not None:
        form.check()
        job.format = form.to_json()
    if plan is not None:
        sinks(plan, job.schema, len(Format.from_json(job.format).columns))
        job.plan = plan.to_json()
    if folder is not None:
        folders.require(actor, folder, Access.WRITE)
        job.folder = folder
    touched = Import.objects.filter(pk=job.pk, state=ImportState.DRAFT, version=job.version).update(
        format=job.format, plan=job.plan, folder=job.folder, version=F("version") + 1
    )
    if not touched:
        raise Conflict(
            _("%(label)s has been started, or somebody else has changed it.") % {"label": job.label}
        )
    job.refresh_from_db()


def start(job: Import, *, actor: Actor, queue: bool = True) -> None:
    """Let a draft be worked on, or one that has failed or was stopped go on where it was.

    With `queue` a worker will do so; without, the caller calls `work`. Raises NotAllowed, Invalid when the
    plan cannot be carried out, Conflict.
    """
    require(actor, job.schema)
    plan = Plan.from_json(job.plan)
    sinks(plan, job.schema, len(Format.from_json(job.format).columns))
    if job.folder is None:
        raise Invalid(_("Choose the folder that new profiles go into."))
    folders.require(actor, job.folder, Access.WRITE)
    memberships.require(plan, actor=actor)
    staging.source_of(job)
    _begin(job, (ImportState.DRAFT, ImportState.FAILED, ImportState.CANCELLED), ImportState.QUEUED, actor)
    audit.record(actor, ENTITY, job.label, "Start", job.pk)
    if queue:
        enqueue(job)


def undo(job: Import, *, actor: Actor, queue: bool = True) -> None:
    """Have a finished, failed or stopped import undone. Raises Conflict when it cannot be."""
    require(actor, job.schema)
    if job.folder is not None:
        folders.require(actor, job.folder, Access.WRITE)
    if not undoing.possible(job):
        raise Conflict(
            _("%(label)s cannot be undone: it changed nothing, or what an undo takes is no longer kept.")
            % {"label": job.label}
        )
    _begin(
        job,
        (ImportState.FINISHED, ImportState.FAILED, ImportState.CANCELLED),
        ImportState.UNDOING,
        actor,
    )
    audit.record(actor, ENTITY, job.label, "Undo", job.pk)
    if queue:
        enqueue(job)


def stop(job: Import, *, actor: Actor) -> None:
    """Ask an import to stop after the batch that it is at. What is merged stays, and can be undone."""
    require(actor, job.schema)
    touched = Import.objects.filter(
        pk=job.pk, state__in=[s for s in AT_WORK if s is not ImportState.UNDOING]
    ).update(cancel_requested=True)
    if not touched:
        raise Conflict(_("%(label)s is not at work.") % {"label": job.label})
    audit.record(actor, ENTITY, job.label, "Stop", job.pk)


def drop(job: Import, *, actor: Actor) -> None:
    """Delete a draft, with the file if it was uploaded. Raises Conflict for one that was started."""
    require(actor, job.schema)
    if not Import.objects.filter(pk=job.pk, state=ImportState.DRAFT).exists():
        raise Conflict(_("%(label)s has been started: stop it, or undo it.") % {"label": job.label})
    audit.record(actor, ENTITY, job.label, audit.DELETED, job.pk)
    _forget_file(job)
    job.delete()


def find(job_id: int, *, actor: Actor) -> Import:
    """Return an import that the actor may see: one into a folder that it may read. Raises NotFound."""
    require(actor)
    found = visible(actor).filter(pk=job_id).first()
    if found is None:
        raise NotFound(_("There is no import %(number)d.") % {"number": job_id})
    return found


def visible(actor: Actor):
    """Return the imports that the actor may see, the newest first."""
    readable = folders.readable(actor).queryset()
    return Import.objects.filter(folder_id__in=readable).select_related("folder", "operator")


def enqueue(job: Import) -> None:
    """Queue the work on an import, in the caller's transaction."""
    background.enqueue(JOB, job.pk)


def work(
    job_id: int, *, actor: Actor | None = None, told: Callable[[Import], None] = lambda job: None
) -> Import:
    """Work on an import until it is through; returns it as it then is.

    `told` is called after each step with the import. Whoever dies here leaves an import that the next call
    goes on with. Raises Conflict when another process has it. Must be called outside of a transaction.
    """
    if not checkpoint.try_lock(job_id):
        raise Conflict(_("Another process works on import %(number)d.") % {"number": job_id})
    try:
        return _work(Import.objects.select_related("operator", "folder").get(pk=job_id), actor, told)
    finally:
        checkpoint.unlock(job_id)


def _work(job: Import, actor: Actor | None, told: Callable[[Import], None]) -> Import:
    def carry_on() -> None:
        told(job)
        if Import.objects.filter(pk=job.pk, cancel_requested=True).exists():
            raise _Stop

    try:
        acting = actor or _actor_of(job)
        while job.status in AT_WORK:
            told(job)
            _step(job, carry_on, acting)
    except _Stop:
        _end(job, ImportState.CANCELLED)
    except checkpoint.Lost:
        job.refresh_from_db()
    except (Refused, OSError) as error:
        job.refresh_from_db()
        _end(job, ImportState.FAILED, str(error))
    except (IntegrityError, DataError, psycopg.IntegrityError, psycopg.DataError) as error:
        # What no check foresaw, a constraint of an added field say: the batch is rolled back, and it is told.
        job.refresh_from_db()
        _end(job, ImportState.FAILED, str(error).partition("\n")[0])
    told(job)
    return job


def _step(job: Import, carry_on: Callable[[], None], actor: Actor) -> None:
    if job.host != socket.gethostname() and job.status is not ImportState.UNDOING:
        raise Conflict(
            _("The file is on the host %(host)s: only there the import can go on.") % {"host": job.host}
        )
    match job.status:
        case ImportState.QUEUED:
            checkpoint.move(job, ImportState.QUEUED, state=ImportState.READING)
        case ImportState.READING:
            staging.read(job, carry_on)
        case ImportState.CLEANING | ImportState.MERGING if not tables.staged(job):
            # The server crashed and its unlogged tables are empty: the file is read again.
            checkpoint.move(job, job.status, state=ImportState.READING)
        case ImportState.CLEANING:
            cleaning.clean(job, carry_on, actor=actor)
            with transaction.atomic():
                merging.find_doubles(job, actor=actor)
                checkpoint.move(job, ImportState.CLEANING, state=ImportState.MERGING)
        case ImportState.MERGING:
            merging.merge(job, carry_on, actor=actor)
            with transaction.atomic():
                tables.drop_staging(job)
                checkpoint.move(job, ImportState.MERGING, state=ImportState.FINISHED, finished_at=clock.now())
        case ImportState.UNDOING:
            undoing.undo(job, carry_on, actor=actor)
            checkpoint.move(job, ImportState.UNDOING, state=ImportState.UNDONE, finished_at=clock.now())
        case _:
            pass


def _begin(job: Import, states: tuple[ImportState, ...], state: ImportState, actor: Actor) -> None:
    touched = Import.objects.filter(pk=job.pk, state__in=states).update(
        state=state,
        error="",
        cancel_requested=False,
        finished_at=None,
        started_at=clock.now(),
        operator_id=actor.operator_id or None,
        version=F("version") + 1,
    )
    job.refresh_from_db()
    if not touched:
        raise Conflict(
            _("%(label)s is %(state)s.") % {"label": job.label, "state": translate(job.status.label)}
        )


def _end(job: Import, state: ImportState, error: str = "") -> None:
    Import.objects.filter(pk=job.pk).update(
        state=state,
        error=error[:2000],
        cancel_requested=False,
        finished_at=clock.now(),
        version=F("version") + 1,
    )
    job.refresh_from_db()


def _actor_of(job: Import) -> Actor:
    if job.operator is None:
        return internal()
    if job.operator.disabled:
        raise NotAllowed(_("The operator %(name)s is disabled.") % {"name": job.operator.name})
    return actor_of(job.operator)


def _default_folder(schema: str, actor: Actor) -> Folder | None:
    writable = folders.allowed(actor, Access.WRITE).queryset()
    found = Folder.objects.filter(model=schema, folder_id__in=writable).order_by("path")
    return found.filter(built_in=True).first() or found.first()


@background.work(JOB)
def _in_worker(job_id: int) -> None:
    """Work on an import in a worker's thread, if it is for this host and nobody else is at it."""
    job = Import.objects.filter(pk=job_id, state__in=AT_WORK).first()
    if job is None or (job.host != socket.gethostname() and job.status is not ImportState.UNDOING):
        return

    def stay(_job: Import) -> None:
        if draining.is_set():
            raise _Leave

    try:
        work(job_id, told=stay)
    except (Conflict, _Leave):
        return


@background.lost.answer
def queue_lost() -> list[tuple[str, int]]:
    """Return the imports at work that nobody works on: their process has died."""
    with tables.cursor() as at:
        rows = at.execute(
            """SELECT i.import_id FROM xtk_import i WHERE i.state = ANY(%s) AND NOT EXISTS (
                 SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.classid = %s
                 AND l.objid = i.import_id AND l.granted
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))""",
            ([int(state) for state in AT_WORK], checkpoint.CLASS),
        ).fetchall()
    return [(JOB, number) for (number,) in rows]


def purge(*, actor: Actor) -> int:
    """Drop what is kept no longer: rejects, what undo takes, files of drafts and of finished imports.

    Called by the nightly cleanup. Safe to run at any time. Returns how many imports lost something.
    """
    now = clock.now()
    rejects = _delay(REJECTS, 180, actor)
    undo_for = _delay(UNDO, 30, actor)
    while ImportReject.objects.filter(
        pk__in=ImportReject.objects.filter(log_at__lt=now - rejects).order_by("pk").values("pk")[:5000]
    ).delete()[0]:
        pass
    touched = 0
    ended = (ImportState.FINISHED, ImportState.FAILED, ImportState.CANCELLED, ImportState.UNDONE)
    for job in Import.objects.filter(state__in=ended, finished_at__lt=now - undo_for):
        with transaction.atomic():
            if tables.exists(job.before) or ImportBatch.objects.filter(job=job).exists():
                touched += 1
            tables.drop_before(job)
            tables.drop_staging(job)
            ImportBatch.objects.filter(job=job).delete()
        _forget_file(job)
    for job in Import.objects.filter(state=ImportState.DRAFT, created_at__lt=now - DRAFTS):
        _forget_file(job)
        job.delete()
        touched += 1
    return touched


def _delay(name: str, days: int, actor: Actor) -> timedelta:
    seconds = options.get(name, actor=actor, default=None)
    return timedelta(seconds=cast("int", seconds)) if seconds is not None else timedelta(days=days)


def _forget_file(job: Import) -> None:
    """Delete a file that was uploaded; one that somebody named by its path is theirs."""
    from django.conf import settings

    path = Path(job.path)
    if path.is_relative_to(Path(settings.ENVOI.home) / "imports") and job.host == socket.gethostname():
        path.unlink(missing_ok=True)
