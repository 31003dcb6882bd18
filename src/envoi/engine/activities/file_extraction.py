"""Data extraction (file): a population becomes a CSV file (engine.md §6.3, §6.5).

XML tag (chosen): extractfile.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import psycopg
from django.db import connection
from django.utils.translation import gettext_noop as _

from envoi.engine import files, local_files, population, scripts
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext, fire
from envoi.engine.definition import Activity, Definition
from envoi.engine.scripting import Kind
from envoi.kernel import query
from envoi.kernel.query import Field, QueryDef
from envoi.kernel.rights import Right

ROWS = 2000
"""Rows that are held at a time."""
ALL = 2**62


class FileExtraction(ActivityType):
    """Parameters: `columns` (`{"expr", "label"}`; aggregates with `"group": true` on the others), `orderBy`
    (`{"expr", "descending"}`), `distinct`, `file` (a name, may hold `<%= … %>`; else one of the task),
    `delimiter`, `encoding`, `header` (on), `gzip`, `formulas` (on: not escaped), `script` (run afterwards,
    with `vars.filename`), `allLines` (only with an inbound population missing).

    Takes the right EXPORT. The file appears whole or not at all, under the same name however often the
    activity is repeated after a crash; an older one of that name is replaced.
    """

    type = "extractfile"
    family = "action"
    ways = (("transition", "transition"), ("error", "error"))
    effects = True

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that there are columns."""
        if not activity.parameters.get("columns"):
            yield _("Activity %(activity)s has no columns to extract"), {}

    def run(self, ctx: TaskContext) -> Outcome:
        """Write the file row by row from a cursor of the server."""
        ctx.actor.require(Right.EXPORT, to="extract data to a file")
        found = population.inbound(ctx)[0]
        columns = cast("list[Mapping[str, Any]]", ctx.parameters.get("columns") or [])
        path = _path(ctx)
        try:
            with files.CsvWriter(
                path,
                delimiter=str(ctx.parameters.get("delimiter") or ","),
                encoding=str(ctx.parameters.get("encoding") or "utf-8"),
                packed=bool(ctx.parameters.get("gzip")),
                escape=not ctx.parameters.get("formulas"),
            ) as writer:
                if ctx.parameters.get("header", True):
                    writer.row([str(each.get("label") or each.get("expr", "")) for each in columns])
                for row in _rows(ctx, found, columns):
                    writer.row(["" if cell is None else str(cell) for cell in row])
        except (OSError, LookupError) as error:
            raise Failed(f"{path.name} cannot be written: {error}.") from error
        count = writer.rows - bool(ctx.parameters.get("header", True))
        ctx.info(_("%(count)d row(s) written to %(file)s"), count=count, file=path.name)
        ctx.variables.update(local_files.carried(path))
        if script := str(ctx.parameters.get("script", "")):
            scripts.run(ctx, script, kind=Kind.ACTIVITY)
        return fire("transition", **local_files.carried(path))


def _path(ctx: TaskContext) -> Path:
    name = scripts.text(ctx, str(ctx.parameters.get("file", ""))).strip()
    ending = ".csv.gz" if ctx.parameters.get("gzip") else ".csv"
    if not name:
        return local_files.own_folder(ctx) / f"extract_{ctx.task_id}{ending}"
    if "/" not in name:
        return local_files.own_folder(ctx) / local_files.safe_name(name)
    path = local_files.inside(ctx, name)
    if not path.parent.is_dir():
        raise Misconfigured(f"The folder {path.parent} does not exist.")
    return path


def _rows(
    ctx: TaskContext, found: population.Population, columns: list[Mapping[str, Any]]
) -> Iterator[tuple[Any, ...]]:
    grouped = tuple(Field(str(each["expr"])) for each in columns if each.get("group"))
    order = cast("list[Mapping[str, Any]]", ctx.parameters.get("orderBy") or [])
    definition = QueryDef(
        found.schema,
        select=tuple(Field(str(each.get("expr", ""))) for each in columns),
        group_by=grouped,
        order_by=tuple(Field(str(each["expr"]), descending=bool(each.get("descending"))) for each in order),
        distinct=bool(ctx.parameters.get("distinct")),
        line_count=ALL,
    )
    compiled = query.compile(
        definition,
        actor=ctx.actor,
        zone=str(ctx.zone),
        variables=population.values(ctx),
        within=population.registry([found]),
    )
    ctx.log_sql(compiled.sql, compiled.params)
    raw = cast("psycopg.Connection[Any]", connection.connection)
    with psycopg.ServerCursor(raw, "envoi_extract") as cursor:
        cursor.itersize = ROWS
        for row in cursor.execute(cast("Any", compiled.sql), dict(compiled.params)):
            if ctx.cancelled():
                raise Failed("The extraction was stopped.")
            yield row[: len(compiled.columns)]
