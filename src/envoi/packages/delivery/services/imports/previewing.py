"""The first rows of a file as an import would take them: each value in its form, and what is wrong with it.

The rows go through the same SQL as an import, in a staging table that is rolled back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from envoi.engine import files
from envoi.engine.files import Format, Source
from envoi.kernel import clock
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Import, ImportReject, ImportState
from envoi.packages.delivery.services.imports import cleaning, merging, staging, tables
from envoi.packages.delivery.services.imports.plan import Plan, Sink, sinks
from envoi.packages.delivery.services.imports.tables import I, S

ROWS = 20


@dataclass(frozen=True)
class Cell:
    """A cell: what the file says, what is stored, what is wrong. `used` is false where it goes nowhere."""

    given: str
    value: str
    problem: str = ""
    used: bool = True


@dataclass(frozen=True)
class Row:
    """A line of the file."""

    line: int
    cells: tuple[Cell, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of the file: its name, where it goes."""

    column: str
    attribute: str
    label: str


@dataclass(frozen=True)
class Preview:
    """The beginning of an import."""

    targets: tuple[Column, ...]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as a document."""
        return asdict(self)


def preview(
    path: Path, form: Format, plan: Plan, *, actor: Actor, schema: str = "nms:recipient", count: int = ROWS
) -> Preview:
    """Return the first rows of a file as they would be taken. Raises Invalid as an import would."""
    found = sinks(plan, schema, len(form.columns))
    rows, bad = files.first_rows(Source.of(path), form, count)
    by_source = {each.target.source: each for each in found}
    columns = tuple(
        Column(name, by_source[n].target.attribute, by_source[n].label)
        if n in by_source
        else Column(name, "", "")
        for n, name in enumerate(form.columns)
    )
    stored, wrong = _tried(path, form, plan, schema, rows, found, actor=actor)
    shown = [_row(line, cells, by_source, stored.get(line, {}), wrong.get(line, {})) for line, cells in rows]
    shown += [Row(each.line, (Cell(each.value, "", each.reason),), (each.reason,)) for each in bad]
    return Preview(columns, tuple(sorted(shown, key=lambda row: row.line)[:count]))


def _row(
    line: int,
    cells: tuple[str, ...],
    by_source: dict[int, Sink],
    stored: dict[int, str],
    wrong: dict[str, str],
) -> Row:
    made = tuple(
        Cell(cell[:200], stored.get(n, ""), wrong.get(by_source[n].label, ""))
        if n in by_source
        else Cell(cell[:200], "", used=False)
        for n, cell in enumerate(cells)
    )
    problems = tuple(f"{label}: {reason}" for label, reason in wrong.items())
    return Row(line, made, problems)


def _tried(
    path: Path,
    form: Format,
    plan: Plan,
    schema: str,
    rows: list[tuple[int, tuple[str, ...]]],
    found: list[Sink],
    *,
    actor: Actor,
) -> tuple[dict[int, dict[int, str]], dict[int, dict[str, str]]]:
    """Return line -> column -> value, and line -> label -> reason; nothing of it stays in the database."""
    source = Source.of(path)
    if not rows:
        return {}, {}
    with transaction.atomic():
        job = Import.objects.create(
            label="preview",
            state=ImportState.DRAFT,
            schema=schema,
            host="",
            path=str(path),
            file_name=path.name,
            file_size=source.size,
            file_changed_ns=source.changed_ns,
            format=form.to_json(),
            plan=plan.to_json(),
            last_line=rows[-1][0],
            created_at=clock.now(),
        )
        tables.make_staging(job, len(form.columns))
        staging.put(job, form, rows)
        tables.note_blanks(job)
        cleaning.clean_once(job, plan, found, actor=actor)
        tables.run(S("CREATE UNLOGGED TABLE {} (line bigint)").format(I(tables.doubles(job))))
        work = merging.prepare(job, actor=actor)
        stored = merging.values_as_text(job, work, rows[-1][0])
        merging.write_rejects(job, work, rows[-1][0], clock.now())
        wrong: dict[int, dict[str, str]] = {}
        for each in ImportReject.objects.filter(job=job).order_by("line", "pk"):
            wrong.setdefault(each.line, {})[each.column] = each.reason
        transaction.set_rollback(True)
    return stored, wrong
