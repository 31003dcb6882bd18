"""Data loading (file): the rows of a file become a population without a dimension (engine.md §6.3, §6.5).

XML tag (chosen): loadfile. An enrichment reconciles the rows with profiles afterwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg
from django.db import connection
from django.utils.translation import gettext_noop as _
from psycopg import sql as composed

from envoi.engine import files, local_files, population
from envoi.engine.activities.base import ActivityType, Failed, Misconfigured, Outcome, TaskContext
from envoi.engine.conversion import CASES, DATES, Converted, Error, I, Null, S, converted, text_of
from envoi.engine.definition import Activity, Definition
from envoi.engine.files.copying import Cursor
from envoi.engine.population import NAME, Column, Population
from envoi.kernel.errors import Refused
from envoi.kernel.registry import Type

TOLD = 100
"""Lines of the journal about rejected lines and values left out; the others are counted."""
STAGING = "envoi_loading"
_NUMBERS = {Type.BYTE, Type.SHORT, Type.LONG, Type.INT64, Type.FLOAT, Type.DOUBLE}


@dataclass(frozen=True)
class Cells:
    """One column of the file and how it is read."""

    name: str
    source: int
    type: Type = Type.STRING
    label: str = ""
    length: int | None = None
    null: Null = Null.DEFAULT
    error: Error = Error.REJECT
    default: str = ""
    case: str = ""
    trim: bool = True
    date: str = "ymd"
    decimal: str = "."
    values: Mapping[str, str] = field(default_factory=dict[str, str])


class FileLoading(ActivityType):
    """Parameters: `file` (else `vars.filename`), `format` (fields of `engine.files.Format`; what is left
    out is guessed), `columns` (`{"name", "source" (its name in the file, else its place from 0), "type",
    "label", "null", "error", "default", "case", "trim", "date", "decimal", "values", "length"}`; none: all,
    as texts), `decompress` is not needed: gzip is recognised, `deleteAfter` is not offered, since a restart
    reads again.

    The number of the line is the key. Rejected lines and values left out are told in the journal; the
    variables `rejectCount` and `warningCount` say how many. A file that cannot be trusted is refused, and
    nothing of it is loaded.
    """

    type = "loadfile"
    reads_files = True
    family = "action"
    ways = (("transition", "transition"), ("error", "error"))

    def check(self, activity: Activity, definition: Definition) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See that the columns make sense."""
        try:
            cells_of(activity.parameters, ())
        except Misconfigured as error:
            yield _("The columns of activity %(activity)s are wrong: %(error)s"), {"error": str(error)}

    def run(self, ctx: TaskContext) -> Outcome:
        """Copy the file into a table of this transaction, and from there into a work table."""
        path = local_files.given_file(ctx)
        try:
            source = files.Source.of(path)
            form = files.detect(source, **_format(ctx.parameters))
            columns = cells_of(ctx.parameters, form.columns)
            bad = _staged(ctx, source, form)
        except Refused as error:
            raise Failed(str(error)) from error
        made, rejected, warned = loaded(ctx, columns)
        for each in bad[:TOLD]:
            ctx.warning(_("Line %(line)d is rejected: %(reason)s"), line=each.line, reason=each.reason)
        rejected += len(bad)
        ctx.info(
            _("%(count)d row(s) loaded from %(file)s, %(rejected)d line(s) rejected"),
            count=made.count,
            file=path.name,
            rejected=rejected,
        )
        more = {"rejectCount": str(rejected), "warningCount": str(warned)}
        return Outcome((population.fired("transition", made, **local_files.carried(path), **more),))


def _format(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(cast("Mapping[str, Any]", parameters.get("format") or {}))
    try:
        if "kind" in given:
            given["kind"] = files.Kind(given["kind"])
        if "encoding" in given:
            given["encoding"] = files.Encoding(given["encoding"])
        if "widths" in given:
            given["widths"] = tuple(int(width) for width in given["widths"])
        files.Format(**{name: value for name, value in given.items() if name != "columns"})
    except (TypeError, ValueError) as error:
        raise Misconfigured(f"The format is wrong: {error}.") from error
    return given


def cells_of(parameters: Mapping[str, Any], header: tuple[str, ...]) -> list[Cells]:
    """Return how each wanted column is read. Raises Misconfigured, naming the column."""
    given = cast("list[Mapping[str, Any]]", parameters.get("columns") or [])
    if not given:
        return [Cells(_attribute(name, n), n, label=name) for n, name in enumerate(header)]
    found: list[Cells] = []
    for each in given:
        name = str(each.get("name", ""))
        try:
            rest = {key: value for key, value in each.items() if key not in ("name", "source")}
            for key, kind in (("type", Type), ("null", Null), ("error", Error)):
                if key in rest:
                    rest[key] = kind(rest[key])
            made = Cells(name, _source(each, header), **rest)
        except (TypeError, ValueError) as error:
            raise Misconfigured(f"The column {name!r} is wrong: {error}.") from error
        if not NAME.match(name) or made.case not in CASES or made.date not in DATES:
            raise Misconfigured(f"The column {name!r} is wrong: its name, case or form of dates cannot be.")
        found.append(made)
    return found


def _source(given: Mapping[str, Any], header: tuple[str, ...]) -> int:
    said = given.get("source", given.get("name"))
    if isinstance(said, int):
        if header and not 0 <= said < len(header):
            raise ValueError(f"the file has no column {said}")
        return said
    if not header:
        return 0
    for number, name in enumerate(header):
        if name.casefold() == str(said).casefold():
            return number
    raise ValueError(f"the file has no column {said!r}; it has {', '.join(header)}")


def _attribute(name: str, number: int) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name).strip("_")[:50]
    return plain if plain and NAME.match(plain) and plain != "id" else f"column{number + 1}"


