"""The third step of an import: from the staging table into the profiles, a batch of lines at a time.

A batch is one transaction: values and rejects, what changed rows held, the changes themselves, ids of new
rows, memberships, and the checkpoint. Rows are recognised by the key among those that the actor may read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql

from envoi.engine.files import Format
from envoi.kernel import big_tables, clock, folders, registry
from envoi.kernel.folders import Access
from envoi.kernel.registry.schema import Schema
from envoi.kernel.registry.types import Type
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Import, ImportBatch, ImportState
from envoi.packages.delivery.models.country import UNSET
from envoi.packages.delivery.services import normalise
from envoi.packages.delivery.services.imports import checkpoint, cleaning, memberships, tables
from envoi.packages.delivery.services.imports.conversion import Forms, Value, text_of, value_of
from envoi.packages.delivery.services.imports.plan import (
    Doubles,
    Error,
    Null,
    Operation,
    Plan,
    Sink,
    Treatment,
    sinks,
)
from envoi.packages.delivery.services.imports.tables import I, S

LINES = 100_000
"""Lines of one batch."""
SHORT = 100
"""Characters of a value that a reject keeps."""


@dataclass(frozen=True)
class Work:
    """What every batch needs."""

    plan: Plan
    schema: Schema
    values: tuple[Value, ...]
    keys: tuple[Value, ...]
    slow: bool
    """Whether there is a table of cleaned values."""
    blanks: bool
    """Whether cells may have blanks around them, which are costly to look for."""
    actor: Actor

    @property
    def key(self) -> str:
        """The column of the primary key."""
        return self.schema.key[0]


def prepare(job: Import, *, actor: Actor) -> Work:
    """Read the plan of an import."""
    plan = Plan.from_json(job.plan)
    found = sinks(plan, job.schema, len(Format.from_json(job.format).columns))
    slow = any(each.treatment is not Treatment.NONE for each in found)
    forms = Forms()
    if slow:
        usual = cleaning.usual(normalise.characters(actor=actor))
        forms = Forms(usual, sorted({*normalise.countries().values(), UNSET}))
    values = tuple(
        value_of(sink, S("x.{}").format(I(sink.raw)), zone=plan.zone, forms=forms) for sink in found
    )
    keys = tuple(v for key in plan.keys for v in values if v.sink.target.attribute == key)
    return Work(plan, registry.current()[job.schema], values, keys, slow, tables.has_blanks(job), actor)


def find_doubles(job: Import, *, actor: Actor) -> None:
    """Note the lines for which another line with the same key stands, once for the whole file."""
    work = prepare(job, actor=actor)
    name = I(tables.doubles(job))
    tables.run(S("DROP TABLE IF EXISTS {}").format(name))
    tables.run(S("CREATE UNLOGGED TABLE {} (line bigint)").format(name))
    if not work.keys:
        return
    _folders_for(work)
    tables.run(S("SET LOCAL work_mem = '128MB'"))
    names = [I(f"k{number}") for number in range(len(work.keys))]
    keys = S(", ").join(S("{} AS {}").format(v.value, n) for v, n in zip(work.keys, names, strict=True))
    given = S(" AND ").join(S("({}) IS NOT NULL").format(v.value) for v in work.keys)
    rows = S("SELECT x.line, {} FROM {} WHERE {}").format(keys, _cells(job, work, work.keys), given)
    stays = S("max") if work.plan.doubles is Doubles.LAST else S("min")
    same = S(" AND ").join(S("r.{0} = g.{0}").format(n) for n in names)
    tables.run(
        S(
            "INSERT INTO {} WITH g AS (SELECT {}, {}(line) AS line FROM ({}) k GROUP BY {} HAVING"
            " count(*) > 1)"
            " SELECT r.line FROM ({}) r JOIN g ON {} WHERE r.line <> g.line"
        ).format(name, S(", ").join(names), stays, rows, S(", ").join(names), rows, same)
    )
    tables.run(S("CREATE INDEX ON {} (line)").format(name))
    tables.run(S("ANALYZE {}").format(name))


def merge(job: Import, carry_on: Callable[[], None], *, actor: Actor) -> None:
    """Merge what is not merged yet."""
    work = prepare(job, actor=actor)
    while job.merged_line < job.last_line:
        carry_on()
        with transaction.atomic():
            _batch(job, work, min(job.merged_line + LINES, job.last_line))


def _drop_temporary() -> None:
    """Drop what an earlier batch of the same transaction has left; there is one only where a test holds
    it.
    """
    tables.run(
        S("DROP TABLE IF EXISTS pg_temp.imp_row, pg_temp.imp_match, pg_temp.imp_folder, pg_temp.imp_readable")
    )


def _batch(job: Import, work: Work, upto: int) -> None:
    # Two imports at once would both find a profile missing, and both make it.
    tables.one(S("SELECT pg_advisory_xact_lock({}, -1)").format(checkpoint.CLASS))
    now = clock.now()
    tables.run(S("SET LOCAL work_mem = '64MB'"))
    # Keys are unlike one another: a small sample says so as well as a big one, in a tenth of the time.
    tables.run(S("SET LOCAL default_statistics_target = 10"))
    # A batch that a crash takes is merged again: its checkpoint goes with it.
    tables.run(S("SET LOCAL synchronous_commit = off"))
    _folders_for(work)
    total = _values(job, work, upto)
    counts, gone = _reject(job, work, upto, now)
    matched = _match(job, work)
    unclear = _reject_unclear(job, work, now)
    counts["rejected"] += unclear
    matched -= unclear
    fresh = total - gone - unclear - matched
    blocks: tuple[int, ...] = ()
    operation = work.plan.operation
    counts |= {"inserted": 0, "updated": 0, "deleted": 0, "unchanged": 0, "skipped": 0}
    if operation in (Operation.UPDATE, Operation.BOTH):
        counts["updated"] = _update(job, work, now)
        counts["unchanged"] = matched - counts["updated"]
    if operation is Operation.DELETE:
        counts["deleted"] = _delete(job, work)
    if operation in (Operation.INSERT, Operation.BOTH) and fresh:
        blocks = _insert(job, work, fresh, now)
        counts["inserted"] = fresh
    if operation is Operation.INSERT:
        counts["skipped"] = matched
    elif operation is not Operation.BOTH:
        counts["skipped"] = fresh
    if operation is not Operation.DELETE:
        memberships.join(job, work.plan, blocks, actor=work.actor)
    if blocks or counts["updated"]:
        ImportBatch.objects.create(
            job=job,
            first_line=job.merged_line + 1,
            last_line=upto,
            at=now,
            blocks=list(blocks),
            inserted=counts["inserted"],
            updated=counts["updated"],
        )
    totals: dict[str, Any] = {name: getattr(job, name) + count for name, count in counts.items()}
    checkpoint.move(job, ImportState.MERGING, merged_line=upto, **totals)


def _cells(
    job: Import, work: Work, values: Sequence[Value], low: int | None = None, high: int | None = None
) -> sql.Composable:
    """Return a FROM clause with `x` (the cells as texts) and `n` (the cleaned values) of the lines wanted."""
    cells = [
        S("s.line"),
        *(S("{} AS {}").format(text_of(v.sink, blanks=work.blanks), I(v.sink.raw)) for v in values),
    ]
    limits = S("s.line > {} AND s.line <= {}").format(low, high) if low is not None else S("true")
    # OFFSET 0 keeps the cells from being worked out again wherever they are named.
    clause = S("(SELECT {} FROM {} s WHERE {} OFFSET 0) x").format(
        S(", ").join(cells), I(job.staging), limits
    )
    if work.slow:
        within = S("WHERE line > {} AND line <= {}").format(low, high) if low is not None else S("")
        clause = S("{} LEFT JOIN (SELECT * FROM {} {}) n ON n.line = x.line").format(
            clause, I(tables.values(job)), within
        )
    return clause


def _values(job: Import, work: Work, upto: int) -> int:
    """Make `imp_row`: line, one value for each target, whether something is wrong or missing; returns how
    many rows it has.
    """
    columns: list[sql.Composable] = [S("x.line")]
    bad: list[sql.Composable] = []
    warned: list[sql.Composable] = []
    for number, value in enumerate(work.values):
        columns.append(S("{} AS {}").format(_filled(value), I(f"v{number}")))
        target = value.sink.target
        if _can_be_wrong(value):
            (bad if target.error is Error.REJECT else warned).append(S("({})").format(value.wrong))
        if _needed(work, value):
            bad.append(S("({}) IS NULL").format(value.text))
    some = S("({}) IS TRUE").format(S(" OR ").join(bad)) if bad else S("false")
    warning = S("({}) IS TRUE").format(S(" OR ").join(warned)) if warned else S("false")
    return tables.run(
        S("CREATE TEMP TABLE imp_row ON COMMIT DROP AS SELECT {}, {} AS bad, {} AS warned FROM {}").format(
            S(", ").join(columns), some, warning, _cells(job, work, work.values, job.merged_line, upto)
        )
    )


def values_as_text(job: Import, work: Work, upto: int) -> dict[int, dict[int, str]]:
    """Make `imp_row` and return line -> column of the file -> the value that would be stored, as a text."""
    _folders_for(work)
    _values(job, work, upto)
    columns = S(", ").join(S("coalesce({}::text, '')").format(I(f"v{n}")) for n in range(len(work.values)))
    with tables.cursor() as at:
        rows = at.execute(S("SELECT line, {} FROM imp_row").format(columns)).fetchall()
    sources = [value.sink.target.source for value in work.values]
    return {line: dict(zip(sources, texts, strict=True)) for line, *texts in rows}


def _filled(value: Value) -> sql.Composable:
    """SQL of the value that is stored: of an empty cell or a value left out, what stands instead."""
    return S("coalesce({}, {})").format(value.value, value.fallback)


def _can_be_wrong(value: Value) -> bool:
    return value.wrong != S("false")


def _needed(work: Work, value: Value) -> bool:
    """Whether an empty cell is an error: where the rule says so, and for each part of the key."""
    target = value.sink.target
    if value in work.keys and not target.default:
        return True
    if target.null is Null.NEVER:
        return True
    number = value.sink.type in (Type.BYTE, Type.SHORT, Type.LONG, Type.INT64, Type.FLOAT, Type.DOUBLE)
    plain = value.sink.enumeration is None and value.sink.linked is None
    return target.null is Null.DEFAULT and number and plain and not target.default


def _reject(job: Import, work: Work, upto: int, now: datetime) -> tuple[dict[str, int], int]:
    """Write down what is wrong, take wrong lines and doubles out of `imp_row`; returns counts of lines, and
    how many were taken out.
    """
    double = S("EXISTS (SELECT 1 FROM {} d WHERE d.line = imp_row.line)").format(I(tables.doubles(job)))
    doubles = rejected = warnings = gone = 0
    if tables.one(
        S("SELECT EXISTS (SELECT 1 FROM {} WHERE line > {} AND line <= {})").format(
            I(tables.doubles(job)), job.merged_line, upto
        )
    )[0]:
        if work.plan.doubles is Doubles.REJECT:
            rejected += tables.run(
                S(
                    'INSERT INTO xtk_import_reject (job_id, line, "column", value, reason, warning,'
                    " while_reading,"
                    " log_at) SELECT {}, line, {}, '', {}, false, false, {} FROM imp_row WHERE NOT bad AND {}"
                ).format(job.pk, _names(work.keys), _("a line before has the same key"), now, double)
            )
        gone = tables.run(S("DELETE FROM imp_row WHERE NOT bad AND {}").format(double))
        doubles = gone if work.plan.doubles is Doubles.LAST else 0
    bad, warned = tables.one(
        S("SELECT count(*) FILTER (WHERE bad), count(*) FILTER (WHERE warned) FROM imp_row")
    )
    if bad or warned:
        write_rejects(job, work, upto, now)
        gone += tables.run(S("DELETE FROM imp_row WHERE bad"))
    warnings += warned
    # Only what is joined by: statistics of sixteen texts cost as much as the values themselves.
    keys = [_number(work, value) for value in work.keys]
    tables.run(S("ANALYZE imp_row ({})").format(S(", ").join([I("line"), *keys])))
    return {"rejected": rejected + bad, "warnings": warnings, "doubles": doubles}, gone


def write_rejects(job: Import, work: Work, upto: int, now: datetime) -> None:
    """Write down, for the lines of `imp_row` that are bad or warned, each thing that is wrong."""
    lines: list[sql.Composable] = []
    for value in work.values:
        label = value.sink.label[:128]
        warning = value.sink.target.error is not Error.REJECT
        if _can_be_wrong(value):
            lines.append(
                S("({}, left({}, {}), {}, ({}) IS TRUE, {})").format(
                    label, value.text, SHORT, value.reason[:255], value.wrong, warning
                )
            )
        if _needed(work, value):
            lines.append(S("({}, '', {}, ({}) IS NULL, false)").format(label, _("it is empty"), value.text))
    tables.run(
        S(
            'INSERT INTO xtk_import_reject (job_id, line, "column", value, reason, warning,'
            " while_reading, log_at)"
            " SELECT {}, x.line, w.label, coalesce(w.value, ''), w.reason, w.warning, false, {}"
            " FROM {} JOIN imp_row b ON b.line = x.line AND (b.bad OR b.warned)"
            " CROSS JOIN LATERAL (VALUES {}) AS w(label, value, reason, hit, warning) WHERE w.hit"
        ).format(job.pk, now, _cells(job, work, work.values, job.merged_line, upto), S(", ").join(lines))
    )


def _names(values: Sequence[Value]) -> str:
    return ", ".join(value.sink.label for value in values)[:128]


def _number(work: Work, value: Value) -> sql.Identifier:
    return I(f"v{work.values.index(value)}")


def _match(job: Import, work: Work) -> int:
    """Make `imp_match`: line, id of the row that has its key, how many have it, whether it may be written;
    returns how many lines have one.
    """
    if not work.keys:
        tables.run(
            S(
                "CREATE TEMP TABLE imp_match (line bigint, id bigint, many bigint, writable boolean) ON"
                " COMMIT DROP"
            )
        )
        return 0
    same = S(" AND ").join(
        S("r.{} = b.{}").format(I(value.sink.column), _number(work, value)) for value in work.keys
    )
    readable, writable = _restrictions(work)
    matched = tables.run(
        S(
            "CREATE TEMP TABLE imp_match ON COMMIT DROP AS SELECT b.line, min(r.{0}) AS id, count(*) AS many,"
            " bool_and({1}) AS writable FROM imp_row b JOIN {2} r ON {3} WHERE {4} GROUP BY b.line"
        ).format(I(work.key), writable, I(work.schema.table), same, readable)
    )
    tables.run(S("ANALYZE imp_match"))
    return matched


def _restrictions(work: Work) -> tuple[sql.Composable, sql.Composable]:
    """Return conditions on `r`: it may be read, it may be written."""
    if (work.actor.is_administrator and work.actor.root_path == "/") or work.schema.folder != ("folder",):
        return S("true"), S("true")
    return (
        S("r.folder_id IN (SELECT id FROM imp_readable)"),
        S("r.folder_id IN (SELECT id FROM imp_folder)"),
    )


def _folders_for(work: Work) -> None:
    """Make `imp_folder` (may be written to) and `imp_readable` for the actor, for this transaction."""
    _drop_temporary()
    for name, access in (("imp_folder", Access.WRITE), ("imp_readable", Access.READ)):
        allowed = folders.allowed(work.actor, access)
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE TEMP TABLE {name} ON COMMIT DROP AS SELECT folder_id AS id, name FROM xtk_folder"  # noqa: S608
                f" WHERE folder_id IN ({allowed.sql})",
                allowed.params,
            )


def _reject_unclear(job: Import, work: Work, now: datetime) -> int:
    """Reject lines whose key several rows have, and those of rows that may not be written."""
    if work.plan.operation is Operation.INSERT:
        return 0
    wrong = S("(many > 1 OR NOT writable)")
    count = tables.run(
        S(
            'INSERT INTO xtk_import_reject (job_id, line, "column", value, reason, warning,'
            " while_reading, log_at)"
            " SELECT {}, line, {}, '', CASE WHEN writable THEN {} ELSE {} END, false, false, {} FROM"
            " imp_match"
            " WHERE {}"
        ).format(
            job.pk,
            _names(work.keys),
            _("several profiles have this key"),
            _("you may not change this profile"),
            now,
            wrong,
        )
    )
    if count:
        tables.run(S("DELETE FROM imp_row b USING imp_match m WHERE m.line = b.line AND {}").format(wrong))
        tables.run(S("DELETE FROM imp_match WHERE {}").format(wrong))
    return count


def _written(work: Work) -> list[tuple[sql.Identifier, sql.Composable, sql.Composable]]:
    """Return (column, new value, whether it differs) of everything but the key, for `r`, `b` and `x`."""
    found: list[tuple[sql.Identifier, sql.Composable, sql.Composable]] = []
    for value in work.values:
        if value in work.keys:
            continue
        column, new = I(value.sink.column), S("b.{}").format(_number(work, value))
        if not work.plan.empties:
            empty = S("''") if value.sql_type == "text" else S("NULL")
            new = S("coalesce(nullif({0}, {1}), r.{2})").format(new, empty, column)
        found.append((column, new, S("r.{} IS DISTINCT FROM {}").format(column, new)))
    return found


def _update(job: Import, work: Work, now: datetime) -> int:
    """Change the rows that differ, keeping what they held before."""
    written = _written(work)
    if not written:
        return 0
    table, key = I(work.schema.table), I(work.key)
    columns = [column for column, _new, _differs in written]
    differs = S(" OR ").join(each for _column, _new, each in written)
    stamp = _stamped(work)
    saved = S("")
    if work.plan.keep_undo:
        _make_before(job, work, whole=False)
        kept = S(", ").join([*columns, *(I(name) for name in stamp)])
        old = S(", ").join(S("r.{}").format(c) for c in [*columns, *(I(name) for name in stamp)])
        saved = S(
            "saved AS (INSERT INTO {} (imp_id, imp_at, {}) SELECT r.{}, {}, {} FROM imp_match m JOIN"
            " imp_row b"
            " ON b.line = m.line JOIN {} r ON r.{} = m.id WHERE {} ON CONFLICT (imp_id) DO NOTHING)"
        ).format(I(tables.before(job)), kept, key, now, old, table, key, differs)
    settings = [S("{} = {}").format(c, new) for c, new, _differs in written]
    if "modified_at" in stamp:
        settings.append(S("modified_at = {}").format(now))
    if "modified_by_id" in stamp:
        settings.append(S("modified_by_id = {}").format(work.actor.operator_id or None))
    update = S(
        "UPDATE {} r SET {} FROM imp_match m JOIN imp_row b ON b.line = m.line WHERE r.{} = m.id AND ({})"
    ).format(table, S(", ").join(settings), key, differs)
    return tables.run(S("WITH {} {}").format(saved, update) if work.plan.keep_undo else update)


def _stamped(work: Work) -> list[str]:
    """Return which columns of the table say who changed a row, and when."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT"
            " attisdropped"
            " AND attname IN ('modified_at', 'modified_by_id')",
            [work.schema.table],
        )
        return sorted(name for (name,) in cursor.fetchall())


