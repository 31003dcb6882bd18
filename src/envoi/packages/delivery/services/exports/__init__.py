"""Exports: a query becomes a CSV file under HOME/exports (engine.md §6.3).

Rows are read through a cursor of the server, so that any number of them takes the same memory. What a
spreadsheet would carry out is escaped. Each export stands in the audit trail with the number of its rows.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from envoi.engine import files
from envoi.kernel import audit, clock, query, registry
from envoi.kernel.errors import Invalid
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.rights import Actor, Right

ENTITY = "xtk:export"
FOLDER = "exports"
ROWS = 2000
"""Rows that are held at a time."""
ALL = 2**62
KEPT_S = 7 * 86_400
"""Seconds after which `purge` deletes a file."""


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    rows: int


def export(
    definition: QueryDef,
    *,
    actor: Actor,
    labels: Sequence[str] = (),
    name: str = "",
    path: Path | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
    packed: bool = False,
    escape: bool = True,
    zone: str = "UTC",
) -> Exported:
    """Write all rows of a query that the actor may read.

    The header holds `labels`, else the labels of the columns. `name` names the file to a person; `path` is
    where it goes instead of HOME/exports. The file appears whole or not at all. Raises NotAllowed without the
    right EXPORT, Invalid or NotFound for the query as `query.compile` does.
    """
    actor.require(Right.EXPORT, to=_("export data"))
    if delimiter not in (",", ";", "\t", "|"):
        raise Invalid(_("Cells are separated by a comma, a semicolon, a tab or a bar."))
    compiled = query.compile(replace(definition, line_count=ALL), actor=actor, zone=zone)
    header = [*labels] or [registry.translate(column.label) or column.name for column in compiled.columns]
    goal = path or _goal(name or definition.schema, packed=packed)
    shown = len(compiled.columns)
    with transaction.atomic():
        raw = cast("psycopg.Connection[Any]", connection.connection)
        with (
            files.CsvWriter(
                goal, delimiter=delimiter, encoding=encoding, packed=packed, escape=escape
            ) as writer,
            psycopg.ServerCursor(raw, "envoi_export") as cursor,
        ):
            writer.row(header)
            cursor.itersize = ROWS
            for row in cursor.execute(cast("Any", compiled.sql), dict(compiled.params)):
                writer.row([_text(cell) for cell in row[:shown]])
        detail = {"schema": definition.schema, "rows": writer.rows - 1, "columns": shown}
        audit.record(actor, ENTITY, name or definition.schema, "Export", detail=detail)
    return Exported(goal, writer.rows - 1)


def columns(*expressions: str) -> tuple[Field, ...]:
    """Return the columns of an export: expressions over the schema of its query."""
    return tuple(Field(each) for each in expressions)


def purge() -> int:
    """Delete files that are older than a week; called by the nightly cleanup. Returns how many."""
    folder = Path(settings.ENVOI.home) / FOLDER
    gone = 0
    for path in folder.glob("*.csv*") if folder.is_dir() else ():
        if clock.now().timestamp() - path.stat().st_mtime > KEPT_S:
            path.unlink(missing_ok=True)
            gone += 1
    return gone


def _goal(name: str, *, packed: bool) -> Path:
    folder = Path(settings.ENVOI.home) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:60].strip("-") or "export"
    ending = ".csv.gz" if packed else ".csv"
    return folder / f"{clock.now():%Y%m%d-%H%M%S}-{plain}-{secrets.token_hex(4)}{ending}"


def _text(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "1" if cell else "0"
        case _:
            return str(cell)