def _cursor() -> Cursor:
    connection.ensure_connection()
    return Cursor(cast("psycopg.Connection[Any]", connection.connection))


def _staged(ctx: TaskContext, source: files.Source, form: files.Format) -> list[files.Bad]:
    """Copy the file into a temporary table; returns the lines that cannot be read."""
    bad: list[files.Bad] = []
    with _cursor() as cursor:
        cursor.execute(S("DROP TABLE IF EXISTS {}").format(composed.Identifier("pg_temp", STAGING)))
        cursor.execute(
            S("CREATE TEMP TABLE {} ({}) ON COMMIT DROP").format(I(STAGING), files.columns(len(form.columns)))
        )
        for batch in files.batches(source, form):
            if ctx.cancelled():
                raise Failed("The loading was stopped.")
            files.copy(cursor, STAGING, form, batch)
            bad += batch.bad
    return bad


def loaded(ctx: TaskContext, columns: list[Cells]) -> tuple[Population, int, int]:
    """Fill a population from the temporary table; returns it, and counts of lines rejected and warned
    about.
    """
    made = population.create(
        ctx, columns=[Column(each.name, each.type, each.label or each.name) for each in columns]
    )
    cells = [
        S("{} AS {}").format(text_of(S("s.{}").format(I(f"c{c.source}")), c), I(f"t{n}"))
        for n, c in enumerate(columns)
    ]
    source = S("(SELECT s.line, {} FROM {} s OFFSET 0) x").format(S(", ").join(cells), I(STAGING))
    how = [_converted(c, S("x.{}").format(I(f"t{n}")), str(ctx.zone)) for n, c in enumerate(columns)]
    wrong = [S("({})").format(h[1]) for h, c in zip(how, columns, strict=True) if c.error is Error.REJECT]
    soft = [S("({})").format(h[1]) for h, c in zip(how, columns, strict=True) if c.error is not Error.REJECT]
    wrong += [
        S("x.{} IS NULL").format(I(f"t{n}"))
        for n, c in enumerate(columns)
        if c.null is Null.NEVER or (c.null is Null.DEFAULT and c.type in _NUMBERS and not c.default)
    ]
    bad = S("({}) IS TRUE").format(S(" OR ").join(wrong or [S("false")]))
    warned = S("({}) IS TRUE").format(S(" OR ").join(soft or [S("false")]))
    values = S(", ").join(_value(c, h, str(ctx.zone)) for c, h in zip(columns, how, strict=True))
    with _cursor() as cursor:
        statement = S("INSERT INTO {} SELECT x.line, {} FROM {} WHERE NOT {}").format(
            I(made.table), values, source, bad
        )
        ctx.log_sql("INSERT INTO … SELECT … FROM envoi_loading")
        count = cursor.execute(statement).rowcount
        rejected = _told(ctx, cursor, columns, how, source, bad, _("Line %(line)d is rejected: %(column)s"))
        warnings = _told(
            ctx,
            cursor,
            columns,
            how,
            source,
            S("({}) AND NOT {}").format(warned, bad),
            _("Line %(line)d is loaded without the value of %(column)s"),
        )
    return population.finish(ctx, made, count), rejected, warnings


def _converted(cells: Cells, x: composed.Composable, zone: str) -> Converted:
    return converted(cells.type, x, cells, zone=zone, length=cells.length)


def _value(cells: Cells, how: Converted, zone: str) -> composed.Composable:
    """SQL of the value that is stored: a default stands for an empty cell, or for a wrong one if so
    wished.
    """
    if not cells.default:
        value = (
            how[0] if how[3] != "text" else S("CASE WHEN ({}) IS NOT TRUE THEN {} END").format(how[1], how[0])
        )
        return value
    other = _converted(cells, S("{}::text").format(composed.Literal(cells.default)), zone)
    fits = S("CASE WHEN ({}) IS NOT TRUE THEN {} END").format(other[1], other[0])
    value = S("CASE WHEN ({}) IS NOT TRUE THEN {} END").format(how[1], how[0])
    return S("coalesce({}, {})").format(value, fits)


def _told(
    ctx: TaskContext,
    cursor: Cursor,
    columns: list[Cells],
    how: list[Converted],
    source: composed.Composable,
    which: composed.Composable,
    message: str,
) -> int:
    """Tell the first of some lines in the journal; returns how many there are."""
    count = cursor.execute(S("SELECT count(*) FROM {} WHERE {}").format(source, which)).fetchone()
    total = int(count[0]) if count else 0
    if not total:
        return 0
    flags = S(", ").join(
        S("({}) IS TRUE OR ({} AND x.{} IS NULL)").format(h[1], c.null is Null.NEVER, I(f"t{n}"))
        for n, (c, h) in enumerate(zip(columns, how, strict=True))
    )
    rows = cursor.execute(
        S("SELECT x.line, {} FROM {} WHERE {} ORDER BY x.line LIMIT {}").format(flags, source, which, TOLD)
    ).fetchall()
    for line, *hits in rows:
        named = [f"{c.name} ({h[2]})" for c, h, hit in zip(columns, how, hits, strict=True) if hit]
        ctx.warning(message, line=line, column=", ".join(named) or "empty")
    return total
