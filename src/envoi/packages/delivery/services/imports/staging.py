"""The first step of an import: the file into its staging table, a batch and a checkpoint at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from django.db import transaction
from django.utils import translation

from envoi.engine import files
from envoi.engine.files import Bad, Batch, Format, Position, Source
from envoi.kernel import clock
from envoi.packages.delivery.models import Import, ImportReject, ImportState
from envoi.packages.delivery.services.imports import checkpoint, tables
from envoi.packages.delivery.services.imports.tables import I, S

GROUP = 4
"""Batches of the reader that one transaction takes: about 32 MB."""


def source_of(job: Import) -> Source:
    """Return the file of an import, as it was when it was handed over."""
    return Source(Path(job.path), job.file_size, job.file_changed_ns)


def read(job: Import, carry_on: Callable[[], None]) -> None:
    """Load what is not loaded yet. `carry_on` is called between batches and raises when the work is to
    stop.
    """
    form = Format.from_json(job.format)
    if not tables.staged(job):
        with transaction.atomic():
            _begin(job, form)
    start = Position(job.read_offset, job.read_line) if job.read_line or job.read_offset else None
    with closing(_ahead(_groups(source_of(job), form, start))) as groups:
        for group in groups:
            carry_on()
            _store(job, form, group)
    with transaction.atomic():
        tables.run(S("CREATE INDEX ON {} USING brin (line)").format(I(job.staging)))
        tables.run(S("ANALYZE {} (line)").format(I(job.staging)))
        checkpoint.move(job, ImportState.READING, state=ImportState.CLEANING, cleaned_line=0)


def _groups(source: Source, form: Format, start: Position | None) -> Generator[list[Batch]]:
    with closing(files.batches(source, form, start)) as batches:
        group: list[Batch] = []
        for batch in batches:
            group.append(batch)
            # A long run of quoted rows is held as Python objects: one at a time.
            if len(group) == GROUP or batch.raw is None:
                yield group
                group = []
        if group:
            yield group


def _ahead(groups: Generator[list[Batch]]) -> Generator[list[Batch]]:
    """Yield the same, each read while the server is busy with the one before it."""
    language = translation.get_language()

    def read_one() -> list[Batch] | None:
        with translation.override(language):
            return next(groups, None)

    with ThreadPoolExecutor(1) as reader, closing(groups):
        coming = reader.submit(read_one)
        try:
            while (group := coming.result()) is not None:
                coming = reader.submit(read_one)
                yield group
        finally:
            # A generator that is being read cannot be closed.
            coming.exception()


def _begin(job: Import, form: Format) -> None:
    """Start from the first line; what was merged stays merged, since lines keep their numbers."""
    tables.make_staging(job, len(form.columns))
    # What the merge has found is behind its checkpoint and is not found again; that of reading is.
    reading = ImportReject.objects.filter(job=job, while_reading=True)
    again = reading.count()
    reading.delete()
    checkpoint.move(
        job,
        ImportState.READING,
        read_offset=0,
        read_line=0,
        last_line=0,
        rows=0,
        cleaned_line=0,
        rejected=job.rejected - again,
    )


def _store(job: Import, form: Format, group: Sequence[Batch]) -> None:
    with transaction.atomic():
        if any(batch.blanks for batch in group):
            tables.note_blanks(job)
        rows = sum(batch.count for batch in group)
        last = job.last_line
        with tables.cursor() as at:
            for batch in group:
                last = max(last, files.copy(at, job.staging, form, batch))
        bad = [each for batch in group for each in batch.bad]
        note(job, bad)
        checkpoint.move(
            job,
            ImportState.READING,
            read_offset=group[-1].end.offset,
            read_line=group[-1].end.line,
            last_line=last,
            rows=job.rows + rows,
            rejected=job.rejected + len(bad),
        )


def put(job: Import, form: Format, rows: Sequence[tuple[int, tuple[str, ...]]]) -> None:
    """Put rows into the staging table."""
    with tables.cursor() as at:
        files.copy_rows(at, job.staging, len(form.columns), rows)


def note(job: Import, bad: Sequence[Bad]) -> None:
    """Write down lines that could not be read."""
    now = clock.now()
    ImportReject.objects.bulk_create(
        ImportReject(
            job=job,
            line=each.line,
            column=each.column[:128],
            value=each.value[:200],
            reason=each.reason[:255],
            while_reading=True,
            log_at=now,
        )
        for each in bad
    )