def _make_before(job: Import, work: Work, *, whole: bool) -> None:
    name, table = I(tables.before(job)), I(work.schema.table)
    if tables.exists(tables.before(job)):
        return
    if whole:
        tables.run(S("CREATE TABLE {} (LIKE {})").format(name, table))
        return
    columns = [column for column, _new, _differs in _written(work)] + [I(each) for each in _stamped(work)]
    tables.run(
        S(
            "CREATE TABLE {} AS SELECT NULL::bigint AS imp_id, NULL::timestamptz AS imp_at, {} FROM {}"
            " WITH NO DATA"
        ).format(name, S(", ").join(columns), table)
    )
    tables.run(S("ALTER TABLE {} ADD PRIMARY KEY (imp_id)").format(name))


def _delete(job: Import, work: Work) -> int:
    """Delete the rows that the keys name; without `keep_undo` for good."""
    table, key = I(work.schema.table), I(work.key)
    if not work.plan.keep_undo:
        return tables.run(S("DELETE FROM {} r USING imp_match m WHERE r.{} = m.id").format(table, key))
    _make_before(job, work, whole=True)
    return tables.run(
        S(
            "WITH gone AS (DELETE FROM {0} r USING imp_match m WHERE r.{1} = m.id RETURNING r.*)"
            " INSERT INTO {2} ({3}) SELECT {3} FROM gone"
        ).format(table, key, I(tables.before(job)), S(", ").join(map(I, all_columns(work.schema.table))))
    )


def all_columns(table: str) -> list[str]:
    """Return the columns of a table, in their order, without those that are worked out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = quote_ident(%s)::regclass AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            [table],
        )
        return [name for (name,) in cursor.fetchall()]


def _insert(job: Import, work: Work, count: int, now: datetime) -> tuple[int, ...]:
    """Insert the rows without a match; returns the blocks that their ids come from."""
    ids = big_tables.reserve_ids(count)
    number = S("(({0}::bigint[])[1 + (n - 1) / {1}] + mod(n - 1, {1}))").format(
        list(ids.blocks), big_tables.BLOCK
    )
    columns: list[sql.Composable] = [I(work.key)]
    chosen: list[sql.Composable] = [number]
    for value in work.values:
        columns.append(I(value.sink.column))
        chosen.append(S("b.{}").format(_number(work, value)))
    own = set(all_columns(work.schema.table))
    given = {value.sink.column for value in work.values}
    more: dict[str, object] = {
        "folder_id": job.folder_id,
        "created_at": now,
        "created_by_id": work.actor.operator_id or None,
        "modified_at": now,
        "modified_by_id": work.actor.operator_id or None,
    }
    for name, constant in more.items():
        if name in own and name not in given:
            columns.append(I(name))
            chosen.append(sql.Literal(constant))
    if "folder_id" in given:
        at = next(i for i, value in enumerate(work.values) if value.sink.column == "folder_id") + 1
        chosen[at] = S("coalesce({}, {})").format(chosen[at], job.folder_id)
    tables.run(
        S(
            "INSERT INTO {} ({}) SELECT {} FROM (SELECT row_number() OVER () AS n, b.* FROM imp_row b"
            " WHERE NOT EXISTS (SELECT 1 FROM imp_match m WHERE m.line = b.line)) b"
        ).format(I(work.schema.table), S(", ").join(columns), S(", ").join(chosen))
    )
    return ids.blocks


def sink_of(work: Work, attribute: str) -> Sink | None:
    """Return the target for an attribute, or None."""
    return next((v.sink for v in work.values if v.sink.target.attribute == attribute), None)
